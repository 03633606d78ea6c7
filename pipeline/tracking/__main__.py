"""Copy what the pipeline wrote into MLflow.

Reads params.yaml, dvc.lock, data/<name>/, models/, predictions/ and reports/. Writes one parent run
per configuration and one child run per stage to the server of params.yaml's tracking.uri
("sqlite": mlflow.db and mlartifacts/ in the project's folder; open them with `mlflow ui`).
What the server has already is not sent again. No server: a warning, and exit code 0.
"""

import argparse
import os
import signal
from pathlib import Path

from pipeline.command_line import run
from pipeline.tracking.sync import sync

LIVE_LIMIT_SECONDS = 120


def main():
    arguments = parse_arguments()
    if arguments.live:
        os.nice(10)
        signal.alarm(LIVE_LIMIT_SECONDS)  # ends the process: no training leaves one behind
    print(sync(arguments.root, arguments.scalars, live=arguments.live, force=True))
    if arguments.experiments:
        from pipeline.tracking.replay import sync_experiments

        print(sync_experiments(arguments.root))


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tracking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["sync"], help="bring MLflow up to date with the files")
    parser.add_argument("--root", type=Path, default=Path(), help="the folder of params.yaml")
    parser.add_argument(
        "--experiments", action="store_true", help="all DVC experiments too, from git and the cache"
    )
    parser.add_argument(
        "--live", action="store_true", help="while training: give up at once if a mirror is running"
    )
    parser.add_argument(
        "--scalars",
        type=running_training,
        action="append",
        default=[],
        metavar="METHOD=PATH",
        help="the scalars.jsonl of a training that is running",
    )
    return parser.parse_args()


def running_training(text):
    method, equals, path = text.partition("=")
    if not (method and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not METHOD=PATH")
    return method, Path(path)


if __name__ == "__main__":
    run(main)
