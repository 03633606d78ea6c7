"""Find out why a method scores as it does, and how sure that is.

reads   data/<data.name>/{val.json,categories.csv}, predictions/<method>.parquet,
        models/<method>/classifier.npz and, where the method has it, class_history.npz
writes  reports/diagnosis/<method>/: bootstrap.csv (AP of 1,000 resamplings of the val images; with
        segm/ columns where the predictions have masks),
        errors.json (TIDE), objects.csv (for what the objects of each group are taken),
        calibration.csv, classes.csv (scores), classifier.csv (weight norms), confusion.csv,
        confused_pairs.csv, sampling.csv (of the classifier stage's epochs)
"""

from pathlib import Path

from pipeline.compute.stage import run_stage


def diagnose(name: str) -> None:
    from pipeline.diagnosis.diagnose import build
    from pipeline.params.scope import load_for

    params = load_for("diagnose", name)
    build(
        data=Path("data", params.data.name),
        predictions=Path("predictions", f"{name}.parquet"),
        model=Path("models", name),
        folder=Path("reports", "diagnosis", name),
    )


if __name__ == "__main__":
    run_stage(diagnose, __doc__, takes_name=True)
