"""A loading worker that cannot send a batch ends the training with its reason, not in silence."""

import os
import subprocess
import sys

import pytest

LOADER = """
import sys
import torch
from torch.utils.data import DataLoader, Dataset
from pipeline.command_line import one_line
from pipeline.compute.signals import survive_signals, workers_end
class Items(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return (lambda: index) if sys.argv[1] == "unsendable" else torch.zeros(int(sys.argv[1]))
with one_line(), workers_end():
    loader = DataLoader(Items(), batch_size=2, num_workers=2, collate_fn=list,
                        worker_init_fn=survive_signals)
    print(len(list(loader)), "batches")
"""


def load(root, items, *around):
    command = [*around, sys.executable, "-c", LOADER, items]
    return subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_batches_arrive(root):
    assert load(root, "100000").stdout == "4 batches\n"


def test_a_batch_that_cannot_be_sent_is_an_error_of_the_training(root):
    done = load(root, "unsendable")
    assert done.returncode == 1
    assert "Can't pickle" in done.stderr
    assert "in sending" in done.stderr


@pytest.mark.parametrize("size", ["64k", "1m"])
def test_shared_memory_that_is_full(size, root):
    small = ("unshare", "--mount", "--map-root-user", "bash", "-c")
    mount = f"mount -t tmpfs -o size={size} none /dev/shm"
    if subprocess.run([*small, mount], capture_output=True).returncode:
        pytest.skip("no /dev/shm of one's own may be mounted here")
    done = load(root, "100000", *small, f'{mount}; exec "$@"', "bash")
    assert done.returncode == 1
    assert done.stderr == (
        "error: shared memory (/dev/shm) is full; give it more (Docker: --shm-size 8g), "
        "or set compute.workers to 0\n"
    )
