"""Find out why a method scores as it does, on the val images; needs no GPU.

Reads   data/<data.name>/val.json, predictions/<method>.parquet
Writes  reports/diagnosis/<method>/:
        bootstrap.csv    AP and its groups on 1,000 resamplings of the val images; row n has the
                         same images for every method
        errors.json      TIDE: AP50 lost to each type of error, and the expected calibration error
        calibration.csv  score against precision at IoU 0.5, in bins of score
        classes.csv      per category: judged detections, their mean score, that of the correct
"""

from stages import run_stage


def diagnose(name: str) -> None:
    """Write the diagnosis of the method ``name``."""
    from pipeline.diagnosis.build import build
    from pipeline.params import load

    params = load()
    params.method(name)
    build(
        f"data/{params.data.name}/val.json",
        f"predictions/{name}.parquet",
        f"reports/diagnosis/{name}",
    )


if __name__ == "__main__":
    run_stage(diagnose, __doc__, takes_name=True)
