"""What a classifier stage remembers of its classes, and what diagnose makes of it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from mmdet.registry import MODELS

import pipeline.detection  # noqa: F401
from pipeline.detection.class_weights import write_class_weights
from pipeline.diagnosis.bins import BINS_A_GROUP, frequency_bins, group_of
from pipeline.diagnosis.classifier import write_classifier
from pipeline.diagnosis.confused_pairs import write_confusion
from pipeline.diagnosis.sampling import write_sampling
from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.training.class_history import FILE, ClassHistoryHook, collect

COUNTS = (1, 3, 20, 200)
CATEGORIES = [
    {
        "id": 10 + i,
        "name": name,
        "image_count": COUNTS[i],
        "instance_count": COUNTS[i],
        "frequency": "rrcf"[i],
    }
    for i, name in enumerate(("one", "none", "twenty", "many"))
]


def fake_runner(folder, epochs, hallucination=True):
    loss = MODELS.build(dict(type="fcbl", num_classes=len(COUNTS)))
    head = SimpleNamespace(bbox_head=SimpleNamespace(loss_cls=loss))
    if hallucination:
        module = dict(type="hallucination", num_classes=len(COUNTS), feature_dim=3)
        head.hallucination = MODELS.build(module)
    model = SimpleNamespace(roi_head=head)
    return SimpleNamespace(model=model, work_dir=str(folder), max_epochs=epochs, epoch=0)


def train(runner, seed):
    """Epochs of one step each; returns each epoch's own confusion, by a loop over the rows."""
    torch.manual_seed(seed)
    head, hook, alone = runner.model.roi_head, ClassHistoryHook(), []
    for epoch in range(runner.max_epochs):
        runner.epoch = epoch
        logits, labels = torch.randn(30, len(COUNTS) + 1), torch.randint(1, len(COUNTS), (30,))
        head.bbox_head.loss_cls(logits, labels)
        if hasattr(head, "hallucination"):
            head.hallucination.update(torch.randn(30, 3), labels)
        mean = np.zeros((len(COUNTS), len(COUNTS)))
        for i in range(len(COUNTS)):
            rows = [logits[n, :-1].softmax(0) for n in range(30) if labels[n] == i]
            if rows:
                mean[i] = torch.stack(rows).mean(0).numpy()
        alone.append(mean)
        hook.after_train_epoch(runner)
    return alone


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_first_and_last_epoch_stand_alone_and_all_epochs_have_their_chances(tmp_path, epochs):
    runner = fake_runner(tmp_path, epochs)
    alone = train(runner, epochs)
    collect(tmp_path, tmp_path)
    history = np.load(tmp_path / FILE)
    np.testing.assert_allclose(history["first"], alone[0], atol=1e-5)
    np.testing.assert_allclose(history["last"], alone[-1], atol=1e-5)
    assert history["epoch"].tolist() == list(range(1, epochs + 1))
    head = runner.model.roi_head
    confusion = head.bbox_head.loss_cls.confusion()
    np.testing.assert_allclose(history["own"][-1], confusion.diagonal().numpy(), atol=1e-6)
    expected = head.hallucination.class_probability(confusion.diagonal()).numpy()
    np.testing.assert_allclose(history["probability"][-1], expected, atol=1e-6)
    assert history["seen"][-1].tolist() == [False, True, True, True]


def test_an_epoch_written_again_after_a_kill_changes_nothing(tmp_path):
    for folder, again in ((tmp_path / "a", False), (tmp_path / "b", True)):
        runner = fake_runner(folder, 3)
        train(runner, 0)
        if again:
            runner.epoch = 2
            ClassHistoryHook().after_train_epoch(runner)
            (folder / "class_history" / ".0003.npz.abcdefgh.npz").write_bytes(b"killed")
        collect(folder, folder)
    a, b = (np.load(tmp_path / name / FILE) for name in "ab")
    assert all(np.array_equal(a[key], b[key], equal_nan=key != "seen") for key in a.files)


def test_a_loss_without_confusion_leaves_no_history(tmp_path):
    head = SimpleNamespace(bbox_head=SimpleNamespace(loss_cls=object()))
    runner = SimpleNamespace(model=SimpleNamespace(roi_head=head), work_dir=str(tmp_path), epoch=0)
    ClassHistoryHook().after_train_epoch(runner)
    collect(tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def read(path):
    table = pd.read_csv(path, keep_default_na=False)
    return table[table.grouping == "lvis"] if "grouping" in table else table


def test_confusion_by_bins_adds_up_and_names_the_largest_pair(tmp_path):
    runner = fake_runner(tmp_path, 2)
    alone = train(runner, 1)
    collect(tmp_path, tmp_path)
    write_confusion(tmp_path, tmp_path / FILE, CATEGORIES)
    table = read(tmp_path / "confusion.csv")
    sums = table.groupby(["epoch", "true"]).share.sum()
    np.testing.assert_allclose(sums, 1, atol=1e-4)
    # the first category has no sample, so its bin r1 has no row
    assert set(table.true) == {"r2", "c1", "f1"}
    cell = table[(table.epoch == "last") & (table.true == "c1") & (table.predicted == "f1")]
    assert cell.share.item() == pytest.approx(alone[1][2, 3], abs=1e-5)
    pair = read(tmp_path / "confused_pairs.csv").iloc[0]
    others = alone[0] * (1 - np.eye(4))
    true, predicted = np.unravel_index(others.argmax(), others.shape)
    assert [pair.true, pair.predicted] == [CATEGORIES[c]["name"] for c in (true, predicted)]
    assert pair["first"] == pytest.approx(others.max(), abs=1e-5)


def test_sampling_by_bins_adds_up_to_one_an_epoch(tmp_path):
    train(fake_runner(tmp_path, 3), 0)
    collect(tmp_path, tmp_path)
    write_sampling(tmp_path, tmp_path / FILE, CATEGORIES)
    table = read(tmp_path / "sampling.csv")
    np.testing.assert_allclose(table.groupby("epoch").probability.sum(), 1, atol=1e-5)
    assert table[table.epoch == 3].categories.sum() == len(COUNTS)
    assert table[table.bin == "r1"].seen.tolist() == [0.0] * 3


@pytest.mark.parametrize("write", [write_confusion, write_sampling])
def test_without_a_history_only_headers_are_written(tmp_path, write):
    write(tmp_path, tmp_path / FILE, CATEGORIES)
    assert all(len(read(path)) == 0 for path in tmp_path.glob("*.csv"))
    assert list(tmp_path.glob("*.csv"))


def test_without_hallucination_nothing_is_sampled(tmp_path):
    train(fake_runner(tmp_path, 2, hallucination=False), 0)
    collect(tmp_path, tmp_path)
    write_sampling(tmp_path, tmp_path / FILE, CATEGORIES)
    assert len(read(tmp_path / "sampling.csv")) == 0


def test_bins_go_from_few_to_many_images_within_a_group():
    categories = [{"image_count": n, "frequency": "r"} for n in range(10, 0, -1)]
    labels, bins = frequency_bins([*categories, {"image_count": 500, "frequency": "f"}], LVIS)
    assert labels == [*(f"r{n + 1}" for n in range(BINS_A_GROUP)), "f1"]
    assert bins[:10].tolist() == sorted(bins[:10], reverse=True)
    assert bins[10] == BINS_A_GROUP


def test_bins_of_the_other_grouping_start_with_what_was_not_in_training():
    categories = [{"instance_count": n} for n in (30, 0, 5, 9000)]
    labels, bins = frequency_bins(categories, SIMCAL)
    assert labels == ["-1", "11", "21", "41"]
    assert bins.tolist() == [2, 0, 1, 3]
    assert [group_of(label) for label in labels] == ["", "1", "2", "4"]


def test_norms_of_the_classes_without_background(tmp_path):
    weight = torch.tensor([[3.0, 4.0], [0.0, 1.0], [9.0, 9.0]])
    head = "roi_head.bbox_head.fc_cls"
    write_class_weights({f"{head}.weight": weight, f"{head}.bias": torch.ones(3)}, 2, tmp_path)
    write_classifier(tmp_path, tmp_path / "classifier.npz", CATEGORIES[:2])
    table = read(tmp_path / "classifier.csv")
    assert table.weight_norm.tolist() == [5.0, 1.0]
    assert table.category_id.tolist() == [10, 11]
