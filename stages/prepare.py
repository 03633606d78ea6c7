"""Make the data set, as its source has it (pipeline/data/sources/): generate, download, complete.

reads   params.yaml (data), and the annotation files and images that it names
writes  data/<name>/: train.json, val.json (LVIS format), index/, categories.csv, and
        images/ or, of images that lie elsewhere, images.csv;
        reports/data/<name>.html: statistics
"""

from pathlib import Path

from pipeline import params
from pipeline.compute.stage import run_stage
from pipeline.files import atomic_folder


def prepare() -> None:
    data = params.load().data
    with atomic_folder(Path("data", data.name)) as out:
        documents = data.prepare(out)
        from pipeline.reporting.data_page import write_data_page

        # before the folder gets its name: where no page can be made nothing is left
        write_data_page(Path("reports", "data", f"{data.name}.html"), data.name, documents)


if __name__ == "__main__":
    run_stage(prepare, __doc__)
