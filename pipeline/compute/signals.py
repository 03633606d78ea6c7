"""Signals: what a stage, its workers and a training do when somebody wants them to stop."""

import ctypes
import os
import signal
import sys

PREEMPTED = 85  # the exit code of a stage that was stopped by a signal; run it again to go on
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
GRACE_SECONDS = 30
PR_SET_PDEATHSIG = 1


class Preempted(BaseException):
    """Somebody wants this process to stop. Like KeyboardInterrupt, no ``except Exception``."""


def stop_on_signals() -> None:
    """From now on SIGTERM, SIGUSR1 and SIGUSR2 raise ``Preempted``, wherever the process is."""
    for number in STOPPING:
        signal.signal(number, raise_preempted)


def raise_preempted(number, frame):
    raise Preempted(signal.Signals(number).name)


class asked_to_stop:
    """Inside the block signals (Ctrl-C too) only set ``self.asked``; a second Ctrl-C stops at once.

    A training looks at it between two steps, when there is something whole to save.
    """

    current = None  # the innermost block that the process is in

    def __enter__(self):
        self.asked = None
        self.outer, asked_to_stop.current = asked_to_stop.current, self
        self.before = {n: signal.signal(n, self.note) for n in (*STOPPING, signal.SIGINT)}
        return self

    def note(self, number, frame):
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number

    def __exit__(self, *exception):
        asked_to_stop.current = self.outer
        for number, handler in self.before.items():
            signal.signal(number, handler)


def survive_signals(worker_id: int) -> None:
    """For a data-loading worker: its training, which got the signal too, still needs it to save.

    Whatever happens, it is gone half a minute after a SIGTERM.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_SECONDS))


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel (Linux) to send this process SIGTERM when its parent dies.

    A parent that is gone already counts. Where ``parent``, its process id, is not known: whoever
    has inherited this process is in another process group.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    now = os.getppid()
    orphan = now != parent if parent else os.getpgid(now) != os.getpgid(0)
    if orphan:
        os.kill(os.getpid(), signal.SIGTERM)
