"""What a backend is given: work that leaves its results in a folder and can be stopped anytime."""

from pathlib import Path
from typing import Protocol

from pipeline.params import Params


class Task(Protocol):
    """Training or prediction. Picklable; nothing heavy is imported before ``work``.

    The process of the stage (the launcher) asks ``finished``, runs ``work`` on workers until it is,
    and then calls ``collect``. Work that was stopped goes on where it had saved.
    """

    settings: Params
    name: str
    folder: Path  # absolute, seen by all workers; the results and what was saved lie here

    def finished(self) -> bool:
        """Whether the results are complete."""

    def saved(self) -> object:
        """Something that compares as different after more was saved."""

    def check_ranks(self, count: int) -> None:
        """``ValueError`` where ``count`` processes cannot share the work."""

    def cpu_ranks(self, cores: int) -> int:
        """How many processes of one thread shall share the work on a CPU with so many cores."""

    def work(self) -> None:
        """Run on every rank, inside ``pipeline.compute.ranks.ranks()``; returns when finished, or
        saved after SIGTERM, SIGUSR1 or SIGUSR2."""

    def collect(self) -> None:
        """Put the finished results where DVC expects them."""
