"""Which errors are the user's to mend, in one line."""

import errno
import re
import traceback

from pipeline.masking import masked

MEMORY = "out of memory; lower compute.workers, compute.processes or compute.images_per_gpu"
SHARED = (
    "shared memory (/dev/shm) is full; give it more (Docker: --shm-size 8g), "
    "or set compute.workers to 0"
)
FILES = "too many open files; raise `ulimit -n`, or lower compute.workers"
KILLED = "a data-loading worker was killed; lower compute.workers if memory is short"
# from the last line of what torch, its workers and NCCL say; the first that fits counts
CAUSES = {
    r"Too many open files": FILES,
    r"shared memory|Bus error": SHARED,
    r"an(no|')t allocate memory": MEMORY,
    r"^DataLoader worker": KILLED,  # its own errors come as what they are
}
NUMBERS = {errno.ENOMEM: MEMORY, errno.EMFILE: FILES, errno.ENFILE: FILES}


def explain(error: BaseException) -> str | None:
    """The line for a user's mistake, a failing disk or a lack of memory; None for our own bugs."""
    line = line_of(error)
    return line and masked(line)


def line_of(error):
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, OSError):
        return SHARED if made_a_lock(error) else NUMBERS.get(error.errno, last_line(error))
    if isinstance(error, ValueError):
        return last_line(error)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return "out of GPU memory; lower compute.images_per_gpu"
    if isinstance(error, RuntimeError):
        said = f"{last_line(error)} {last_line(error.__cause__)}"
        return next((line for what, line in CAUSES.items() if re.search(what, said)), None)
    return None


def last_line(error) -> str:
    """Of an error that came from a data-loading worker with its traceback, what it says."""
    return str(error or "").strip().rpartition("\n")[2]


def made_a_lock(error) -> bool:
    """Whether the error is that of a lock between processes, which lies in shared memory."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith("multiprocessing/synchronize.py")


def lost_a_rank(error) -> bool:
    """Whether it says that another rank is gone, whose own error (if it had one) is the cause."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo/transport" in str(error)
