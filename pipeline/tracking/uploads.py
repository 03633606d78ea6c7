"""The files of a run, without what is secret in them."""

import hashlib
import tempfile
from pathlib import Path

from pipeline.masking import masked
from pipeline.params import plain as configuration
from pipeline.tracking import artifacts as places

PARAMS = "params.yaml"
SETTINGS = (PARAMS, "dvc.yaml", "dvc.lock", "config.py")  # where a user may have secrets


def upload_artifacts(client, run, record):
    """Copy the files, unless these very bytes were copied before."""
    if not record.artifacts:
        return
    digest = hashlib.md5(usedforsecurity=False)
    for path, folder in record.artifacts:
        digest.update(f"{folder}/{path.name}\n".encode() + public_content(path))
    there = places.still_there(run.info.artifact_uri)
    if run.data.tags.get("artifacts") == digest.hexdigest() and there:
        return
    with tempfile.TemporaryDirectory() as temporary:
        for path, folder in record.artifacts:
            if path.name in SETTINGS:
                path = write_public(path, Path(temporary, path.name))
            client.log_artifact(run.info.run_id, str(path), folder)
    client.set_tag(run.info.run_id, "artifacts", digest.hexdigest())


def write_public(path, copy):
    copy.write_bytes(public_content(path))
    return copy


def public_content(path):
    """The bytes that others may read."""
    if path.name not in SETTINGS:
        return path.read_bytes()
    text = path.read_text(encoding="utf-8", errors="replace")
    return masked(configuration.without_place(text) if path.name == PARAMS else text).encode()
