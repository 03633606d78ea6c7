"""What `diagnose` wrote about each method, as tables over all methods."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Diagnosis:
    """``folders``: method -> its folder; ``missing``: methods that were not diagnosed.

    The report names the latter, and goes on. ``grouping``: whose bins are wanted.
    """

    folders: dict[str, Path]
    missing: list[str]
    grouping: str

    def table(self, name: str) -> pd.DataFrame:
        """<name>.csv of all methods, with a column ``method`` first; empty where there is none.

        ``ValueError`` where a diagnosed method's file is gone or broken.
        """
        tables = [read(folder / f"{name}.csv", method) for method, folder in self.folders.items()]
        full = [table for table in tables if len(table)]
        if not full:
            return tables[0] if tables else pd.DataFrame(columns=["method"])
        table = pd.concat(full, ignore_index=True)
        return table[table.grouping == self.grouping] if "grouping" in table else table


def find_diagnosis(root: Path, methods: list[str], grouping: str) -> Diagnosis:
    folders = {method: root / "reports" / "diagnosis" / method for method in methods}
    found = {method: folder for method, folder in folders.items() if folder.is_dir()}
    return Diagnosis(found, [method for method in methods if method not in found], grouping)


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
