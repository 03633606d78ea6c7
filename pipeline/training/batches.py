"""Which images make a step: total batches, the same for any number of GPUs and micro-batches."""

from itertools import islice

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class ShuffledSampler(Sampler):
    """A permutation of the data set that (seed, epoch) determine; every rank gets all of it."""

    def __init__(self, dataset, seed: int):
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self):
        return len(self.dataset)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(torch.randperm(len(self), generator=generator).tolist())


@DATA_SAMPLERS.register_module()
class TotalBatchSampler:
    """Batches of images that are all upright or all wide (less padding); a rank gets its share.

    Args:
        sampler: gives the order of the images.
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
        for index in self.sampler:
            width, height = self.sampler.dataset.image_size(index)
            group = upright if width < height else wide
            group.append(index)
            if len(group) == self.batch_size:
                yield group[:]
                group.clear()
        rest = upright + wide
        for start in range(0, len(rest), self.batch_size):
            yield rest[start : start + self.batch_size]
