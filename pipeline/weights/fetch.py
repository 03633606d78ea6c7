"""Weights by name -> a local file: a path, a URL, ``torchvision://resnet50``, ``open-mmlab://...``.

Downloads go where torch keeps its own (``$TORCH_HOME/hub/checkpoints``). A download that was cut
short never gets its final name, and two processes that want the same file fetch it once. Imports
no torch, so the stage that only looks whether a file is there starts at once.
"""

import fcntl
import hashlib
import http.client
import importlib.util
import os
import re
import urllib.error
import urllib.request
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from pipeline.files import file_digest, read_json, write_json
from pipeline.masking import masked
from pipeline.params import Params

TIMEOUT = 30  # seconds without a byte
PIECE = 2**20
BY_HAND = "or download it by other means and give the path of the file"
# `resnet50-0676ba61.pth`: the file's name holds the start of its sha256, a convention of torch's
DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
SCHEMES = "a path, http://, https://, torchvision:// or open-mmlab://"


def fetch(params: Params, name: str) -> None:
    """Make sure that the weights of ``pretrained.<name>`` are here, and note what they are."""
    block = params.pretrained[name]
    path = local_file(block.weights, f"pretrained.{name}.weights")
    digest = checked_digest(path, block.sha256, f"pretrained.{name}.sha256")
    print(f"{name}: {path}, {path.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    note = {"weights": masked(block.weights), "bytes": path.stat().st_size, "sha256": digest}
    write_json(Path("pretrained", f"{name}.json"), note)


def local_file(weights: str, key: str) -> Path:
    """The file that ``weights`` names, downloaded if need be.

    ``ValueError`` names ``key``, the place in params.yaml, and what can be done.
    """
    if "://" not in weights:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise ValueError(f"{key} is {weights!r}, which is no file")
        return path
    url = resolve(weights, key)
    target = cache_folder() / cache_name(url)
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_name(f".{target.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_file():
            download(url, target, key)
    return target


def checked_digest(path: Path, wanted: str | None, key: str) -> str:
    """The file's sha256; ``ValueError`` where params.yaml gives another one."""
    digest = file_digest(path)
    if wanted not in (None, digest):
        raise ValueError(f"{key} is {wanted}, but {path} has {digest}: another file, or damaged")
    return digest


def cache_folder() -> Path:
    """torch.hub's."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home, "hub", "checkpoints").expanduser()


def cache_name(url) -> str:
    """The URL's file name, which another URL must not share unless it holds its own digest."""
    name = Path(urlsplit(url).path).name or "weights"
    if DIGEST_IN_NAME.search(name):
        return name
    return f"{hashlib.sha256(url.encode()).hexdigest()[:8]}_{name}"


def resolve(weights, key) -> str:
    """The URL behind ``weights``."""
    scheme, name = weights.split("://", 1)
    if scheme in ("http", "https"):
        return weights
    if scheme == "torchvision":
        return torchvision_url(name, key)
    if scheme == "open-mmlab":
        return one_of(mmengine_list("openmmlab"), name, key)
    raise ValueError(f"{key} is {weights!r}; allowed: {SCHEMES}")


def torchvision_url(name, key) -> str:
    """From mmengine's list of the classic models, which needs no torchvision, else from both."""
    classic = mmengine_list("torchvision_0.12")
    if name in classic:
        return classic[name]
    try:
        from mmengine.runner.checkpoint import get_torchvision_models

        urls = get_torchvision_models()
    except (ImportError, RuntimeError) as error:  # RuntimeError: it does not fit this torch
        reason = " ".join(str(error).split())[:100]
        raise ValueError(
            f"{key} names torchvision://{name}, which only torchvision itself knows, and it cannot "
            f"be imported ({reason}); `pip install torchvision` of the same build as torch, "
            f"{BY_HAND}; without it there are: {', '.join(classic)}"
        ) from None
    return one_of(urls, name.lower().replace("_weights", ""), key)


def mmengine_list(name):
    package = Path(importlib.util.find_spec("mmengine").origin).parent
    return read_json(package / "hub" / f"{name}.json")


def one_of(urls, name, key) -> str:
    if name not in urls:
        close = ", ".join(get_close_matches(name, urls) or sorted(urls)[:5])
        raise ValueError(f"{key} names the unknown model {name!r}; there are {close}, ...")
    return urls[name]


def download(url, target, key):
    """Fetch ``url``; ``target`` appears only when every byte is there and right."""
    print(f"downloading {url} to {target}", flush=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with urllib.request.urlopen(request(url), timeout=TIMEOUT) as answer:
            refuse_web_page(answer)
            write_whole(answer, part)
    except urllib.error.HTTPError as error:
        raise ValueError(
            f"{key}: {url} is answered with {error.code} {error.reason}; correct it, {BY_HAND}"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        message = f"{key}: {url} cannot be fetched: {reason}; try again, {BY_HAND}"
        raise ValueError(message) from None
    expected = DIGEST_IN_NAME.search(target.name)
    if expected and not file_digest(part).startswith(expected.group(1)):
        part.unlink()
        raise ValueError(
            f"{key}: what came from {url} has not the digest that its name states; try again, "
            f"{BY_HAND}"
        )
    part.replace(target)


def request(url):
    return urllib.request.Request(url, headers={"User-Agent": "bacl-pipeline"})


def refuse_web_page(answer):
    """Google Drive and the like show a page with a button instead of a large file."""
    if answer.headers.get_content_type() == "text/html":
        raise ValueError("it is a web page and not the file itself")


def write_whole(answer, part):
    """Write every byte; http.client ends early without an error where the connection breaks."""
    length = answer.headers.get("Content-Length")
    length = int(length) if length else None
    with (
        open(part, "wb") as file,
        tqdm(total=length, unit="B", unit_scale=True, desc="download") as progress,
    ):
        while piece := answer.read(PIECE):
            file.write(piece)
            progress.update(len(piece))
        if length is not None and file.tell() != length:
            raise OSError(f"only {file.tell()} of {length} bytes came")
