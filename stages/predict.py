"""Detect objects in the val images with a trained method.

reads   params.yaml (predict, detector.image_scale), data/<dataset>/val.json and its images,
        models/<name>/
writes  predictions/<name>.parquet: image_id, category_id, x, y, w, h, score,
        and rle where the detector has masks
goes on after a kill from the parts in .checkpoints/
"""

from pipeline.compute.complete import complete
from pipeline.compute.stage import run_stage
from pipeline.params.scope import load_for


def predict(name: str) -> None:
    settings = load_for("predict", name)
    from pipeline.training.predict_task import prediction

    complete(prediction(settings, name))


if __name__ == "__main__":
    run_stage(predict, __doc__, takes_name=True)
