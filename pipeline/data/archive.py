"""Unpack one file or folder of a zip archive: safely, and further where a kill stopped it."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from pipeline.data.disk import naming_disk, require_space

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def unpack(archive: str | Path, target: str | Path) -> None:
    """Make ``target`` from the file or folder of that name in ``archive``; delete the archive.

    It grows in ``.<name>.part`` beside ``target`` and is renamed when complete; a file that is
    there with the right size is not written again. ``ValueError``: the archive is damaged (it is
    removed), has no such member, or has one that would leave the folder. ``OSError``: full disk.
    """
    archive, target = Path(archive), Path(target)
    temporary = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            write_members(opened, members(opened, archive, target.name), temporary)
    except DAMAGE as error:
        archive.unlink()
        raise ValueError(f"{archive} is damaged ({error}); it was removed") from None
    temporary.replace(target)
    archive.unlink()
    print(f"{target} is complete; its archive {archive.name} was removed", flush=True)


def members(opened, archive, name) -> list[tuple[zipfile.ZipInfo, Path]]:
    """(member, its path below ``name``), sorted as in the archive; the whole archive is checked."""
    found = []
    for info in opened.infolist():
        path = PurePosixPath(info.filename)
        check_safe(archive, info, path)
        parts = path.parts
        if name in parts and parts[0] != "__MACOSX" and not info.is_dir():
            found.append((info, Path(*parts[parts.index(name) + 1 :])))
    if not found:
        raise ValueError(f"{archive} has no {name} in it")
    return found


def check_safe(archive, info, path):
    if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError(
            f"{archive} has the member {info.filename!r}, which could write outside of its folder; "
            "nothing was unpacked"
        )


def write_members(opened, found, temporary):
    todo = [(info, temporary / path) for info, path in found]
    todo = [(info, path) for info, path in todo if not is_complete(info, path)]
    left, total = (sum(info.file_size for info, _ in items) for items in (todo, found))
    require_space(temporary.parent, left)
    bar = tqdm(
        total=total, initial=total - left, desc=f"unpack {temporary.name[1:-5]}",
        unit="B", unit_scale=True,
    )  # fmt: skip
    with bar, naming_disk(temporary.parent, left):
        for info, path in todo:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_member(opened, info, path, bar)


def write_member(opened, info, path, bar):
    try:
        with opened.open(info) as packed, open(path, "wb") as file:
            while block := packed.read(2**20):
                file.write(block)
                bar.update(len(block))
    except DAMAGE:  # it may have the right size by now, and would be taken for complete
        path.unlink(missing_ok=True)
        raise


def is_complete(info, path):
    return path.is_file() and path.stat().st_size == info.file_size
