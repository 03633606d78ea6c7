"""Prepare a data set on disk: annotation files and image folders -> the pipeline's own files."""

from pathlib import Path

from pipeline.data.annotation_file import write_annotation_file
from pipeline.data.annotations import THINNEST, complete_categories, read_split
from pipeline.data.categories import write_categories
from pipeline.data.images import resolve_file_names, verify_images, write_manifest
from pipeline.data.index import write_index
from pipeline.params import FilesData, LvisData


def prepare_files(data: FilesData, out: Path) -> dict[str, dict]:
    """Write {train,val}.json, index/, categories.csv and images.csv; the images stay in place.

    Returns the two documents by the name of their split.
    """
    documents = read_documents({n: annotation_file(data, n) for n in ("train", "val")})
    for name, document in documents.items():
        resolve_file_names(document["images"], data.images(name), name)
    verify_and_write(data, documents, out)
    return documents


def annotation_file(data: FilesData, split: str) -> Path:
    if not Path(data.source).is_dir():
        raise ValueError(f"data.source is {data.source!r}, which is no folder of annotation files")
    path = Path(data.source, getattr(data, split).annotations)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; correct data.{split}.annotations")
    return path


def read_documents(paths: dict[str, Path]) -> dict[str, dict]:
    """Both splits, completed, and with the same categories."""
    documents = {name: read_split(path, name) for name, path in paths.items()}
    categories = complete_categories(documents["train"], documents["val"])
    return {name: {**document, "categories": categories} for name, document in documents.items()}


def verify_and_write(data: FilesData | LvisData, documents: dict[str, dict], out: Path) -> None:
    """Check every image, whose ``file_name`` is known by now; then write the pipeline's files."""
    out, rows = Path(out), []
    for name, document in documents.items():
        rows += verify_images(document["images"], data.images(name), name, data.verify)
    for name, document in documents.items():
        write_annotation_file(out / f"{name}.json", document)
        write_index(out / "index" / name, learnable(document))
    write_categories(out / "categories.csv", documents["train"]["categories"])
    write_manifest(out / "images.csv", rows)


def learnable(document: dict) -> dict:
    """Without what is thinner than a pixel, which evaluation judges and mmdet cannot learn."""
    kept = [a for a in document["annotations"] if min(a["bbox"][2:]) >= THINNEST]
    return {**document, "annotations": kept}
