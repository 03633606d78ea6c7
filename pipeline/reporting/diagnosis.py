"""What `diagnose` wrote about each method, as tables over all methods."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.files import read_json

TABLES = (
    "calibration", "classes", "classifier", "confusion", "confused_pairs", "objects", "sampling",
)  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """One table a file, with a column ``method`` first; ``errors``: method -> errors.json.

    ``missing`` names the methods that were not diagnosed: the report says so, and goes on.
    """

    errors: dict[str, dict]
    calibration: pd.DataFrame
    classes: pd.DataFrame
    classifier: pd.DataFrame
    confusion: pd.DataFrame
    confused_pairs: pd.DataFrame
    objects: pd.DataFrame
    sampling: pd.DataFrame
    missing: list[str]


def load_diagnosis(root: Path, methods: list[str], grouping: str) -> Diagnosis:
    """Of bins only those of the ``grouping``; ``ValueError`` where a diagnosed method's file is
    gone or broken."""
    folders = {method: root / "reports" / "diagnosis" / method for method in methods}
    known = {method: folder for method, folder in folders.items() if folder.is_dir()}
    tables = {name: joined(known, name) for name in TABLES}
    for name in ("confusion", "objects", "sampling"):
        if len(tables[name]):
            tables[name] = tables[name][tables[name].grouping == grouping]
    return Diagnosis(
        errors={method: read_errors(folder, method) for method, folder in known.items()},
        missing=[method for method in methods if method not in known],
        **tables,
    )


def read_errors(folder, method) -> dict:
    path = folder / "errors.json"
    errors = read_json(path)
    if not (isinstance(errors, dict) and {"tide", "ece"} <= errors.keys()):
        raise ValueError(f"{path} is of another version; run: dvc repro --force diagnose@{method}")
    return errors


def joined(folders, name) -> pd.DataFrame:
    tables = [read(folder / f"{name}.csv", method) for method, folder in folders.items()]
    full = [table for table in tables if len(table)]
    if full:
        return pd.concat(full, ignore_index=True)
    return tables[0] if tables else pd.DataFrame(columns=["method"])


def read(path, method):
    """A category may be called "none" or "nan": only an empty field is missing, and no name is."""
    text = dict.fromkeys(("true", "predicted", "bin", "group"), str)
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=text)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} cannot be read: {reason}; run: dvc repro --force diagnose@{method}"
        ) from None
    table.insert(0, "method", method)
    return table
