"""Compare the methods of report.methods: tables, plots and one HTML page.

reads   params.yaml (report, data), reports/metrics/<method>.json,
        reports/per_category/<method>.csv, predictions/<method>.parquet,
        reports/diagnosis/<method>/, data/<name>/{val.json,categories.csv}, the val images and,
        where they are, models/<method>/{scalars.jsonl,environment.json}
writes  reports/ap_by_frequency.{csv,md,tex}, reports/over_seeds.{csv,md,tex} (mean, deviation,
        difference to the baseline and its interval), reports/plots/, reports/summary.json (for
        `dvc exp show`), reports/index.html
"""

from pipeline.compute.stage import run_stage
from pipeline.params import load


def report():
    from pipeline.reporting.report import build

    build(load())


if __name__ == "__main__":
    run_stage(report, __doc__)
