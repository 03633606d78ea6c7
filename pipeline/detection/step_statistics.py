"""Statistics that see one optimizer step as one batch, however many micro-batches it is made of.

FCBL's confusion matrix and the hallucination's feature statistics are read by every micro-batch of
a step and must change once, after the last: then one GPU that accumulates gradients learns what
several GPUs learn, which read and change them at the same time.
"""

from contextlib import contextmanager

import torch


class StepStatistics:
    """A module whose ``update(*rows)`` takes in rows of a batch; ``record`` may put it off."""

    held = None

    def record(self, *rows):
        """``update(*rows)`` now, or together with the step's other rows inside ``one_step``."""
        if self.held is None:
            self.update(*rows)
        else:
            self.held.append(rows)

    def hold(self):
        self.held = []

    def release(self):
        """One ``update`` with all rows since ``hold``; none where nothing was recorded."""
        held, self.held = self.held, None
        if held:
            self.update(*(torch.cat(rows) for rows in zip(*held, strict=True)))


@contextmanager
def one_step(model):
    """Around all forward passes of one optimizer step."""
    modules = [module for module in model.modules() if isinstance(module, StepStatistics)]
    for module in modules:
        module.hold()
    yield
    for module in modules:
        module.release()
