"""Which runs and methods a comparison takes, and the check that they are on the same data."""

import json

from pipeline.params.plain import flatten, plain
from pipeline.runs.finished import Finished
from pipeline.tables.rows import differing, settings


def conditions(run, method) -> dict[str, str]:
    """What ``--where`` may ask for."""
    about = {"method": method, "seed": str(run.params.seed), "run": run.name}
    return settings(run, method) | flatten(plain(run.params.data), "data.") | about


def select(runs, methods=(), where=None) -> list[tuple[Finished, str]]:
    """The (run, method) that are asked for; ``ValueError`` where there is none."""
    pairs = [(run, method) for run in runs for method in run.results]
    known = {method for _, method in pairs}
    for method in methods:
        if method not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise ValueError(f"no finished run has the method {method!r}; there are: {listed}")
    pairs = [(run, method) for run, method in pairs if not methods or method in methods]
    for key, wanted in (where or {}).items():
        values = {conditions(run, method).get(key) for run, method in pairs} - {None}
        pairs = [pair for pair in pairs if same_value(conditions(*pair).get(key), wanted)]
        if not pairs:
            listed = ", ".join(sorted(values)) or "no such key"
            raise ValueError(f"no finished run has {key}={wanted}; there are: {listed}")
    if not pairs:
        raise ValueError("there is no finished run to compare; see `dvc exp show`")
    return pairs


def same_value(text, wanted) -> bool:
    """``0.0001`` is ``1e-4``."""
    if text is None or text == wanted:
        return text is not None
    try:
        return json.loads(text) == json.loads(wanted)
    except ValueError:
        return False


def check_same_data(pairs) -> None:
    """``ValueError`` that names the data sets, where there are several: APs of different val
    images do not compare."""
    kinds = []
    for run, _ in pairs:
        kind = next((kind for kind in kinds if same_data(kind[0], run)), None)
        if kind is None:
            kinds.append([run])
        elif run not in kind:
            kind.append(run)
    if len(kinds) == 1:
        return
    different = differing([flatten(plain(kind[0].params.data), "data.") for kind in kinds])
    said = "; ".join(f"{describe(kind, different)}" for kind in kinds)
    raise ValueError(
        f"the runs are on different data, and their APs do not compare: {said}. "
        f"Name the runs of one of them, or use --where {different[0] if different else 'run'}=..."
    )


def describe(kind, different) -> str:
    data = flatten(plain(kind[0].params.data), "data.")
    words = [f"{key}={data[key]}" for key in different if key in data]
    names = list(dict.fromkeys(run.name for run in kind))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{' '.join(words) or kind[0].params.data.name} ({', '.join(names[:3])}{more})"


def same_data(one: Finished, other: Finished) -> bool:
    """By the digest that both know best: of the annotations, of the folder, else by the params."""
    for keys in (("train", "val"), ("folder",)):
        if all(key in one.data and key in other.data for key in keys):
            return all(one.data[key] == other.data[key] for key in keys)
    return one.params.data == other.params.data
