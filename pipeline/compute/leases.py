"""Leases of GPUs: parallel stages on one machine, also of several users, never share a GPU.

A lease is the kernel's lock (flock) on a file named by the GPU's UUID. It ends with the process
that took it, however that dies; the file stays, and a file alone means nothing. The files lie in
/tmp and not in TMPDIR, which differs between users and jobs of one machine: who shall share must
find the same file. Containers with a /tmp of their own do not see each other's leases.
"""

import contextlib
import fcntl
import os
import pwd
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.compute.gpus import Gpu, visible_gpus
from pipeline.params import Compute

FOLDER = Path("/tmp/gpu-leases")
SECONDS_BETWEEN_TRIES = 1
SECONDS_BETWEEN_MESSAGES = 300


@contextlib.contextmanager
def leased(compute: Compute, fits: Callable[[int], bool]) -> Iterator[list[str]]:
    """Inside, this process has GPUs to itself; gives their names for CUDA_VISIBLE_DEVICES.

    No name is the CPU. ``gpus: auto`` takes the largest number of GPUs that are free now and for
    which ``fits(number)``, and waits only while that is none. ``gpus: n`` waits for n.
    """
    gpus = [] if compute.gpus == 0 else visible_gpus()
    numbers = allowed_numbers(compute.gpus, gpus, fits)
    if not numbers:
        yield []
    elif compute.share_gpus:
        yield names(gpus[: max(numbers)])
    else:
        with contextlib.ExitStack() as held:
            yield names(wait_for(gpus, numbers, held))


def names(gpus):
    return [gpu.uuid for gpu in gpus]


def allowed_numbers(wanted, gpus: list[Gpu], fits) -> list[int]:
    """How many GPUs may be taken; none means the CPU. ``ValueError`` where waiting cannot help."""
    most = min(len(gpus), 1) if any(gpu.is_instance for gpu in gpus) else len(gpus)
    if wanted == 0 or (wanted == "auto" and not gpus):
        return []
    if wanted == "auto":
        numbers = [number for number in range(1, most + 1) if fits(number)]
        if not numbers:
            raise ValueError(
                f"compute.gpus is auto, but none of 1 to {most} GPUs can share it; set it to 0"
            )
        return numbers
    if wanted > most:
        raise ValueError(f"compute.gpus is {wanted}, but {describe(gpus, most)}")
    return [wanted]


def describe(gpus, most):
    if len(gpus) > most:
        return "GPUs are divided into MIG instances, of which a process can use 1; set it to 1"
    seen = "no GPU is" if most == 0 else f"only {most} {'is' if most == 1 else 'are'}"
    return f"{seen} visible (nvidia-smi -L, CUDA_VISIBLE_DEVICES); lower it, or set it to auto"


def wait_for(gpus, numbers, held: contextlib.ExitStack) -> list[Gpu]:
    """Lock one of the ``numbers`` of GPUs, as many as are free; ``held`` releases them."""
    open_folder(held)
    next_message = time.monotonic()
    while not (taken := take_free(gpus, numbers, held)):
        if time.monotonic() >= next_message:
            print(waiting_message(gpus, min(numbers)), flush=True)
            next_message += SECONDS_BETWEEN_MESSAGES
        time.sleep(SECONDS_BETWEEN_TRIES)
    return taken


def take_free(gpus, numbers, held) -> list[Gpu]:
    """All or nothing, and one process at a time: who waits holds no GPU that another waits for."""
    with guarded():
        locks = {gpu: open_lock(gpu.uuid) for gpu in gpus}
        free = [gpu for gpu, lock in locks.items() if try_lock(lock)]
        taken = free[: max((number for number in numbers if number <= len(free)), default=0)]
        for gpu, lock in locks.items():
            if gpu in taken:
                sign(lock)
                held.enter_context(lock)
            else:
                lock.close()
        return taken


@contextlib.contextmanager
def guarded():
    with open_lock("guard") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def try_lock(lock) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_folder(held):
    """Make the folder, and hold it: systemd-tmpfiles clears no folder with a lock on it."""
    with everybody_may_write(), problem_with(FOLDER):
        FOLDER.mkdir(mode=0o1777, exist_ok=True)
        folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    held.callback(os.close, folder)
    fcntl.flock(folder, fcntl.LOCK_SH)


def open_lock(name):
    """The lock file of this name; made by another user it may be only readable, which suffices.

    It is opened without O_CREAT first: in a sticky folder Linux refuses that on others' files.
    """
    path = FOLDER / f"{name.replace('/', '-')}.lock"
    with everybody_may_write(), problem_with(path):
        for flags, kind in (
            (os.O_RDWR, "r+b"),
            (os.O_RDWR | os.O_CREAT | os.O_EXCL, "r+b"),
            (os.O_RDWR, "r+b"),  # another process was the first to make it
            (os.O_RDONLY, "rb"),
        ):
            with contextlib.suppress(FileNotFoundError, FileExistsError, PermissionError):
                return os.fdopen(os.open(path, flags | os.O_NOFOLLOW, 0o666), kind, buffering=0)
        raise PermissionError("it may be neither opened nor made")


@contextlib.contextmanager
def everybody_may_write():
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def problem_with(path):
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"cannot lease a GPU: {path}: {error.strerror or error}; remove it, or set "
            "compute.share_gpus to true"
        ) from None


def sign(lock):
    """Write down who holds it, for those who wait."""
    if lock.writable():
        stage = os.environ.get("DVC_STAGE", Path(sys.argv[0]).stem)
        project = os.environ.get("DVC_ROOT", Path.cwd())
        text = f"pid {os.getpid()} of {user()} (stage {stage} of {project})"
        lock.truncate(0)
        lock.write(text.encode())


def user():
    """The name; the number where it has none, as with `docker run --user`."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def waiting_message(gpus, number) -> str:
    wanted = "a free GPU" if number == 1 else f"{number} free GPUs"
    with guarded():
        holders = {gpu.label: holder(gpu) for gpu in gpus}
    used = "; ".join(f"{label} is used by {who}" for label, who in holders.items() if who)
    return f"waiting for {wanted}: {used}"


def holder(gpu) -> str:
    """Who has signed the lock of a GPU that is not free; empty where it is free by now."""
    with open_lock(gpu.uuid) as lock:
        text = lock.read(300).decode(errors="replace")
        return "" if try_lock(lock) else text if text.isprintable() else "somebody"
