"""Import somebody's checkpoint by hand, with the params.yaml of this folder.

    python -m pipeline.training import-checkpoint FILE_OR_URL --name NAME

NAME is a block under `pretrained` in params.yaml; its `weights` is replaced by FILE_OR_URL. Writes
models/NAME/ as the DVC stage `import_checkpoint@NAME` does, and prints what was recognised,
converted and left out.
"""

import argparse
import sys
from dataclasses import replace

from pipeline import params


def main():
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    importer = commands.add_parser("import-checkpoint", help="checkpoint -> models/NAME/")
    importer.add_argument("weights", help="a file or a URL")
    importer.add_argument("--name", required=True, help="a block under pretrained in params.yaml")
    arguments = parser.parse_args()
    run(arguments.weights, arguments.name)


def run(weights, name):
    settings = params.load()
    if name not in settings.pretrained:
        raise ValueError(
            f"params.yaml has no pretrained.{name}; add it, with the loss it was trained with: "
            f"`pretrained: {{{name}: {{weights: {weights}, loss: {{type: fcbl}}}}}}`"
        )
    block = replace(settings.pretrained[name], weights=weights)
    from pipeline.training.import_checkpoint import import_checkpoint

    import_checkpoint(replace(settings, pretrained={**settings.pretrained, name: block}), name)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
