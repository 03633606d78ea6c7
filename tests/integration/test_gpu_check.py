"""benchmarks/gpu_check.py without a GPU: what it says, its exit code, and its cheap parts."""

import importlib
import json
import os
import subprocess
import sys
import time
import uuid

import psutil
import pytest
import torch

from pipeline.compute.leases import FOLDER

OTHERS = {"1": 0.45, "2": 0.46}  # AP by seed
STUB = """
import subprocess, sys, time
name = sys.argv[1]
print("on the way")
if name == "crash":
    raise AssertionError("a first line\\nthe last line")
if name == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(sys.argv[2], "w").write(str(child.pid))
    time.sleep(600)
print('{"result": "pass", "figures": {"found": 1}}')
"""


@pytest.fixture
def module(root, monkeypatch):
    """Imports a file of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module


def run(root, *options):
    return subprocess.run(
        [sys.executable, str(root / "benchmarks/gpu_check.py"), *map(str, options)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_without_a_gpu_every_part_says_so_and_nothing_is_written(root, module):
    before = sorted((root / "reports").rglob("*"))
    done = run(root)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in lines] == list(module("gpu_parts").PARTS)
    assert all("not here" in line and line.endswith("no CUDA device") for line in lines)
    assert sorted((root / "reports").rglob("*")) == before


def test_parts_on_a_cpu_join_one_report(root, tmp_path):
    for parts in (("losses", "leases"), ("hallucination", "operators")):
        done = run(root, "--device", "cpu", "--out", tmp_path, "--only", *parts)
        assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("*.json")
    found = json.loads(file.read_text())
    assert found["torch"] == torch.__version__
    results = {name: part["result"] for name, part in found["parts"].items()}
    passed = dict.fromkeys(("losses", "hallucination", "operators"), "pass")
    assert results == {**passed, "leases": "not here"}
    kinds = {path.stem for path in (root / "pipeline/detection/losses").glob("[a-z]*.py")}
    assert set(found["parts"]["losses"]["figures"]) == kinds
    table = file.with_suffix(".md").read_text().splitlines()
    assert [row.split(" | ")[:2] for row in table[4:]] == [
        ["| losses", "pass"],
        ["| hallucination", "pass"],
        ["| operators", "pass"],
        ["| leases", "not here"],
    ]


@pytest.fixture
def stubbed(module, tmp_path, monkeypatch):
    """gpu_check with a stub in the place of the parts."""
    check = module("gpu_check")
    (tmp_path / "gpu_parts").mkdir()
    (tmp_path / "gpu_parts/__init__.py").touch()
    (tmp_path / "gpu_parts/__main__.py").write_text(STUB)
    stub = {**os.environ, "PYTHONPATH": str(tmp_path)}
    monkeypatch.setattr(check, "environment", lambda device: stub)
    return check


def test_a_crash_is_a_fail_with_its_last_line(stubbed):
    assert stubbed.run_child("fine", "cpu", 60)["result"] == "pass"
    crashed = stubbed.run_child("crash", "cpu", 60)
    assert (crashed["result"], crashed["reason"]) == ("fail", "the last line")


def test_a_part_that_hangs_ends_with_all_that_it_started(stubbed, tmp_path):
    pid = tmp_path / "pid"
    found = stubbed.run_child("hang", str(pid), 3)
    assert (found["result"], found["reason"]) == ("fail", "took longer than 3 s")
    for _ in range(50):
        if not psutil.pid_exists(int(pid.read_text())):
            return
        time.sleep(0.1)
    assert psutil.Process(int(pid.read_text())).status() == psutil.STATUS_ZOMBIE


def test_the_exit_code_is_1_where_a_part_failed(module, monkeypatch, capsys):
    check = module("gpu_check")
    ended = {"about": {"result": "pass", "figures": {"cuda": "13.0", "device": "x"}}}
    ended["losses"] = {"result": "fail", "reason": "why", "seconds": 1.0}
    monkeypatch.setattr(check, "run_child", lambda name, device, seconds: ended[name])
    monkeypatch.setattr(check, "write", lambda *arguments: None)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--only", "losses"])
    assert check.main() == 1
    assert "fail" in capsys.readouterr().out


def test_a_loss_that_differs_is_named(module, monkeypatch):
    parity = module("gpu_parts.parity")
    true_steps = parity.loss_steps

    def steps(config, device, dtype):
        error = 1e-3 if config["type"] == "focal" and device == "meta" else 0
        return [value + error for value in true_steps(config, "cpu", dtype)]

    monkeypatch.setattr(parity, "loss_steps", steps)
    with pytest.raises(AssertionError, match=r"^focal differs by"):
        parity.losses("meta")


def test_random_numbers_are_the_cpu_s(module):
    """A generator of another device is not asked: the same draws come with and without the mode."""
    parity = module("gpu_parts.parity")

    def draws(device):
        torch.manual_seed(0)
        probability = torch.ones(3, device=device)
        made = [torch.rand(4, device=device), torch.rand_like(probability)]
        return [*made, torch.empty(5, device=device).exponential_()]

    expected = draws("cpu")
    with parity.DrawnOnCpu():
        for found, wanted in zip(draws("cpu"), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        assert [value.device.type for value in draws("meta")] == ["meta"] * 3


def test_where_another_seed_is_expected(module, monkeypatch, tmp_path):
    """Mean 45, deviation 1: t for two degrees of freedom, 4.30, times sqrt(4 / 3)."""
    machine = module("gpu_parts.machine")
    (tmp_path / "reports/metrics").mkdir(parents=True)
    (tmp_path / "reports/metrics/bacl.json").write_text('{"AP": 0.44}')
    seeds = tmp_path / "reports/seeds.json"
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    seeds.write_text(json.dumps({"bacl": {s: {"metrics": {"AP": ap}} for s, ap in OTHERS.items()}}))
    assert machine.expected("bacl") == pytest.approx((45 - 4.965, 45 + 4.965), abs=0.01)


def test_leases_of_two_gpus(module, root, monkeypatch, tmp_path):
    """The part itself, with an nvidia-smi that has two cards."""
    names = [f"GPU-{uuid.uuid4()}" for _ in range(2)]
    fake = tmp_path / "nvidia-smi"
    listing = "\n".join(f"echo 'GPU {i}: Fake (UUID: {name})'" for i, name in enumerate(names))
    fake.write_text(f"#!/bin/sh\n{listing}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    try:
        assert module("gpu_parts.machine").leases("cuda") == {"GPUs": 2}
    finally:
        for name in names:
            (FOLDER / f"{name}.lock").unlink(missing_ok=True)
