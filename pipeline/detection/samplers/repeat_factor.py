"""Images of rare categories come more often [Gupta et al. 2019, LVIS, appendix B.2]."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from mmdet.registry import DATA_SAMPLERS

from pipeline.params.limits import within


@DATA_SAMPLERS.register_module(name="repeat_factor")
class RepeatFactor:
    """Repeats an image by its rarest category.

    A category that is in a share f < ``threshold`` of all training images (those without objects
    included) has the factor sqrt(threshold / f), the others 1; an image has the largest factor of
    its categories. LVIS: 0.001, which is 100 of 100,170 images. A smaller set needs a larger
    threshold: 0.001 of 1,000 images is one image, and repeats none.

    ``rounding``: ``up`` repeats each image ceil(factor) times in every epoch, so 1.01 doubles it
    [mmengine: ClassBalancedDataset]. ``random`` repeats it floor(factor) times, and once more with
    the probability of the rest [detectron2: RepeatFactorTrainingSampler]; an epoch is then as long
    as the sum of the factors, rounded up, and takes the first so many images of an endless series
    of draws, so that every epoch has the same number of steps.
    """

    def __init__(
        self,
        index,
        seed,
        threshold: Annotated[float, within(0, 1)] = 0.001,
        rounding: Literal["up", "random"] = "up",
    ):
        self.seed, self.rounding = seed, rounding
        self.images = index.with_objects()
        self.factors = repeat_factors(index.labels(), threshold)[self.images]

    def draw(self, epoch: int) -> np.ndarray:
        random = np.random.default_rng([self.seed, epoch])
        if self.rounding == "up":
            return random.permutation(repeated(self.images, self.factors))
        # a factor is at least 1, and so less than twice its floor: two draws are always enough
        uniform = random.random((2, len(self.images)))
        draws = [random.permutation(repeated(self.images, self.factors, u)) for u in uniform]
        return np.concatenate(draws)[: int(np.ceil(self.factors.sum()))]


def repeat_factors(categories_of_each_image: Sequence, threshold: float) -> np.ndarray:
    """[I]: the factor of each image, from the list of its objects' categories."""
    sizes = [len(categories) for categories in categories_of_each_image]
    if not sum(sizes):
        return np.ones(len(sizes))
    names, category = np.unique(
        np.concatenate([np.asarray(c, int) for c in categories_of_each_image]), return_inverse=True
    )
    image = np.repeat(np.arange(len(sizes)), sizes)
    # a category counts once an image, however many objects it has there
    image, category = divmod(np.unique(image * len(names) + category), len(names))
    share = np.bincount(category) / len(sizes)
    factors = np.ones(len(sizes))
    np.maximum.at(factors, image, np.sqrt(threshold / share[category]))
    return factors


def repeated(images, factors, uniform=0.0) -> np.ndarray:
    """Each of ``images`` floor(factor) times, and once more where ``uniform`` is below the rest."""
    whole = np.floor(factors)
    return np.repeat(images, (whole + (uniform < factors - whole)).astype(int))
