"""A real SLURM cluster on this machine, for tests: munge, one slurmctld and a slurmd for each node.

Debian and Ubuntu: apt-get install slurmctld slurmd slurm-client munge. It needs root, changes
nothing outside its folder, and is gone after `stop`.

    python tests/tools/slurm_cluster.py start FOLDER    prints the line that points a shell to it
    python tests/tools/slurm_cluster.py stop FOLDER
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
# A node is named by its address, so that ranks find each other without a name service.
NODES = ("127.0.0.11", "127.0.0.12")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=15
SlurmdTimeout=10
ReturnToService=2
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=15
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr={name} Port={port} CPUs=4 RealMemory=4000"


def missing() -> str:
    """Why no cluster can be started here; empty where one can."""
    absent = [name for name in ("sbatch", *DAEMONS) if not find(name)]
    if absent:
        return f"SLURM is not installed: no {', '.join(absent)} (see tests/tools/slurm_cluster.py)"
    return "" if os.geteuid() == 0 else "a SLURM cluster of one's own needs root"


def find(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def cluster(folder):
    """A running cluster; gives the environment variables that point to it."""
    try:
        yield start(Path(folder))
    finally:
        stop(Path(folder))


def start(folder):
    write_files(folder.resolve())
    run(folder, "munged", "--force", *munge_options(folder.resolve()))
    run(folder, "slurmctld")
    for node in NODES:
        start_node(folder, node)
    wait_for(lambda: states(folder) == "idle", "the nodes do not become idle", folder)
    return environment(folder)


def environment(folder):
    return {"SLURM_CONF": str(folder.resolve() / "slurm.conf")}


def start_node(folder, node):
    run(folder, "slurmd", "-N", node)


def kill_node(folder, node):
    """End the node's daemon as a power loss would, for SLURM; its processes go on."""
    os.kill(int((folder / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)


def states(folder):
    """The nodes' states, each once."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--format=%T", "--partition=main"],
        env={**os.environ, **environment(folder)}, capture_output=True, text=True,
    )  # fmt: skip
    return " ".join(answer.stdout.split())


def write_files(folder):
    for name in ("state", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    host = socket.gethostname().split(".")[0]
    controller_port, *ports = free_ports(1 + len(NODES))
    nodes = [NODE.format(name=n, host=host, port=p) for n, p in zip(NODES, ports, strict=True)]
    text = CONFIG.format(
        folder=folder, host=host, controller_port=controller_port, nodes="\n".join(nodes)
    )
    (folder / "slurm.conf").write_text(text)


def munge_options(folder):
    names = ("key-file=munge.key", "log-file=munge.log", "pid-file=munge.pid",
             "seed-file=munge.seed", "socket=munge.socket")  # fmt: skip
    return [f"--{name.replace('=', f'={folder}/')}" for name in names]


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def run(folder, program, *arguments):
    """Start a daemon, which goes to the background by itself."""
    with open(folder / "daemons.log", "a") as log:
        command = [find(program), *arguments]
        env = {**os.environ, **environment(folder)}
        subprocess.run(command, env=env, stdout=log, stderr=log, check=True, timeout=60)


def stop(folder):
    """End all jobs, then the daemons."""
    env = {**os.environ, **environment(folder)}
    if (folder / "slurmctld.pid").is_file():
        for flags in ([], ["--signal=KILL"]):
            subprocess.run(["scancel", "--user=root", *flags], env=env, timeout=60)
        queue = ["squeue", "--noheader"]
        with contextlib.suppress(TimeoutError):  # a node that is down keeps its jobs
            wait_for(lambda: not subprocess.check_output(queue, env=env), "jobs", folder)
    for file in sorted(folder.glob("*.pid"), reverse=True):
        end(int(file.read_text()))


def end(process):
    """SIGTERM and, 10 seconds later, SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(100):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
                time.sleep(0.1)
                continue
            return


def wait_for(condition, failure, folder, seconds=60):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"{failure}; see the logs in {folder}")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path, help="new for `start`; holds configuration and logs")
    arguments = parser.parse_args()
    if reason := missing():
        parser.error(reason)
    if arguments.action == "stop":
        stop(arguments.folder)
    else:
        for name, value in start(arguments.folder).items():
            print(f"export {name}={value}")


if __name__ == "__main__":
    main()
