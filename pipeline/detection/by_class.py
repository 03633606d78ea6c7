"""Sums by class that cost what the rows cost, however many classes there are."""

import torch


def first_of_class(labels, classes):
    """[M]: the position of the first row that has the same of the ``labels`` [M] < ``classes``."""
    positions = torch.arange(len(labels), device=labels.device)
    first = labels.new_zeros(classes)
    return first.scatter_reduce(0, labels, positions, "amin", include_self=False)[labels]


def sums_at_first(rows, first):
    """[M, D]: the sum of a class's ``rows`` [M, D], in their order, at its first; 0 at the others.

    ``first`` [M] is that of ``first_of_class``. Nothing waits for the device.
    """
    return torch.zeros_like(rows).index_add_(0, first, rows)
