"""Have a file or folder: it is there, or is downloaded once; of a file that is noted."""

from pathlib import Path

from pipeline.data.archive import unpack
from pipeline.data.download import fetch
from pipeline.files import locked


def obtain(data, release, key) -> Path:
    """The file or folder of ``key``, downloaded and unpacked if it is not there."""
    archive, root = release.archives[key], data.images("train")
    target = root / archive.place
    if target.exists():
        return target
    if target.is_symlink():
        raise ValueError(f"{target} is a link to {target.readlink()}, which does not exist")
    if not data.download:
        raise ValueError(f"{target} does not exist, and data.download is false")
    with locked(root / "downloads"):
        if not target.exists():  # another process may have made it meanwhile
            download(data, archive, key, root / "downloads", target)
    return target


def download(data, archive, key, folder, target):
    url = data.urls.get(key, archive.url)
    packed = folder / f"{target.name}.zip"
    try:
        fetch(url, packed, archive.size, archive.sha256, data.connections, archive.unpacked)
        unpack(packed, target)
        if target.is_file():
            note_download(target, folder)
    except ValueError as error:
        text = f"{error}; data.urls.{key} may name a mirror, which must serve the original file"
        raise ValueError(text) from None


def note_download(target: Path, folder: Path) -> None:
    note_of(target, folder).write_text(stamp(target), encoding="utf-8")


def is_as_downloaded(target: Path, folder: Path) -> bool:
    """Whether ``obtain`` made the file, and nobody has changed it since."""
    note = note_of(target, folder)
    return note.is_file() and note.read_text(encoding="utf-8") == stamp(target)


def note_of(target, folder):
    return folder / f"{target.name}.note"


def stamp(target):
    found = target.stat()
    return f"{found.st_size} bytes, written {found.st_mtime_ns}\n"
