"""Signals: what a stage, its workers and a training do when somebody wants them to stop."""

import _thread
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.compute.loading import report_lost_batches

PREEMPTED = 85  # the exit code of a stage that was stopped by a signal; run it again to go on
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
KILLED = 128 + signal.SIGKILL
GRACE_SECONDS = 30
AGAIN_SECONDS = 1
PR_SET_PDEATHSIG = 1


class Preempted(BaseException):
    """Somebody wants this process to stop. Like KeyboardInterrupt, no ``except Exception``."""


def stop_on_signals() -> None:
    """From now on SIGTERM, SIGUSR1 and SIGUSR2 raise ``Preempted``, wherever the process is."""
    stop = RaisePreempted()
    for number in STOPPING:
        signal.signal(number, stop)


def ignore_signals() -> None:
    """For a process that is about to end as one that was told to stop.

    CPython notes a Ctrl-C inside of ``exec``, which imports of dataclasses and the like call, even
    if it is handled, and ends ``python -m`` by SIGINT then, whatever the exit code. It forgets that
    when it starts another one.
    """
    for number in (*STOPPING, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    exec("")


def leave_on_signals() -> None:
    """For a stage that has finished: who stops it now does not want the next one to start."""
    sys.stdout.flush()
    for number in (*STOPPING, signal.SIGINT):
        signal.signal(number, lambda number, frame: os._exit(PREEMPTED))


class RaisePreempted:
    """A handler whose exception is not lost, and that does not disturb the way out.

    Python drops what is raised inside a callback (imports have some, and so has the garbage
    collection), so the signal is sent again until the process stops. And a signal to a process
    group comes twice, for the death of dvc sends one more: what then unwinds goes on.
    """

    def __init__(self):
        self.raised = False

    def __call__(self, number, frame):
        if on_the_way_out(sys.exc_info()[1]):
            return
        if not self.raised:
            self.raised = True
            _thread.start_new_thread(self.send_again, (number,))  # `threading` would take locks
        raise_preempted(number, frame)

    def send_again(self, number):
        """Until nobody listens any more; a training only notes it once more."""
        while self.listens(number):
            time.sleep(AGAIN_SECONDS)
            if self.listens(number):
                os.kill(os.getpid(), number)

    def listens(self, number):
        handler = signal.getsignal(number)
        return handler is self or getattr(handler, "__func__", None) is asked_to_stop.note


def on_the_way_out(error):
    """Whether this is ``Preempted``, or came up while that was handled."""
    while error is not None and not isinstance(error, Preempted):
        error = error.__context__
    return error is not None


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

    Half a minute after a SIGTERM it is gone, whatever happens.
    """
    report_lost_batches()
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_SECONDS))
    signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))


@contextmanager
def workers_end() -> Iterator[None]:
    """After the block no data-loading worker is left that Python would wait for at its exit."""
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise for each of them
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGALRM)


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
