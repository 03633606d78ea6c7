"""How many cores a process may use, and how many processes share them."""

import os
from pathlib import Path

import pytest

from pipeline.compute.cores import cores
from pipeline.params import Train
from pipeline.training.predict_task import IMAGES_A_PART, Prediction
from pipeline.training.train_task import Training

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("max 100000", ALLOWED),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("99900000 100000", ALLOWED),
        ("", ALLOWED),
    ],
)
def test_a_containers_limit_counts(tmp_path, text, found):
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert cores(quota) == found


def test_without_containers(tmp_path):
    assert cores(tmp_path / "absent") == ALLOWED


@pytest.mark.parametrize(
    ("batch", "micro_batch", "on_cores"),
    [
        (16, 4, {1: 1, 2: 2, 3: 2, 4: 4, 64: 4}),
        (12, 2, {2: 2, 4: 3, 5: 3, 6: 6}),
        (16, None, {1: 1, 8: 1}),  # how it is divided would show in batch norm
    ],
)
def test_a_training_has_as_many_processes_as_share_its_pieces(batch, micro_batch, on_cores):
    train = Train(batch_size=batch, micro_batch=micro_batch, learning_rate=0.1)
    task = Training(Settings(train), "bce", None)
    assert {number: task.cpu_ranks(number) for number in on_cores} == on_cores
    for ranks in on_cores.values():
        task.check_ranks(ranks)


def test_a_prediction_has_no_process_without_a_part():
    task = Prediction(None, "bce", Path(), images=3 * IMAGES_A_PART)
    assert [task.cpu_ranks(number) for number in (1, 2, 16)] == [1, 2, 3]


class Settings:
    def __init__(self, train):
        self.train = train
