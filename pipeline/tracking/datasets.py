"""The data of a run as MLflow's dataset inputs: where they come from, and how much there is."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.masking import masked
from pipeline.params import LvisData, SymbolsData
from pipeline.params import plain as configuration


@dataclass(frozen=True)
class DatasetRecord:
    """``source`` and ``profile`` are mappings; ``context`` is "training" or "evaluation"."""

    name: str
    digest: str
    context: str
    source_type: str
    source: dict
    profile: dict


CONTEXTS = {"train": "training", "val": "evaluation"}


def dataset_records(project, categories, root):
    """One a split, of what ``prepare`` made; ``categories``: their number, None if unknown.

    Own data are relative to ``root``, which an experiment's temporary folder is not.
    """
    data = project.params.data
    records = []
    for split, found in project.splits.items():
        kind, source = source_of(data, split, root)
        profile = {"num_rows": found.images, "num_elements": found.boxes}
        if categories:
            profile["categories"] = int(categories)
        name = f"{data.name}/{split}"
        records.append(DatasetRecord(name, found.digest, CONTEXTS[split], kind, source, profile))
    return records


def source_of(data, split, root):
    """MLflow's type of the source and what it takes: a generator's settings, a URL or a file."""
    if isinstance(data, SymbolsData):
        settings = configuration.flatten(configuration.plain(data))
        return "code", {"tags": {"mlflow.source.name": data.source, **settings}}
    if isinstance(data, LvisData):
        from pipeline.data.sources.lvis import RELEASES

        key = f"{split}_annotations"
        url = data.urls.get(key, RELEASES[data.version].archives[key].url)
        return "http", {"url": masked(url)}
    path = Path(data.source).expanduser() / getattr(data, split).annotations
    return "local", {"uri": str((root / path).absolute())}
