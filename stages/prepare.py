"""Make the data set: generate `symbols`, find or download LVIS, or complete one on disk.

reads   params.yaml (data), and the annotation files and images that it names
writes  data/<name>/: train.json, val.json (LVIS format), index/, categories.csv, and
        images/ or, of files on disk, images.csv;
        reports/data/<name>.html: statistics
"""

from pathlib import Path

from pipeline import params
from pipeline.compute.stage import run_stage
from pipeline.files import atomic_folder


def prepare() -> None:
    data = params.load().data
    with atomic_folder(Path("data", data.name)) as out:
        documents = make(data, out)
        from pipeline.reporting.data_page import write_data_page

        # before the folder gets its name: where no page can be made nothing is left
        write_data_page(Path("reports", "data", f"{data.name}.html"), data.name, documents)


def make(data, out):
    """The train and val documents, which are also written into ``out``."""
    if isinstance(data, params.SymbolsData):
        from pipeline.data.sources.symbols import generate

        return generate(data, out)
    if isinstance(data, params.LvisData):
        from pipeline.data.sources.lvis import prepare_lvis

        return prepare_lvis(data, out)
    from pipeline.data.sources.files import prepare_files

    return prepare_files(data, out)


if __name__ == "__main__":
    run_stage(prepare, __doc__)
