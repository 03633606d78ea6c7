"""Val images with the objects and each method's detections."""

from pipeline.reporting.panels import FONT_SIZE, WIDTH, pictures
from pipeline.reporting.scenes import EXTRA, MOST
from pipeline.reporting.sections import Section

TITLE = "Gallery"
PLACE = 70
RULE = (
    "Val images with {rarest} come first, ordered by how much the mean score of these "
    "objects (0 where one is not found) differs between {baseline} and {challenger}, up or down; "
    "then images with {others} in the same way. Drawn are each method's best-scored detections, "
    "{extra} more than the image has objects and {most} at most."
)


def make(inputs) -> Section:
    shown = pictures(inputs)
    panel = {"width": WIDTH, "font": FONT_SIZE}
    values = {"pictures": shown, "panel": panel, "rule": rule(inputs)}
    return Section(values if shown else None)


def rule(inputs) -> str:
    rarest, *others = (group.of("objects") for group in inputs.grouping.groups)
    return RULE.format(
        rarest=rarest,
        others=", then ".join(others),
        baseline=inputs.baseline,
        challenger=inputs.challenger or "nothing found",
        extra=EXTRA,
        most=MOST,
    )
