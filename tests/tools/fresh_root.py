"""Run the Dockerfile's steps in a fresh Debian root, where no Docker engine is at hand.

    python tests/tools/fresh_root.py FOLDER [--build-arg NAME=VALUE ...] [--then COMMAND]

FOLDER becomes the root: debootstrap fills it in place of the image of FROM, so there is no CUDA
(mmcv is installed with FORCE_CUDA=0). COPY and RUN then happen as the Dockerfile says, and COMMAND
as its last user. Needs Linux, root and `debootstrap`. pip in there sees this machine's pip
settings, local packages and cache, so mmcv is not compiled again where the Python is the same.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# An image is built for CUDA and keeps no cache of pip; this root is neither an image nor has CUDA.
ARGUMENTS = {"FORCE_CUDA": "0", "PIP_NO_CACHE_DIR": ""}
PIP_CACHE = "/root/.cache/pip"  # in the fresh root: where its own pip looks


def instructions(text):
    """(instruction, rest) of a Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


class Build:
    """A root folder and what the instructions so far have set for the next ones."""

    def __init__(self, root, suite, arguments):
        self.root, self.suite, self.arguments = root, suite, arguments
        self.environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.build_only = {}
        self.workdir, self.user = "/", "root"
        self.shares = host_pip_shares()

    def follow(self, instruction, rest):
        getattr(self, f"do_{instruction.lower()}")(rest)

    def do_from(self, image):
        command = ["debootstrap", "--variant=minbase", self.suite, str(self.root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in ("etc/resolv.conf", "etc/hosts"):
            shutil.copy(Path("/", name), self.root / name)

    def do_arg(self, text):
        name, equals, default = text.partition("=")
        if equals or name in self.arguments:
            self.build_only[name] = self.arguments.get(name, default.strip('"'))

    def do_env(self, text):
        for word in shlex.split(text):
            name, _, value = word.partition("=")
            self.environment[name] = self.expand(value)

    def expand(self, text):
        return re.sub(r"\$(\w+)", lambda match: self.environment.get(match[1], ""), text)

    def do_workdir(self, folder):
        self.workdir = folder
        self.inside(folder).mkdir(parents=True, exist_ok=True)

    def do_copy(self, text):
        options = [word for word in text.split() if word.startswith("--")]
        *sources, _ = [word for word in text.split() if word not in options]
        for source in sources:
            copy_project(self.inside(self.workdir), source)
        for option in options:
            owner = option.removeprefix("--chown=")
            subprocess.run(["chroot", self.root, "chown", "-R", owner, self.workdir], check=True)

    def do_run(self, command):
        self.run(command, self.environment | self.build_only | host_pip_environment())

    def do_user(self, name):
        self.user = name

    def do_cmd(self, text):
        """Whoever starts a container says what runs in it: ``--then``."""

    def run(self, command, environment):
        """In a mount namespace of its own: what is mounted for it is gone with it."""
        shares = {} if "apt-get" in command else self.shares  # packages own some of these paths
        binds = "".join(self.bind(path, target) for path, target in shares.items())
        chroot = f"chroot --userspec={self.user} {shlex.quote(str(self.root))}"
        inner = f"cd {self.workdir} && {command}"
        variables = [f"{name}={value}" for name, value in environment.items()]
        words = ["env", "-i", *variables, "/bin/sh", "-c", inner]
        script = f"{binds}{self.bind('/proc', '/proc')}{self.bind('/dev', '/dev')}"
        script += f"exec {chroot} {shlex.join(words)}"
        subprocess.run(["unshare", "--mount", "/bin/sh", "-ec", script], check=True)

    def bind(self, path, target):
        place = self.inside(target)
        if Path(path).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        return f"mount --rbind {shlex.quote(str(path))} {shlex.quote(str(place))}\n"

    def inside(self, path):
        return self.root / str(path).lstrip("/")


def copy_project(target, source):
    """A file; or, for ".", the repository and the files that git knows or would add."""
    if source != ".":
        shutil.copy2(PROJECT / source, target)
        return
    clone = target / ".clone"
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", PROJECT, clone], check=True)
    shutil.move(clone / ".git", target / ".git")
    clone.rmdir()
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    for name in listed.stdout.split("\0"):
        if name and (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    trusting = ("-c", "safe.directory=*")  # the folder's owner is the image's user already
    subprocess.run(["git", *trusting, "-C", target, "reset", "--quiet"], check=True)


def host_pip_environment():
    """pip's settings, and a proxy's, of this machine."""
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    return {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("PIP_") and name not in ARGUMENTS) or name.lower() in proxies
    }


def host_pip_shares():
    """{path here: path in the root} of pip's cache, and of whatever its settings name."""
    settings = pip("config", "list")
    indexes = {Path(found).parent for found in re.findall(r"file://(/[\w./-]+)", settings)}
    named = {Path(found) for found in re.findall(r"'(/[\w./-]+)", settings)}
    everywhere = {Path("/etc/xdg/pip"), Path("/etc/pip.conf")}
    found = {str(path): str(path) for path in indexes | named | everywhere if path.exists()}
    return found | {pip("cache", "dir").strip(): PIP_CACHE}


def pip(*words):
    command = [sys.executable, "-m", "pip", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suite", default="bookworm", help="the Debian release (Python 3.11)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--then", default="true", help="run this last, as the image's user")
    arguments = parser.parse_args()
    given = dict(argument.split("=", 1) for argument in arguments.build_arg)
    build = Build(arguments.folder.resolve(), arguments.suite, ARGUMENTS | given)
    for instruction, rest in instructions((PROJECT / "Dockerfile").read_text()):
        timed(f"{instruction} {rest}", build.follow, instruction, rest)
    timed(arguments.then, build.run, arguments.then, build.environment)


def timed(label, step, *values):
    print(f"> {' '.join(label.split())[:90]}", flush=True)
    start = time.monotonic()
    step(*values)
    print(f"  {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
