"""An optimizer step on a CPU from equal pieces of its batch, added up in an order that is fixed.

The same bits then come out whether 1, 2 or 4 processes share the pieces: each takes the piece that
its rank says and every n-th one after it, and sums of sums follow the same tree.
"""

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper

from pipeline.detection.step_statistics import gathered


class FixedOrderOptimWrapper(OptimWrapper):
    """mmengine's wrapper of ``accumulative_counts`` pieces a rank, which exchanges the gradients.

    One exchange a step, of all gradients together; the model needs no wrapper for several ranks.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pieces = []

    @property
    def learning(self):
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def scale_loss(self, loss):
        """Whole: the sum over the pieces is divided at the end."""
        return loss

    def backward(self, loss, **kwargs):
        super().backward(loss, **kwargs)
        self.pieces.append(torch.cat([gradient(p).reshape(-1) for p in self.learning]))
        self.zero_grad()

    def step(self, **kwargs):
        count = len(self.pieces) * get_world_size()
        total = tree_sum(self.pieces)
        self.pieces = []
        if get_world_size() > 1:
            total = tree_sum(gathered(total))
        total /= count
        parts = total.split([p.numel() for p in self.learning])
        for parameter, part in zip(self.learning, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        super().step(**kwargs)


def gradient(parameter):
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def tree_sum(terms: list[torch.Tensor]) -> torch.Tensor:
    """The sum of the even terms' and of the odd terms' sums, and so on downwards.

    Ranks that have every n-th piece can add up their own first, for n a power of 2.
    """
    if len(terms) == 1:
        return terms[0]
    return tree_sum(terms[::2]) + tree_sum(terms[1::2])
