"""The parts of gpu_check.py: functions of the device ("cuda" or "cpu") that return their figures.

A part runs in a process and an empty folder of its own. What it raises is a fail; ``NotHere`` says
what it lacks.
"""

from dataclasses import dataclass


class NotHere(Exception):
    """The machine lacks something that the part needs."""


class Missed(Exception):
    """A fail whose ``figures`` are worth keeping."""

    def __init__(self, reason, figures):
        super().__init__(reason)
        self.figures = figures


@dataclass(frozen=True)
class Part:
    """``module.function``; ``seconds`` at most on a GPU; whether it makes sense on a CPU."""

    module: str
    seconds: int
    on_cpu: bool = False


# half an hour together
PARTS = {
    "losses": Part("parity", 60, on_cpu=True),
    "hallucination": Part("parity", 60, on_cpu=True),
    "operators": Part("parity", 60, on_cpu=True),
    "precisions": Part("training", 150, on_cpu=True),
    "ranks": Part("training", 90, on_cpu=True),
    "prediction": Part("training", 90, on_cpu=True),
    "saturation": Part("data_path", 120),
    "leases": Part("machine", 30),
    "smoke": Part("machine", 120, on_cpu=True),
    "training_step": Part("machine", 240),
    "memory": Part("machine", 300),
    "default": Part("machine", 480),
}
