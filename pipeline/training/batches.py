"""Which images make a step: total batches, the same for any number of GPUs and micro-batches."""

from itertools import islice

import numpy as np
import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import Sampler


class EpochSampler(Sampler):
    """The items (index, repeat) of an epoch, in the order that (seed, epoch) determine.

    ``repeat`` counts how often the epoch has had the image before. Every rank gets all items.
    """

    def __init__(self, dataset, seed: int):
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class ShuffledSampler(EpochSampler):
    """Every image of the data set once."""

    def __len__(self):
        return len(self.dataset)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return ((index, 0) for index in torch.randperm(len(self), generator=generator).tolist())


@DATA_SAMPLERS.register_module()
class DrawnSampler(EpochSampler):
    """The images that a rule of pipeline/detection/samplers/ draws.

    Args:
        rule: its type and knobs.
    """

    def __init__(self, dataset, seed: int, rule: dict):
        super().__init__(dataset, seed)
        self.rule = DATA_SAMPLERS.build({**rule, "index": dataset.index, "seed": seed})
        first = self.rule.draw(0)
        self.length = len(first)
        if get_rank() == 0:
            print(f"sampler {rule['type']}: {effect(first, len(dataset))}", flush=True)

    def __len__(self):
        return self.length

    def __iter__(self):
        drawn = self.rule.draw(self.epoch)
        assert len(drawn) == self.length, "the steps of an epoch are fixed for a run"
        places = self.dataset.places_of(drawn)
        return iter(list(zip(places.tolist(), repeats(drawn).tolist(), strict=True)))


def repeats(drawn: np.ndarray) -> np.ndarray:
    """How often each element has stood before it: [5, 7, 5, 5] gives [0, 0, 1, 2]."""
    order = np.argsort(drawn, kind="stable")
    ordered = drawn[order]
    found = np.empty(len(drawn), int)
    found[order] = np.arange(len(drawn)) - np.searchsorted(ordered, ordered)
    return found


def effect(drawn: np.ndarray, available: int) -> str:
    """What a draw does to the ``available`` images, in words."""
    counts = np.unique(drawn, return_counts=True)[1]
    left_out = available - len(counts)
    return (
        f"{len(drawn)} images an epoch from {available}, {(counts > 1).sum()} of them more than "
        f"once (at most {counts.max(initial=0)} times), {left_out} not in the first epoch"
    )


@DATA_SAMPLERS.register_module()
class TotalBatchSampler:
    """Batches of images that are all upright or all wide (less padding); a rank gets its share.

    Args:
        sampler: gives the items (index, repeat) in order.
        batch_size: images of one optimizer step, over all ranks.
        parts: ranks times micro-batches. Part g is every ``parts``-th image from the g-th on, and
            rank r has the parts r, r + ranks, ...; a last, smaller batch repeats its first images
            until all parts are equally large.

    ``skip`` leaves out so many first batches, those that a resumed run has seen.
    """

    def __init__(self, sampler, batch_size: int, parts: int = 1):
        self.sampler = sampler
        self.batch_size = batch_size
        self.parts = parts
        self.skip = 0

    def __len__(self):
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self):
        for batch in islice(self.total_batches(), self.skip, None):
            missing = -len(batch) % self.parts
            filled = batch + (batch * missing)[:missing]
            yield filled[get_rank() :: get_world_size()]

    def total_batches(self):
        upright, wide = [], []
        for item in self.sampler:
            width, height = self.sampler.dataset.image_size(item[0])
            group = upright if width < height else wide
            group.append(item)
            if len(group) == self.batch_size:
                yield group[:]
                group.clear()
        rest = upright + wide
        for start in range(0, len(rest), self.batch_size):
            yield rest[start : start + self.batch_size]
