"""Real training steps of a preset, at its full size, on real photos with their real annotations.

    python benchmarks/preset_steps.py PRESET SHARED FOLDER [--steps 300 --batch 16 ...]

SHARED has the LVIS v0.5 sample (66 photos) and LVIS's category tables. Weights are random, because
the published ones are not at hand. Trains the baseline, the representation, BACL's classifier and,
beside it, the same stage with plain BCE; then predicts one photo. Prints one JSON line: parameters,
last losses, seconds a step, what FCBL and hallucination add to it, detections, and the peak memory
in GB (of the GPU where one is used).
"""

import argparse
import json
import os
import resource
import statistics
from pathlib import Path

import torch
from mmengine.dataset import pseudo_collate
from sample import baseline_of, settings_of

from pipeline.detection.model import test_settings
from pipeline.training.device import take_device
from pipeline.training.predict import MASK_THRESHOLD, val_loader
from pipeline.training.train import build_runner


def main():
    options = parse_arguments()
    folder = Path(options.folder).resolve()
    settings = settings_of(
        options.preset,
        Path(options.shared).resolve(),
        folder,
        options.steps,
        options.batch,
        options.precision,
        workers=0,
        images_per_gpu=options.images_per_gpu,
    )
    os.chdir(folder)
    take_device(settings.compute.gpus)
    settings.data.prepare(Path("data", "sample"))
    losses, seconds, start = {}, {}, None
    for name in (baseline_of(settings), "bce", "plain", "bacl"):
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
