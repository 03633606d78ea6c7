"""Detect objects in the val images with a trained method.

reads   params.yaml (predict, detector.image_scale), data/<dataset>/val.json and its images,
        models/<name>/
writes  predictions/<name>.parquet: image_id, category_id, x, y, w, h, score,
        and rle where the detector has masks
"""

from pipeline import params
from pipeline.gpus import hide_gpus
from stages import run_stage


def predict(name: str) -> None:
    settings = params.load()
    settings.method(name)
    hide_gpus(settings.compute.gpus)
    from pipeline.training.predict import predict as run

    run(settings, name)


if __name__ == "__main__":
    run_stage(predict, __doc__, takes_name=True)
