"""Settings that another one switches off: said, not refused, because an ablation leaves them."""

from dataclasses import fields

from pipeline.params.blocks import FCBLoss, Hallucination

NEEDS = {"alpha": "margin", "prob_thr": "weight", "weight_start_epoch": "weight"}


def notes(classifier: dict) -> list[str]:
    """A line for each setting of the classifier blocks that was changed and acts on nothing."""
    return [line for name, block in classifier.items() for line in of_block(name, block)]


def of_block(name, block):
    idle = []
    if isinstance(block.loss, FCBLoss):
        idle += [
            (f"loss.{key}", f"loss.{switch}")
            for key, switch in NEEDS.items()
            if key in changed(block.loss) and not getattr(block.loss, switch)
        ]
    if not block.hallucination.enabled:
        others = changed(block.hallucination) - {"enabled"}
        idle += [(f"hallucination.{key}", "hallucination.enabled") for key in sorted(others)]
    return [
        f"note: classifier.{name}.{key} has no effect while {switch} is false"
        for key, switch in idle
    ]


def changed(block: FCBLoss | Hallucination) -> set[str]:
    return {f.name for f in fields(block) if getattr(block, f.name) != f.default}
