"""Make sure that a checkpoint to import is here; download it where params.yaml gives a URL.

reads   params.yaml (pretrained.<name>), the file it names
writes  pretrained/<name>.json: weights, bytes, sha256; a file that changed is imported again

DVC runs it every time, since a URL cannot be watched; a file that is there costs its digest. What
came from a URL is kept and not asked for again.
"""

from pipeline import params
from pipeline.compute.stage import run_stage


def fetch_checkpoint(name: str) -> None:
    settings = params.load()
    params.require_name(settings.pretrained, name, "pretrained model")
    from pipeline.weights.fetch import fetch

    fetch(settings, name)


if __name__ == "__main__":
    run_stage(fetch_checkpoint, __doc__, takes_name=True)
