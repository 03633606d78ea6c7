"""Signals: what a stage, its workers and a training do when somebody wants them to stop."""

import ctypes
import os
import signal
import sys

PREEMPTED = 85  # the exit code of a stage that was stopped by a signal; run it again to go on
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
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

    def __enter__(self):
        self.asked = None
        self.before = {n: signal.signal(n, self.note) for n in (*STOPPING, signal.SIGINT)}
        return self

    def note(self, number, frame):
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number

    def __exit__(self, *exception):
        for number, handler in self.before.items():
            signal.signal(number, handler)


def die_with_parent(number=signal.SIGTERM) -> None:
    """Ask the kernel (Linux) to send this process ``number`` when its parent dies.

    A parent that is gone already counts: then this process is in another process group than the
    one that has inherited it.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getpgid(os.getppid()) != os.getpgid(0):
        os.kill(os.getpid(), number)
