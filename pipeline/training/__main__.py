"""By hand, with the params.yaml of this folder: import a checkpoint, or clean up.

    python -m pipeline.training import-checkpoint FILE_OR_URL --name NAME
    python -m pipeline.training clean [--all] [--dry-run]

NAME is a block under `pretrained` in params.yaml; its `weights` is replaced by FILE_OR_URL. Writes
models/NAME/ as the DVC stage `import_checkpoint@NAME` does, and prints what was recognised,
converted and left out.

`clean` removes the run folders in .checkpoints/ that the next `dvc repro` would not go on from:
finished ones (their models are DVC's) and those of other settings. With --all also the unfinished
ones of these settings. What is in use stays.
"""

import argparse
from dataclasses import replace

from pipeline import params
from pipeline.command_line import run


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
    cleaner = commands.add_parser("clean", help="remove run folders that are no longer needed")
    cleaner.add_argument("--all", action="store_true", help="unfinished ones of params.yaml too")
    cleaner.add_argument("--dry-run", action="store_true", help="only say what would go")
    arguments = parser.parse_args()
    if arguments.command == "clean":
        from pipeline.compute.clean import clean

        print(*clean(params.load(), arguments.all, arguments.dry_run), sep="\n")
    else:
        import_by_hand(arguments.weights, arguments.name)


def import_by_hand(weights, name):
    settings = params.load()
    if name not in settings.pretrained:
        raise ValueError(
            f"params.yaml has no pretrained.{name}; add it, with the loss it was trained with: "
            f"`pretrained: {{{name}: {{weights: {weights}, loss: {{type: fcbl}}}}}}`"
        )
    block = replace(settings.pretrained[name], weights=weights)
    from pipeline.weights.import_checkpoint import import_checkpoint

    import_checkpoint(replace(settings, pretrained={**settings.pretrained, name: block}), name)


if __name__ == "__main__":
    run(main)
