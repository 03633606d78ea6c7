"""What FCBL and hallucination cost in a training step of the classifier stage.

Times, in one run and in turns, at LVIS v1's size: the fully connected work of the RoI head (shared
FCs forward on frozen weights, fc_cls and fc_reg forward and backward), plain BCE, FCBL with
hallucination, of that fc_cls on the hallucinated rows alone, and the same with hallucination
written as loops over classes, draws and features. Prints the medians, their ratios, and the most
memory of a step beyond what stood before it; the ratios are what to compare between machines. On a
GPU every look of the loops waits for the device; on a CPU there is nothing to wait for.

One core of an AMD EPYC, by its time: FCBL + hallucination is 0.03 of the FC work at LVIS's 1,203
classes (0.01 of it fc_cls on the hallucinated rows) and 0.13 at V3Det's 13,204 (``--classes``),
where it is 2.4 times BCE, 1.9 without that fc_cls, and needs 0.4 GB beside its matrix of 0.65 GB.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from pipeline.detection.features.hallucination import JITTERS, FeatureHallucination
from pipeline.detection.losses.bce import BCE
from pipeline.detection.losses.fcbl import FCBL

POOLED = 256 * 7 * 7


def main():
    arguments = parse_arguments()
    torch.manual_seed(0)
    steps = build_steps(arguments)
    times = {name: [] for name in steps}
    for turn in range(arguments.turns + 1):
        for name, step in steps.items():
            seconds = timed(step, arguments.device)
            if turn:  # the first turn warms up
                times[name].append(seconds)
    memory = {name: peak_memory(step, arguments.device) for name, step in steps.items()}
    report({name: statistics.median(values) for name, values in times.items()}, memory)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__)
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--rows", type=int, default=1024, help="RoIs of the batch (default 1024)")
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=24, help="ground truths of the batch")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def build_steps(a):
    """Name -> a function that runs one step of it."""
    device = torch.device(a.device)
    pooled = torch.randn(a.rows, POOLED, device=device)
    logits = torch.randn(a.rows, a.classes + 1, device=device)
    labels = torch.full((a.rows,), a.classes, device=device)
    labels[: a.rows // 4] = torch.randint(0, a.classes, (a.rows // 4,), device=device)
    classes = torch.randint(0, a.classes, (a.objects,), device=device)
    embedded = torch.randn(a.objects * JITTERS, a.features, device=device)
    batch = (logits, labels, embedded, classes.repeat_interleave(JITTERS))
    bce, method = BCE(a.classes), Method(a).to(device)
    return {
        "RoI head's FC work": FullyConnected(a).to(device).step(pooled),
        "BCE": lambda: backward(bce, logits, labels),
        "FCBL + hallucination": method.step(*batch),
        "fc_cls within it": method.classify_drawn,
        "hallucination in loops": LoopMethod(a).to(device).step(*batch),
    }


def backward(loss, logits, labels):
    loss(logits.clone().requires_grad_(), labels).backward()


class FullyConnected(nn.Module):
    """Two frozen shared FCs, then fc_cls and class-specific fc_reg."""

    def __init__(self, a):
        super().__init__()
        first, second = nn.Linear(POOLED, a.features), nn.Linear(a.features, a.features)
        self.shared = nn.Sequential(first, nn.ReLU(), second, nn.ReLU()).requires_grad_(False)
        self.fc_cls = nn.Linear(a.features, a.classes + 1)
        self.fc_reg = nn.Linear(a.features, a.classes * 4)

    def step(self, pooled):
        def run():
            features = self.shared(pooled)
            (self.fc_cls(features).sum() + self.fc_reg(features).sum()).backward()

        return run


class Method(nn.Module):
    """This project's loss, statistics and sampling; fc_cls on the hallucinated rows included."""

    def __init__(self, a):
        super().__init__()
        self.loss = FCBL(a.classes)
        self.hallucination = FeatureHallucination(a.classes, a.features)
        self.hallucination.seen.fill_(True)  # as after an epoch: no draw falls away
        self.hallucination.var.fill_(1.0)
        self.fc_cls = nn.Linear(a.features, a.classes + 1)

    def classify_drawn(self):
        """fc_cls alone, on as many rows as hallucination draws."""
        drawn = self.hallucination.sampled_classes * self.hallucination.samples_per_class
        self.fc_cls(
            self.hallucination.mean.new_ones(drawn, self.fc_cls.in_features)
        ).sum().backward()

    def step(self, logits, labels, embeddings, embedding_labels):
        def run():
            self.hallucination.update(embeddings, embedding_labels)
            features, new_labels, valid = self.hallucination.draw(self.loss.own_share())
            rows = torch.cat([logits.clone().requires_grad_(), self.fc_cls(features)])
            weight = torch.cat([torch.ones_like(labels, dtype=rows.dtype), valid.to(rows.dtype)])
            self.loss(rows, torch.cat([labels, new_labels]), weight).backward()

        return run


class LoopMethod(Method):
    """The same results, the obvious way: a loop per class, per draw and per hallucinated row."""

    def step(self, logits, labels, embeddings, embedding_labels):
        def run():
            for c in embedding_labels.unique().tolist():
                self.update_class(c, embeddings[embedding_labels == c])
            features, new_labels = self.draw_in_loops()
            rows = torch.cat([logits.clone().requires_grad_(), self.fc_cls(features)])
            self.loss(rows, torch.cat([labels, new_labels])).backward()

        return run

    def update_class(self, c, rows):
        module, share = self.hallucination, 1.0
        if module.seen[c]:
            share = module.decay_ratio
        module.mean[c] = share * rows.mean(dim=0) + (1 - share) * module.mean[c]
        module.var[c] = share * rows.var(dim=0) + (1 - share) * module.var[c]
        module.seen[c] = True

    def draw_in_loops(self):
        module, features, labels = self.hallucination, [], []
        points = torch.rand(module.sampled_classes).tolist()
        for point in points:
            c = self.class_at(point)
            if not module.seen[c]:
                continue
            for _ in range(module.samples_per_class):
                noise = torch.randn_like(module.mean[c])
                features.append(module.mean[c] + module.var[c].sqrt() * noise)
                labels.append(c)
        device = module.mean.device
        empty = torch.zeros(0, module.mean.shape[1], device=device)
        stacked = torch.stack(features) if features else empty
        return stacked, torch.tensor(labels, device=device, dtype=torch.long)

    def class_at(self, point):
        """Walk the cumulative probability class by class, each look waiting for the device."""
        reached = 0.0
        for c, share in enumerate(self.hallucination.class_probability(self.loss.own_share())):
            reached += share.item()
            if point <= reached:
                return c
        return len(self.hallucination.seen) - 1


def timed(step, device):
    wait(device)
    start = time.perf_counter()
    step()
    wait(device)
    return time.perf_counter() - start


def wait(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak_memory(step, device):
    """GB that a step needs beyond what stands before it; on a CPU as Linux counts them."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**30
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def resident(field):
    """GB of a ``field`` of this process's status."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 2**20


def report(medians, memory):
    work, bce = medians["RoI head's FC work"], medians["BCE"]
    for name, seconds in medians.items():
        print(
            f"{name:22s} {1000 * seconds:8.1f} ms   {seconds / work:6.3f} of the FC work"
            f"   {seconds / bce:6.2f} of BCE   {memory[name]:6.3f} GB more"
        )
    ratio = medians["hallucination in loops"] / medians["FCBL + hallucination"]
    print(f"with loops the step's FCBL + hallucination takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
