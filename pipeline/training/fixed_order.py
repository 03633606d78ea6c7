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
        groups = self.optimizer.param_groups
        # a frozen one keeps no gradient: with zeros SGD's weight decay would shrink it
        self.learning = [p for group in groups for p in group["params"] if p.requires_grad]
        self.lanes = [None] * lane_count(self._accumulative_counts)

    def scale_loss(self, loss):
        """Whole: the sum over the pieces is divided at the end."""
        return loss

    def backward(self, loss, **kwargs):
        """Autograd adds a piece's gradients to those of the pieces before it in its lane."""
        lane = self._inner_count % len(self.lanes)
        self.set_gradients(self.lanes[lane] or [None] * len(self.learning))
        super().backward(loss, **kwargs)
        self.lanes[lane] = [p.grad for p in self.learning]

    def step(self, **kwargs):
        gradients = tree_sum([self.complete(lane) for lane in self.lanes])
        if get_world_size() > 1:
            gradients = self.of_all_ranks(gradients)
        torch._foreach_div_(gradients, self._accumulative_counts * get_world_size())
        self.set_gradients(gradients)
        self.lanes = [None] * len(self.lanes)
        super().step(**kwargs)

    def set_gradients(self, gradients):
        for parameter, gradient in zip(self.learning, gradients, strict=True):
            parameter.grad = gradient

    def complete(self, gradients):
        """With zeros where no piece has reached a parameter."""
        found = zip(gradients, self.learning, strict=True)
        return [torch.zeros_like(p) if g is None else g for g, p in found]

    def of_all_ranks(self, gradients):
        """The sum, from one exchange of all in a row, each in the order of its memory."""
        row = torch.cat([gradient.as_strided((gradient.numel(),), (1,)) for gradient in gradients])
        (total,) = tree_sum([[row] for row in gathered(row)])
        parts = total.split([p.numel() for p in self.learning])
        return list(map(in_layout_of, parts, self.learning))


def in_layout_of(row, parameter):
    """``row`` with shape and strides of ``parameter``, which autograd gives gradients as well."""
    return row.as_strided(parameter.shape, parameter.stride(), row.storage_offset())


def lane_count(pieces: int) -> int:
    """How many sums of pieces there are at the ends of the tree: of 4 pieces (0, 2) and (1, 3)."""
    return lane_count(pieces // 2) * 2 if pieces % 2 == 0 and pieces > 2 else 1


def tree_sum(terms: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """The sum of the even terms' and of the odd terms' sums, and so on, each a list of tensors.

    An odd number of terms, as of ranks, is added up in its order. Terms may change.
    """
    if len(terms) % 2 == 0 and len(terms) > 2:
        terms = [tree_sum(terms[::2]), tree_sum(terms[1::2])]
    for term in terms[1:]:
        torch._foreach_add_(terms[0], term)
    return terms[0]
