"""What all command lines share: whose code runs, where they print, how they end."""

import os
import subprocess
import sys

import pytest

COMMANDS = {
    "pipeline.ablation": ["--help"],
    "pipeline.comparison": ["--help"],
    "pipeline.evaluation": ["--help"],
    "pipeline.presets": [],
    "pipeline.tracking": ["--help"],
    "pipeline.training": ["clean", "--dry-run"],
    "stages.check": ["--help"],
    "stages.predict": ["--help"],
}
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def start(command, folder, **variables):
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | variables,
        capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("module", COMMANDS)
def test_what_nobody_reads_any_more_is_dropped_quietly(module, root):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *COMMANDS[module]], cwd=root, stdout=writer,
            stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_work_goes_on_when_nobody_reads(root, tmp_path):
    work = f"print('a' * 100_000); open({str(tmp_path / 'done')!r}, 'w')"
    main = f"def main():\n    {work}; raise ValueError('at the end')"
    code = f"from pipeline.command_line import run\n{main}\nrun(main)"
    command = f'{sys.executable} -c "$CODE" | head -c 1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], cwd=root, env={**os.environ, "CODE": code},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("a1\n", "error: at the end\n")
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_character_that_the_terminal_lacks_is_replaced(terminal, root):
    text = "print('AP \\u2013 \\u65e5\\u672c')"
    code = f"from pipeline.command_line import run; run(lambda: {text})"
    done = start(["-c", code], root, **TERMINALS[terminal])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"AP ? ??\n", b"")


@pytest.fixture
def checkout(tmp_path):
    """Another checkout of the project, whose presets are called differently."""
    for name in ("pipeline", "stages"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "pipeline/presets.py").write_text("print('of this checkout')")
    return tmp_path


@pytest.mark.parametrize("module", ["pipeline.presets", "pipeline.comparison", "stages.check"])
def test_the_code_of_another_checkout_is_refused(module, checkout, root):
    done = start(["-P", "-m", module], checkout, PYTHONPATH=str(root))
    line = done.stderr.decode()
    assert done.returncode == 1
    assert line.startswith(f"error: this is {checkout}, but the code that runs is {root}'s; unset")
    assert line.count("\n") == 1


def test_the_current_checkout_comes_before_a_foreign_path(checkout, root):
    done = start(["-m", "pipeline.presets"], checkout, PYTHONPATH=str(root))
    assert done.stdout == b"of this checkout\n"


def test_evaluation_runs_anywhere(checkout, root):
    files = ["--annotations", "a.json", "--predictions", "p.json", "--out", "o.json"]
    done = start(["-P", "-m", "pipeline.evaluation", *files], checkout, PYTHONPATH=str(root))
    assert done.stderr == b"error: a.json does not exist\n"
