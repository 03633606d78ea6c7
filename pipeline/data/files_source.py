"""Prepare a data set on disk: annotation files and image folders -> the pipeline's own files."""

from pathlib import Path

from pipeline.data.annotation_file import write_annotation_file
from pipeline.data.annotations import complete_categories, read_split
from pipeline.data.categories import write_categories
from pipeline.data.images import resolve_file_names, verify_images, write_manifest
from pipeline.data.index import write_index
from pipeline.params import FilesData


def prepare_files(data: FilesData, out: Path) -> None:
    """Write {train,val}.json, index/, categories.csv and images.csv; the images stay in place."""
    source, out = Path(data.source), Path(out)
    if not source.is_dir():
        raise ValueError(f"data.source is {data.source!r}, which is no folder of annotation files")
    files = {"train": data.train, "val": data.val}
    splits = {name: read_split(source / file.annotations, name) for name, file in files.items()}
    check_not_empty(data, splits)
    categories = complete_categories(splits["train"], splits["val"])
    rows = []
    for name, split in splits.items():
        folder = files[name].images
        resolve_file_names(split["images"], folder)
        rows += verify_images(split["images"], folder, name, data.verify)
    for name, split in splits.items():
        write_annotation_file(out / f"{name}.json", {**split, "categories": categories})
        write_index(out / "index" / name, {**split, "categories": categories})
    write_categories(out / "categories.csv", categories)
    write_manifest(out / "images.csv", rows)


def check_not_empty(data, splits):
    for name, split in splits.items():
        if not split["annotations"]:
            raise ValueError(f"data.{name}.annotations of {data.name} has no usable annotation")
