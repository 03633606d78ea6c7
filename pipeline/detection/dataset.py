"""The data set that training and prediction read: our own LVIS-format files, seeded per image."""

import random
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmdet.registry import DATASETS, TRANSFORMS

from pipeline.data.image_file import read_image
from pipeline.data.index import Index


@DATASETS.register_module()
class LongTailDataset(BaseDetDataset):
    """Images and instances from the index that ``prepare`` wrote; ``ann_file`` is its folder.

    mmdet's own data sets parse and copy the annotation file in every process; this one maps it.
    In training, images without any object are left out.
    """

    def full_init(self):
        """Map the index; mmengine calls this once before the first item."""
        if self._fully_initialized:
            return
        self.index = Index(self.ann_file)
        filtered = (self.filter_cfg or {}).get("filter_empty_gt") and not self.test_mode
        self.kept = self.index.with_objects() if filtered else np.arange(len(self.index))
        self._fully_initialized = True

    def __len__(self):
        self.full_init()
        return len(self.kept)

    def get_data_info(self, index: int) -> dict:
        """What the transforms start from."""
        self.full_init()
        info = self.index.image(self.kept[index])
        path = Path(self.data_prefix["img"], info["file_name"])  # an absolute name stays itself
        return {**info, "img_path": str(path), "sample_idx": index}

    def image_size(self, index: int) -> tuple[int, int]:
        """Width and height in pixels, without decoding the instances."""
        self.full_init()
        return self.index.size(self.kept[index])

    def places_of(self, positions: np.ndarray) -> np.ndarray:
        """Where images of the index [N] stand in this data set, which leaves some out."""
        self.full_init()
        places = np.searchsorted(self.kept, positions)
        assert np.array_equal(self.kept[places], positions), "an image that was left out"
        return places


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """mmdet's ``LoadImageFromFile``, with the reader that `prepare` checked the files with.

    A file that is absent, not an image or of another size than annotated is a ``ValueError`` that
    names it.
    """

    def transform(self, results: dict) -> dict:
        try:
            image = read_image(Path(results["img_path"]).read_bytes())
            check_size(image, results)
        except (OSError, ValueError) as error:
            absent = isinstance(error, FileNotFoundError)
            reason = "does not exist" if absent else getattr(error, "strerror", None) or error
            raise ValueError(
                f"{results['img_path']} {reason}; repair it and run `dvc repro -f prepare`"
            ) from None
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


def check_size(image, results):
    annotated, found = (results["height"], results["width"]), image.shape[:2]
    if found != annotated:
        raise ValueError(
            f"is {found[1]}x{found[0]} now, but was {annotated[1]}x{annotated[0]} when the data "
            "set was prepared"
        )


@DATASETS.register_module()
class SeededDataset:
    """Makes what an item looks like depend on (seed, epoch, index, repeat) alone.

    Neither the number of workers or ranks nor a resumed run then changes the data. An item is asked
    for as ``dataset[index, repeat]``: ``repeat`` counts how often the epoch has had the image
    before, so that one that comes again is augmented afresh. ``transforms`` that mix images
    (copy-paste) get a second image, any of the data set with the same chance.
    """

    def __init__(self, dataset: dict, transforms: list[dict], seed: int):
        self.dataset = DATASETS.build(dataset)
        self.metainfo = self.dataset.metainfo
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]
        self.seed = seed
        self.epoch = 0

    def __len__(self):
        return len(self.dataset)

    def image_size(self, index: int) -> tuple[int, int]:
        return self.dataset.image_size(index)

    def full_init(self):
        self.dataset.full_init()

    @property
    def index(self) -> Index:
        self.full_init()
        return self.dataset.index

    def places_of(self, positions: np.ndarray) -> np.ndarray:
        return self.dataset.places_of(positions)

    def __getitem__(self, item: tuple[int, int]) -> dict:
        index, repeat = item
        state = np.random.SeedSequence([self.seed, self.epoch, index, repeat]).generate_state(2)
        np.random.seed(state[0])
        random.seed(int(state[1]))
        results = self.dataset[index]
        for transform in self.transforms:
            if hasattr(transform, "get_indexes"):
                other = self.dataset[random.randrange(len(self.dataset))]
                results["mix_results"] = [other]
            results = transform(results)
            results.pop("mix_results", None)
        return results
