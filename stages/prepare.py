"""Make the data set: generate `symbols`, or verify and complete one on disk.

reads   params.yaml (data), and the annotation files and images that it names
writes  data/<name>/: train.json, val.json (LVIS format), index/, categories.csv, images.csv
"""

from pathlib import Path

from pipeline import params
from pipeline.files import atomic_folder
from stages import run_stage


def prepare() -> None:
    data = params.load().data
    with atomic_folder(Path("data", data.name)) as out:
        if isinstance(data, params.SymbolsData):
            from pipeline.data.symbols import generate

            generate(data, out)
        else:
            from pipeline.data.files_source import prepare_files

            prepare_files(data, out)


if __name__ == "__main__":
    run_stage(prepare, __doc__)
