"""Ready params files: list them, use one here, or try one in a copy of the project.

python -m pipeline.presets                    list
python -m pipeline.presets use smoke          params.yaml <- configs/presets/smoke.yaml
python -m pipeline.presets copy smoke DIR     a copy of the project in DIR that uses it
"""

import argparse
import difflib
import os
import shutil
import textwrap
from pathlib import Path

from pipeline import params
from pipeline.command_line import run
from pipeline.files import write_text
from pipeline.runs.git import git

FOLDER = Path("configs", "presets")


def presets() -> dict[str, Path]:
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def summary(path) -> str:
    """The preset's opening comment, without the line that says how to use it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in lines[: lines.index("")]]
    return " ".join(line for line in comment if not line.startswith("python -m"))


def use(name: str, target=Path("params.yaml")) -> str:
    """Replace ``target`` by the preset; returns the unified diff."""
    path = presets()[params.require_name(presets(), name, "preset", FOLDER)]
    params.load(path)
    new = path.read_text(encoding="utf-8")
    old = target.read_text(encoding="utf-8") if target.is_file() else ""
    write_text(target, new)
    lines = (text.splitlines(keepends=True) for text in (old, new))
    return "".join(difflib.unified_diff(*lines, str(target), str(path)))


def copy(name: str, folder: Path) -> None:
    """Copy what git knows of this project to a new repository that uses the preset."""
    if folder.exists():
        raise ValueError(f"{folder} exists already; name a new folder, or remove it")
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for file in filter(Path.is_file, map(Path, listed.split("\0")[:-1])):
        copy_file(file, folder / file)
    use(name, folder / "params.yaml")
    (folder / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "reports", ignore_errors=True)  # of the default run
    git("init", "--quiet", folder=folder)
    git("add", "--all", folder=folder)
    who = ("-c", "user.name=pipeline.presets", "-c", "user.email=none")
    git(*who, "commit", "--quiet", "--message", f"preset {name}", folder=folder)


def copy_file(file, target):
    """With the permissions that the user's umask gives new files, and to scripts with x."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    if os.access(file, os.X_OK):
        mode = target.stat().st_mode
        target.chmod(mode | (mode & 0o444) >> 2)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.presets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("use", help="replace params.yaml by a preset").add_argument("name")
    copier = commands.add_parser("copy", help="copy the project to a new folder, with a preset")
    copier.add_argument("name")
    copier.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "use":
        print(use(arguments.name) or "params.yaml is this preset already")
    elif arguments.command == "copy":
        copy(arguments.name, arguments.folder)
    else:
        for name, path in presets().items():
            print(f"{name}\n{textwrap.indent(textwrap.fill(summary(path), 92), '    ')}")


if __name__ == "__main__":
    run(main)
