"""Two processes: what they learn together equals one process on all the data."""

import pytest
import torch
from mmengine.config import Config
from torch import distributed

import pipeline.detection  # noqa: F401
from pipeline.detection.features.hallucination import FeatureHallucination
from pipeline.detection.losses.fcbl import FCBL
from pipeline.params.methods import LAYERS
from pipeline.training.phases import freeze

CLASSES, FEATURES, RANKS = 6, 4, 2


def loss_batches():
    """(logits, labels) of each step and rank; in the second step rank 1 has no foreground."""
    generator = torch.Generator().manual_seed(0)
    steps = []
    for step in range(3):
        logits = torch.randn(RANKS, 20, CLASSES + 1, generator=generator)
        labels = torch.randint(0, CLASSES + 1, (RANKS, 20), generator=generator)
        if step == 1:
            labels[1] = CLASSES
        steps.append((logits, labels))
    return steps


def feature_batches():
    """(embeddings, labels) of each step and rank; in the second step rank 1 has none at all."""
    generator = torch.Generator().manual_seed(1)
    steps = []
    for step in range(3):
        sizes = [16, 0 if step == 1 else 33]
        steps.append(
            [
                (
                    torch.randn(size, FEATURES, generator=generator) + 5,
                    torch.randint(0, CLASSES, (size,), generator=generator),
                )
                for size in sizes
            ]
        )
    return steps


def worker(rank, folder, root):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS
    )
    loss, module = FCBL(CLASSES), FeatureHallucination(CLASSES, FEATURES)
    for logits, labels in loss_batches():
        loss(logits[rank], labels[rank])
    for step in feature_batches():
        module.record(*step[rank])
    result = {"loss": loss.state_dict(), "features": module.state_dict()}
    result["detector"] = detector_step(rank, root)
    torch.save(result, f"{folder}/rank{rank}.pth")
    distributed.destroy_process_group()


def detector_step(rank, root):
    """One distributed training step of a frozen detector; rank 1's image has no ground truth."""
    from tiny_detector import build_detector, training_batch

    torch.manual_seed(0)
    model = build_detector(Config.fromfile(root / "configs/detectors/faster_rcnn_r18_fpn.py"))
    freeze(model, LAYERS)
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    torch.manual_seed(rank)
    inputs, samples = training_batch(objects=3 if rank == 0 else 0, images=1)
    losses = parallel(inputs, samples, mode="loss")
    model.parse_losses(losses)[0].backward()
    head = model.roi_head
    return {
        "confusion": head.bbox_head.loss_cls.confusion(),
        "seen": head.hallucination.seen,
        "gradient": head.bbox_head.fc_cls.weight.grad,
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(worker, args=(folder, root), nprocs=RANKS)
    return [torch.load(folder / f"rank{rank}.pth") for rank in range(RANKS)]


def test_confusion_equals_one_process(ranks):
    alone = FCBL(CLASSES)
    for logits, labels in loss_batches():
        alone(logits.flatten(0, 1), labels.flatten())
    for rank in ranks:
        torch.testing.assert_close(rank["loss"], alone.state_dict())


def test_feature_statistics_equal_one_process(ranks):
    alone = FeatureHallucination(CLASSES, FEATURES)
    for step in feature_batches():
        alone.update(*(torch.cat(parts) for parts in zip(*step, strict=True)))
    for rank in ranks:
        torch.testing.assert_close(rank["features"], alone.state_dict())


def test_a_detector_trains_with_a_rank_without_objects(ranks):
    first, second = (rank["detector"] for rank in ranks)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert first["seen"].any()
    assert first["gradient"].abs().sum() > 0
    assert first["confusion"].sum() > 0
