"""Run an ablation: the members of a grid in parallel, as DVC experiments, and a table at the end.

reads   the grid (see configs/ablations/) and params.yaml
writes  reports/comparisons/<grid>/: index.html, table.csv, table.md, table.tex, as
        `python -m pipeline.comparison` does; one DVC experiment a member (`dvc exp show`), and
        the members' output in .ablations/<grid>/<member>.log

Call it again after anything: finished members are skipped, others go on from their checkpoints.
Exit code 1: a member failed; 85: stopped by a signal.
"""

import argparse
import sys
from pathlib import Path

from pipeline.command_line import run
from pipeline.compute.signals import PREEMPTED, Preempted


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("grid", type=Path, help="a yaml of members, like configs/ablations/*.yaml")
    parser.add_argument(
        "--workers", type=int, help="members at a time; left out: one a visible GPU, at least one"
    )
    parser.add_argument("--list", action="store_true", help="only show the members, run nothing")
    arguments = parser.parse_args()
    if arguments.workers is not None and arguments.workers < 1:
        parser.error("--workers takes 1 or more")
    return ablate(arguments.grid, arguments.workers, arguments.list)


def ablate(path, workers, only_list):
    from pipeline.ablation.members import FOLDER, run_all, runs
    from pipeline.ablation.progress import Progress
    from pipeline.ablation.table import write_table
    from pipeline.compute.gpus import visible_gpus
    from pipeline.files import locked
    from pipeline.runs.git_state import check_copies
    from pipeline.runs.grid import load_grid

    gpus = len(visible_gpus())
    workers = workers or max(1, gpus)
    members = load_grid(path)
    if only_list:
        for one in runs(path.stem, members, workers, gpus):
            print(f"{one.member.label:24} {one.state:8} {' '.join(one.overrides)}")
        return 0
    check_copies(Path.cwd())
    with locked(FOLDER):  # one command at a time: starts touch params.yaml
        all_runs = runs(path.stem, members, workers, gpus)
        run_all(all_runs, workers, Progress(workers))
        failed = [one for one in all_runs if one.state == "failed"]
        for one in failed:
            print(f"failed: {one.member.label}: {one.reason}", file=sys.stderr)
        print(write_table(path.stem, all_runs), end="")
    return int(bool(failed))


if __name__ == "__main__":
    try:
        run(main)
    except (Preempted, KeyboardInterrupt):
        print("stopped; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(PREEMPTED)
