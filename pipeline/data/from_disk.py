"""Annotation files and image folders on disk -> the pipeline's own files."""

from pathlib import Path

from pipeline.data.annotation_file import write_annotation_file
from pipeline.data.annotations import THINNEST, complete_categories, read_split
from pipeline.data.categories import write_categories
from pipeline.data.images import verify_images, write_manifest
from pipeline.data.index import write_index
from pipeline.params import Source


def read_documents(paths: dict[str, Path]) -> dict[str, dict]:
    """Both splits, completed, and with the same categories."""
    documents = {name: read_split(path, name) for name, path in paths.items()}
    categories = complete_categories(documents["train"], documents["val"])
    return {name: {**document, "categories": categories} for name, document in documents.items()}


def verify_and_write(data: Source, documents: dict[str, dict], out: Path) -> None:
    """Check every image, whose ``file_name`` is known by now, as ``data.verify`` says; then write
    {train,val}.json, index/, categories.csv and images.csv."""
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
