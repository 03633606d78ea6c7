"""Evaluate the predictions of one method on the val images; needs no GPU.

Reads   data/<data.name>/val.json, predictions/<method>.parquet
Writes  reports/metrics/<method>.json: with segm/ keys where the predictions have masks, and AP by
        SimCal's bins of training objects under simcal/;
        reports/per_category/<method>.csv: of the boxes
"""

from pipeline.compute.stage import run_stage


def evaluate(name: str) -> None:
    """Write AP and AP-fixed of the method ``name``, over all and per category."""
    from pipeline.evaluation.evaluate import evaluate_files, write_per_category
    from pipeline.evaluation.predictions import has_masks
    from pipeline.files import write_json
    from pipeline.params import load
    from pipeline.params.scope import load_for
    from pipeline.tables.one_line import in_one_line

    params = load_for("evaluate", name)
    annotations = f"data/{params.data.name}/val.json"
    predictions = f"predictions/{name}.parquet"
    boxes = evaluate_files(annotations, predictions, "bbox")
    metrics = dict(boxes.metrics)
    if has_masks(predictions):
        masks = evaluate_files(annotations, predictions, "segm")
        metrics.update({f"segm/{key}": value for key, value in masks.metrics.items()})
    write_json(f"reports/metrics/{name}.json", metrics)
    write_per_category(f"reports/per_category/{name}.csv", boxes.categories)
    print(in_one_line(name, metrics, load().report.grouping))


if __name__ == "__main__":
    run_stage(evaluate, __doc__, takes_name=True)
