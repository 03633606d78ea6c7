"""Where the files of the data set of params.yaml lie, once `prepare` has made them."""

from pathlib import Path

from pipeline.data.categories import read_categories
from pipeline.params import Params

ROOT = Path(__file__).resolve().parents[2]


def data_folder(params: Params) -> Path:
    return Path("data", params.data.name)


def index_folder(params: Params, split: str) -> str:
    return str(data_folder(params) / "index" / split)


def image_folder(params: Params, split: str) -> Path:
    """Where the images of ``split`` lie: as the params say, or where the generator put them."""
    return params.data.images(split)


def categories(params: Params) -> list[dict]:
    """The rows of ``categories.csv``."""
    return read_categories(data_folder(params) / "categories.csv")
