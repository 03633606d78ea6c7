"""Compare finished runs: one table and page, a row a method and the params that affect it.

sources  (none)          this folder's results and its DVC experiments
         NAME            of these the one of this name; "workspace" is the folder's own
         'parts-*'       of these those whose name matches
         DIR             results and experiments of another checkout of the project
         DIR:NAME        one of these, or those that match
         mlflow:NAME     the runs of this MLflow experiment
writes   reports/comparisons/<name>/index.html, table.csv, table.md, table.tex

Runs that differ in their seed only are one row: mean, standard deviation, n. A run that several
sources have counts once.

examples
  python -m pipeline.comparison --name parts --method bacl 'parts-*'
  python -m pipeline.comparison --name hallucination --where loss.margin=true --metrics AP,APr
  python -m pipeline.comparison --name team mlflow:bacl --tracking-uri http://host:5000
"""

import argparse

from pipeline.command_line import run


def main():
    arguments = parse_arguments()
    from pipeline.comparison.compare import REPORTS, compare
    from pipeline.comparison.sources import grid_names, read_sources
    from pipeline.params.checks import check_name

    check_name("--name", arguments.name)
    runs = read_sources(arguments.sources, arguments.tracking_uri)
    text = compare(
        runs, arguments.name, grid_names(runs), arguments.method, arguments.metrics,
        dict(arguments.where), arguments.baseline,
    )  # fmt: skip
    print(text)
    print(f"written: {REPORTS / arguments.name}/index.html, table.csv, table.md, table.tex")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="see above")
    parser.add_argument("--name", default="comparison", help="of the folder written (%(default)s)")
    parser.add_argument(
        "--method", type=words, default=[], help="only these methods, such as bce,bacl"
    )
    parser.add_argument(
        "--metrics", type=words, default=[], help="the columns, such as AP,APr,fixed/AP,segm/AP"
    )
    parser.add_argument(
        "--where", type=condition, action="append", default=[], metavar="KEY=VALUE",
        help="only runs with this value: loss.margin=false, seed=0, data.name=symbols; repeatable",
    )  # fmt: skip
    parser.add_argument("--baseline", default="", metavar="ROW", help="left out: the first row")
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="of mlflow: sources; left out: that of params.yaml"
    )
    return parser.parse_args()


def words(text):
    return [word for word in text.split(",") if word]


def condition(text):
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


if __name__ == "__main__":
    run(main)
