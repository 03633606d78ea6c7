"""Real training steps of a preset, at its full size, on real photos with their real annotations.

    python benchmarks/preset_steps.py PRESET SHARED FOLDER [--steps 300 --batch 16 ...]

SHARED has the LVIS v0.5 sample (66 photos) and LVIS's category tables; all 1,230 or 1,203
categories are in place. Weights are random, because the published ones are not at hand. Trains the
baseline, the representation, BACL's classifier and, beside it, the same stage with plain BCE; then
predicts one photo. Prints one JSON line: parameters, last losses, seconds a step, what FCBL and
hallucination add to it, detections, and the peak memory in GB (of the GPU where one is used).
"""

import argparse
import json
import os
import resource
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.dataset import pseudo_collate

from pipeline import params
from pipeline.data.sources import files
from pipeline.detection.model import test_settings
from pipeline.files import read_json, write_json
from pipeline.params import Compute
from pipeline.params.parts import Loss
from pipeline.training.device import take_device
from pipeline.training.predict import MASK_THRESHOLD, val_loader
from pipeline.training.train import build_runner

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "data/lvis_v0.5_sample"
PLAIN = dict(loss=Loss("bce"), features=None)


def main():
    options = parse_arguments()
    folder = Path(options.folder).resolve()
    settings = settings_of(options, Path(options.shared).resolve(), folder)
    os.chdir(folder)
    take_device(settings.compute.gpus)
    settings.data.prepare(Path("data", "sample"))
    baseline = next(n for n, b in settings.representation.items() if b.loss.type != "bce")
    losses, seconds, start = {}, {}, None
    for name in (baseline, "bce", "plain", "bacl"):
        losses[name], seconds[name], model = train(settings, name, start)
        if name == "bce":
            start = Path("work", "bce.pth")
            torch.save(model.state_dict(), start)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    report = {
        "preset": options.preset,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "precision": options.precision,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_in_classifier_stage": sum(trained),
        "losses": losses,
        "seconds_a_step": seconds,
        "fcbl_and_hallucination_share": 1 - seconds["plain"] / seconds["bacl"],
        "detections": detections(model, settings),
        "peak_gb": peak_gb(),
    }
    print(json.dumps(report))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("preset", "shared", "folder"):
        parser.add_argument(name)
    parser.add_argument("--steps", type=int, default=1, help="of each stage (default 1)")
    parser.add_argument("--batch", type=int, default=2, help="images of a step (default 2)")
    parser.add_argument("--images-per-gpu", type=int, default=1, help="of a micro-batch (1)")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16"), default="fp32")
    return parser.parse_args()


def settings_of(options, shared, folder):
    """The preset's settings on the sample, shortened to about ``options.steps`` steps."""
    own = params.load(ROOT / "configs/presets" / f"{options.preset}.yaml")
    images = write_sample(shared, "v0.5" if "v0.5" in options.preset else "v1", folder, options)
    place = str(shared / SAMPLE / "val2017")
    split = {n: files.Split(annotations=f"{n}.json", images=place) for n in ("train", "val")}
    short = dict(epochs=-(-options.steps * options.batch // images), milestones=[])
    bacl = replace(own.classifier["bacl"], **short)
    return replace(
        own,
        data=files.Data(
            name="sample", source="files", annotations=str(folder / "annotations"), **split
        ),
        detector=replace(own.detector, weights=None),
        train=replace(own.train, batch_size=options.batch, precision=options.precision),
        representation={n: replace(b, **short) for n, b in own.representation.items()},
        classifier={"bacl": bacl, "plain": replace(bacl, **PLAIN)},
        compute=Compute(workers=0, images_per_gpu=options.images_per_gpu),
    )


def write_sample(shared, version, folder, options):
    """The sample with all categories of ``version``; returns the number of train images.

    An annotation finds its category by the synset. A single step takes the most crowded photos.
    """
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
    train = crowded[: options.batch] if options.steps == 1 else crowded
    for split, images in (("train", train), ("val", crowded[:1])):
        ids = {image["id"] for image in images}
        chosen = [a for a in found if a["image_id"] in ids]
        content = dict(images=images, annotations=chosen, categories=categories)
        write_json(folder / f"annotations/{split}.json", content)
    return len(train)


def train(settings, name, start):
    """Its last losses, the median seconds of a step in the second half, and the model."""
    runner = build_runner(settings, name, Path("work", name), start)
    runner.train()
    text = Path("work", name, "scalars.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    losses = {key: value for key, value in lines[-1].items() if "loss" in key}
    return losses, statistics.median(x["time"] for x in lines[len(lines) // 2 :]), runner.model


@torch.no_grad()
def detections(model, settings):
    image = next(iter(val_loader(settings, [[0]]).dataset))
    # a model that was built to be trained does not know how boxes are chosen
    model.roi_head.test_cfg.update(test_settings(settings), mask_thr_binary=MASK_THRESHOLD)
    found = model.eval().test_step(pseudo_collate([image]))[0].pred_instances
    return {"boxes": len(found), "masks": list(found.masks.shape) if "masks" in found else None}


def peak_gb():
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


if __name__ == "__main__":
    main()
