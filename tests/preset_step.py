"""One real step of a preset on real photos, in a process of its own, so that its memory is its own.

    python tests/preset_step.py PRESET SHARED FOLDER

Builds the preset's detector at its full size, with random weights (the published ones are not at
hand), on the LVIS v0.5 sample: 66 photos, their real annotations, all 1,230 or 1,203 categories.
Trains one optimizer step of 2 images, in 2 micro-batches, of each stage at the preset's own input
size, and predicts one photo. Prints one JSON line: parameters, losses, detections, peak GB.
"""

import json
import os
import resource
import sys
from dataclasses import replace
from pathlib import Path

import torch

from pipeline import params
from pipeline.data.files_source import prepare_files
from pipeline.files import read_json, write_json
from pipeline.params import Compute, FilesData, Representation, SplitFiles
from pipeline.training.train import build_runner

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "data/lvis_v0.5_sample"
IMAGES = 2


def write_sample(shared, version, folder):
    """The sample with all categories of ``version``; annotations find theirs by its synset."""
    sample = read_json(shared / SAMPLE / "lvis_val_66_with_images.json")
    categories = read_json(shared / f"data/lvis_meta/lvis_{version}_train_cat_info.json")
    synset = {category["id"]: category["synset"] for category in sample["categories"]}
    wanted = {category["synset"]: category["id"] for category in categories}
    found = [a for a in sample["annotations"] if synset[a["category_id"]] in wanted]
    for annotation in found:
        annotation["category_id"] = wanted[synset[annotation["category_id"]]]
    for image in sample["images"]:
        for name in ("neg_category_ids", "not_exhaustive_category_ids"):
            image[name] = [wanted[synset[c]] for c in image[name] if synset[c] in wanted]
    crowded = sorted(sample["images"], key=lambda i: -sum(a["image_id"] == i["id"] for a in found))
    for split, images in (("train", crowded[:IMAGES]), ("val", crowded[:1])):
        ids = {image["id"] for image in images}
        chosen = [a for a in found if a["image_id"] in ids]
        content = dict(images=images, annotations=chosen, categories=categories)
        write_json(folder / f"annotations/{split}.json", content)


def settings_of(preset, shared, folder):
    """The preset's settings on the sample, with one step of ``IMAGES`` images."""
    text = (ROOT / "configs/presets" / f"{preset}.yaml").read_text(encoding="utf-8")
    version = "v0.5" if "v0.5" in preset else "v1"
    write_sample(shared, version, folder)
    split = {
        name: SplitFiles(annotations=f"{name}.json", images=str(shared / SAMPLE / "val2017"))
        for name in ("train", "val")
    }
    data = FilesData(name="sample", source=str(folder / "annotations"), **split)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    own = params.load(folder / "params.yaml")
    return replace(
        own,
        data=data,
        detector=replace(own.detector, weights=None),
        train=replace(own.train, batch_size=IMAGES),
        representation={name: one_epoch(block) for name, block in own.representation.items()},
        classifier={name: one_epoch(block) for name, block in own.classifier.items()},
        compute=Compute(gpus=0, workers=0, images_per_gpu=1),
    )


def one_epoch(block):
    return replace(block, epochs=1, milestones=[])


def step(settings, name, start):
    """Train the step; returns its losses and the model."""
    runner = build_runner(settings, name, Path("work", name), start)
    runner.train()
    line = Path("work", name, "scalars.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    return {k: v for k, v in json.loads(line).items() if "loss" in k}, runner.model


def detections(model, settings):
    from mmengine.dataset import pseudo_collate

    from pipeline.training.predict import val_loader

    batch = pseudo_collate([next(iter(val_loader(settings, model).dataset))])
    with torch.no_grad():
        found = model.eval().test_step(batch)[0].pred_instances
    return {"boxes": len(found), "masks": list(found.masks.shape) if "masks" in found else None}


def main(preset, shared, folder):
    settings = settings_of(preset, Path(shared), Path(folder))
    os.chdir(folder)
    prepare_files(settings.data, Path("data", "sample"))
    losses, start = {}, None
    baseline = next(n for n, b in settings.representation.items() if b.loss.type != "bce")
    names = [baseline, "bce", *settings.classifier]
    assert isinstance(settings.method("bce"), Representation)
    for name in names:
        losses[name], model = step(settings, name, start if name in settings.classifier else None)
        if name == "bce":
            start = Path("work", "bce.pth")
            torch.save(model.state_dict(), start)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    print(json.dumps({
        "preset": preset,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_in_classifier_stage": sum(trained),
        "losses": losses,
        "detections": detections(model, settings),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
