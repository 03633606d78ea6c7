"""Which stages a DVC command will run: DVC's own graph, order and idea of what has changed.

Importing dvc takes about a second, so this is asked once a command, by its first stage.
"""

import contextlib
import io

import psutil


def dvc_process() -> psutil.Process | None:
    """The DVC command that runs this stage; None where there is none."""
    parents = psutil.Process().parents()
    return next((parent for parent in parents if start_of(words_of(parent)) is not None), None)


def words_of(process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def start_of(words) -> int | None:
    """Where `repro` or `exp run` stands in a command line; None in any other."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    for place, (word, following) in enumerate(pairs):
        if word == "repro" or (word in ("exp", "experiments") and following == "run"):
            return place
    return None


def planned(words: list[str], running: str) -> list[str]:
    """The stages that DVC's command line will run, in its order, as far as one can know now.

    ``running``, the first of them, runs already. What DVC's run cache has, and what does not need
    to run because an earlier stage made the same again, is only seen later. Raises whatever DVC
    does.
    """
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    asked = parse(words)
    with Repo() as repo:
        targets = [] if asked.all_pipelines else asked.targets or ["dvc.yaml"]
        steps = collect_stages(repo, targets, asked.recursive, getattr(asked, "glob", False))
        graph = get_active_graph(repo.index.graph)
        if not asked.single_item:
            steps = plan_repro(graph, steps, asked.pipeline, asked.downstream)
        forced = asked.force or asked.force_downstream
        return [stage.addressing for stage in will_run(steps, graph, running, forced)]


def parse(words):
    """As DVC itself reads its command line."""
    from dvc.cli.parser import get_main_parser

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return get_main_parser().parse_args(words[start_of(words) :])


def will_run(steps, graph, running, forced):
    """A stage runs if it has changed, or one before it runs and makes something new.

    Of a stage that always runs nobody expects something new: `check` writes the same each time.
    """
    first = next(stage for stage in steps if stage.addressing == running)
    rewritten = {out.fs_path for out in first.outs} if first.always_changed else set()
    new, found = set(), []
    for stage in steps:
        if stage is first:
            changed = not stage.always_changed
        else:
            changed = bool(new & {*graph.successors(stage)}) or has_changed(stage, rewritten)
        if changed or forced:
            new.add(stage)
        if changed or forced or stage.always_changed:
            found.append(stage)
    return found


def has_changed(stage, rewritten) -> bool:
    """DVC's ``stage.changed()`` without its locks, which the running stage holds."""
    inputs = [] if stage.frozen else stage.deps
    return (
        stage.changed_stage()
        or any(dep.status() for dep in inputs if dep.fs_path not in rewritten)
        or any(out.status() for out in stage.outs)
    )
