"""torchrun that ends with the process that started it, and without a traceback of its own.

python -m pipeline.compute.torchrun COUNT MODULE ARGUMENT...
"""

import os
import sys

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

from pipeline.compute.signals import PREEMPTED, die_with_parent

if __name__ == "__main__":
    die_with_parent(int(os.environ["LAUNCHER_PID"]))
    os.environ["LAUNCHER_PID"] = str(os.getpid())
    os.environ.setdefault("TORCHELASTIC_LOG_LEVEL", "ERROR")
    count, module, *arguments = sys.argv[1:]
    try:
        main(["--standalone", f"--nproc-per-node={count}", "-m", module, *arguments])
    except ChildFailedError as error:
        first = min(rank.exitcode for rank in error.failures.values())
        sys.exit(128 - first if first < 0 else 1)  # as a shell says it of one that a signal ended
    except SignalException:
        sys.exit(PREEMPTED)
