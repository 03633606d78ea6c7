"""The data of a run as MLflow's dataset inputs: where they come from, and how much there is."""

from dataclasses import dataclass

from pipeline.data.places import ROOT
from pipeline.masking import masked
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
    origin = data.origin(split)
    if origin is None:
        settings = configuration.flatten(configuration.plain(data))
        code = str(data.file.relative_to(ROOT))
        return "code", {"tags": {"mlflow.source.name": code, **settings}}
    if "://" in str(origin):
        return "http", {"url": masked(origin)}
    return "local", {"uri": str((root / origin).absolute())}
