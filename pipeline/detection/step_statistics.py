"""Statistics that see one optimizer step as one batch, however it is divided over ranks and time.

Batch norm, FCBL's confusion matrix and the hallucination's feature statistics are read by every
piece of a step and must change once, after the last, by the rows of all pieces in one order: then
one process that takes the pieces one by one learns what several learn together, bit for bit.
"""

from collections.abc import Iterable
from contextlib import contextmanager
from functools import lru_cache

import torch
from mmengine.dist import get_world_size
from torch import distributed
from torch.nn.functional import pad


class StepStatistics:
    """What takes in rows of a batch by ``update(*rows)``: those of all ranks, never a share.

    ``record(*rows)`` tells it a piece's rows; inside ``one_step`` they are kept until its end.
    Every rank must call it as often as the others, also with no row.
    """

    held = None

    def record(self, *rows):
        if self.held is None:
            take_in([self], [[rows]], pieces=1)
        else:
            self.held.append(rows)


@contextmanager
def one_step(model, pieces: int = 1, beside: Iterable[StepStatistics] = ()):
    """Around all forward passes of one optimizer step, of which this rank takes ``pieces``.

    The statistics are those in ``model``, and the ones ``beside`` it.
    """
    statistics = [module for module in model.modules() if isinstance(module, StepStatistics)]
    statistics += beside
    for one in statistics:
        one.held = []
    yield
    held = [one.held for one in statistics]
    for one in statistics:
        one.held = None
    take_in(statistics, held, pieces)


def take_in(statistics, held, pieces):
    """One ``update`` of each by the calls of ``record`` that it has ``held``, on every rank."""
    flat = [rows for calls in held for call in calls for rows in call]
    of_ranks = [iter(tensors) for tensors in of_all_ranks(flat)]
    for one, calls in zip(statistics, held, strict=True):
        if calls:
            found = [[[next(tensors) for _ in call] for call in calls] for tensors in of_ranks]
            one.update(*map(torch.cat, zip(*in_order(found, pieces), strict=True)))


def in_order(of_ranks, pieces):
    """The calls of each rank in the order of the step's pieces, which ranks have in turns."""
    size = len(of_ranks[0]) // pieces
    starts = range(0, size * pieces, size)
    return [call for start in starts for calls in of_ranks for call in calls[start : start + size]]


def of_all_ranks(tensors: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """The tensors that each rank calls this with; the k-th ones differ in length only.

    All travel together, as bytes. The lengths go over the CPU, and no GPU is waited for.
    """
    if get_world_size() == 1 or not tensors:
        return [tensors]
    own = torch.tensor([tensor.numel() * tensor.element_size() for tensor in tensors])
    sizes = [counts.tolist() for counts in gathered(own, cpu_group())]
    longest = max(map(sum, sizes))
    packed = torch.cat([tensor.reshape(-1).view(torch.uint8) for tensor in tensors])
    received = gathered(pad(packed, (0, longest - len(packed))))
    return [unpacked(data, counts, tensors) for data, counts in zip(received, sizes, strict=True)]


def unpacked(data, sizes, like):
    """Tensors of ``sizes`` bytes, of the types and row shapes of those they are ``like``."""
    parts = data[: sum(sizes)].split(sizes)
    # a copy, because a view of another type must begin at a multiple of its size
    return [
        part.clone().view(tensor.dtype).reshape(-1, *tensor.shape[1:])
        for part, tensor in zip(parts, like, strict=True)
    ]


def gathered(tensor, group=None):
    """The ranks' tensors of one shape, in their order."""
    found = [torch.empty_like(tensor) for _ in range(get_world_size())]
    distributed.all_gather(found, tensor, group=group)
    return found


def cpu_group():
    """Of all ranks, without their GPUs."""
    return group_beside(distributed.group.WORLD)


@lru_cache(maxsize=1)
def group_beside(world):
    on_cpu = distributed.get_backend(world) == "gloo"
    return world if on_cpu else distributed.new_group(backend="gloo")
