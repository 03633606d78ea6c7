"""Which GPUs are visible, by a real executable `nvidia-smi` that prints what one prints."""

import pytest

from pipeline.compute.gpus import visible_gpus

ALIKE = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11110000-aaaa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-11112222-bbbb)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-33330000-cccc)
"""
MIXED = ALIKE.replace("2: NVIDIA A100-SXM4-40GB", "2: NVIDIA GeForce GT 710")
DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11110000-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-77770000-aaaa)
  MIG 3g.20gb     Device  1: (UUID: MIG-88880000-bbbb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22220000-bbbb)
  MIG 7g.40gb     Device  0: (UUID: MIG-GPU-22220000-bbbb/1/0)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``machine(listing, visible)``: a machine with these GPUs and this CUDA_VISIBLE_DEVICES."""

    def machine(listing, visible=None, code=0):
        script = tmp_path / "nvidia-smi"
        script.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\nexit {code}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        return [gpu.uuid for gpu in visible_gpus()]

    return machine


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-11110000-aaaa", "GPU-11112222-bbbb", "GPU-33330000-cccc"]),
        ("", []),
        ("2,0", ["GPU-33330000-cccc", "GPU-11110000-aaaa"]),
        (" 1 , 2 ", ["GPU-11112222-bbbb", "GPU-33330000-cccc"]),
        ("1,7,0", ["GPU-11112222-bbbb"]),  # the list ends at the first wrong entry
        ("-1,0", []),
        ("NoDevFiles", []),
        ("0,0", []),  # CUDA shows none
        ("GPU-33330000-cccc,GPU-11110000-aaaa", ["GPU-33330000-cccc", "GPU-11110000-aaaa"]),
        ("GPU-3333", ["GPU-33330000-cccc"]),
        ("GPU-1111", []),  # two begin so
        ("GPU-3333,0", ["GPU-33330000-cccc"]),  # one form only
        ("0,GPU-3333", ["GPU-11110000-aaaa"]),
    ],
)
def test_cuda_visible_devices(machine, visible, expected):
    assert machine(ALIKE, visible) == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["MIG-77770000-aaaa", "MIG-88880000-bbbb", "MIG-GPU-22220000-bbbb/1/0"]),
        ("MIG-8888", ["MIG-88880000-bbbb"]),
        ("MIG-GPU-22220000-bbbb/1/0", ["MIG-GPU-22220000-bbbb/1/0"]),
        ("MIG-8888,MIG-9", ["MIG-88880000-bbbb"]),
        ("1", ["MIG-GPU-22220000-bbbb/1/0"]),
    ],
)
def test_instances(machine, visible, expected):
    assert machine(DIVIDED, visible) == expected


def test_numbers_of_different_cards_are_refused(machine, monkeypatch):
    with pytest.raises(ValueError, match="set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs"):
        machine(MIXED, "2")
    assert machine(MIXED, "GPU-3333") == ["GPU-33330000-cccc"]
    assert len(machine(MIXED)) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [gpu.uuid for gpu in visible_gpus()] == ["GPU-33330000-cccc"]


def test_no_nvidia_smi_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == []


def test_a_broken_driver_is_told(machine, capsys):
    assert machine("Driver/library version mismatch\n", code=18) == []
    assert "nvidia-smi failed: Driver/library version mismatch" in capsys.readouterr().out
