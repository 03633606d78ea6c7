"""A method's AP in one line of a terminal, and the words that the last table shares with it."""

from pipeline.evaluation.groupings import GROUPINGS
from pipeline.percent import percent
from pipeline.tables.ap import MASKS

UNKNOWN = "-"


def in_one_line(method: str, metrics: dict, grouping: str) -> str:
    """ "bacl: AP 46.2, APr 36.3, APc 61.8, APf 78.9 (percent)"; with the masks' APs after them."""
    kinds = {"": "", MASKS: "mask "} if f"{MASKS}AP" in metrics else {"": ""}
    said = [
        f"{of}{title} {text(metrics, kind + key)}"
        for kind, of in kinds.items()
        for key, title in titles(grouping).items()
    ]
    return f"{method}: {', '.join(said)} (percent)"


def titles(grouping) -> dict[str, str]:
    """key -> title of AP and of the groups' APs, in signs that every terminal has."""
    groups = GROUPINGS[grouping].groups
    return {"AP": "AP", **{group.key: group.title.replace("∞", "inf") for group in groups}}


def text(values, key) -> str:
    return percent(values[key]) if key in values else UNKNOWN
