"""Evaluate any pair of LVIS-format annotations and predictions, on the CPU.

Predictions are a .parquet with the columns image_id, category_id, x, y, w, h, score (and rle), or
a .json list of {image_id, category_id, bbox, score, segmentation}. Writes the metrics as JSON:
AP, AP50, AP75, APs, APm, APl, APr, APc, APf, AR@300, and the same under fixed/ for AP-fixed
(10,000 detections a category over the data set, no limit an image). Where the categories carry
instance_count (of the training set), also AP by SimCal's bins of it, simcal/AP1 to simcal/AP4:
[1,20), [20,400), [400,8000) and [8000,inf) training objects. The file has fractions, and null where
the data has nothing to measure; the terminal shows percent.
"""

import argparse

from pipeline.command_line import run


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, evaluate, write, print."""
    options = parse(arguments)
    from pipeline.evaluation.evaluate import evaluate_files, write_per_category
    from pipeline.evaluation.outputs import check_outputs
    from pipeline.files import write_json
    from pipeline.percent import percent

    check_outputs(
        {"--annotations": options.annotations, "--predictions": options.predictions},
        {"--out": options.out, "--per-category": options.per_category},
    )
    result = evaluate_files(options.annotations, options.predictions, options.iou_type)
    write_json(options.out, result.metrics)
    if options.per_category:
        write_per_category(options.per_category, result.categories)
    print("in percent:")
    for key, value in result.metrics.items():
        print(f"{key:16} {percent(value):>5}")


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--annotations", required=True, help="LVIS-format .json")
    parser.add_argument("--predictions", required=True, help=".parquet or .json")
    parser.add_argument("--out", required=True, help="the metrics file to write, .json")
    parser.add_argument("--iou-type", choices=("bbox", "segm"), default="bbox")
    parser.add_argument("--per-category", help="also write one row a category to this .csv")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(main, anywhere=True)  # any files of any folder
