"""A SLURM job has ended: whether another one may go on with the work, and if not, why."""

import re

from pipeline.compute.signals import KILLED, PREEMPTED, STOPPING
from pipeline.compute.slurm_watch import UNKNOWN, End

GOES_ON = {
    "BOOT_FAIL": "ended with its node",
    "COMPLETED": "has saved and stopped",
    "LAUNCH_FAILED": "could not be started",
    "NODE_FAIL": "ended with its node",
    "PREEMPTED": "was preempted",
    "TIMEOUT": "reached its time limit",
    UNKNOWN: "has ended",
}
# Of a process that was stopped before it could answer signals, or whose other ranks were lost.
STOPPED = {PREEMPTED, *(128 + number for number in STOPPING)}


def reason_to_go_on(end: End) -> str:
    """Why the work was cut short; ``ValueError`` where another job would fare no better."""
    job, state = end.job, end.state
    if error := last_error(end):
        raise ValueError(f"{error} (job {job}; its log: {end.log})")
    if state.name == "CANCELLED":
        raise ValueError(f"job {job} was cancelled (scancel); run the stage again to go on")
    if out_of_memory(end):
        raise ValueError(
            f"job {job} was out of memory; ask for more with compute.slurm.options.mem, or lower "
            "compute.workers"
        )
    if state.name == "FAILED" and state.exit_code in STOPPED:
        return "was stopped"
    if state.name not in GOES_ON:
        raise ValueError(
            f"job {job}: {state.name}, exit code {state.exit_code}; its log: {end.log}"
        )
    return GOES_ON[state.name]


def last_error(end):
    """What the job's last run has left as its error, if anything."""
    files = sorted(end.log.parent.glob(f"{end.job}_{end.state.restarts}_*_error.txt"))
    return files[0].read_text(encoding="utf-8") if files else None


def out_of_memory(end) -> bool:
    if end.state.name == "OUT_OF_MEMORY":
        return True
    tail = end.log.read_bytes()[-10_000:] if end.log.is_file() else b""
    return end.state.exit_code == KILLED and re.search(rb"oom.kill", tail) is not None
