"""AP is in percent in MLflow, and a fraction in every file.

A run, a model or a version whose AP is in percent says so by the tag ``scale``; those that older
code has mirrored lack it, and are fractions.
"""

from decimal import Decimal

SCALE, PERCENT = "scale", "percent"
TAG = {SCALE: PERCENT}


def to_percent(fraction: float) -> float:
    """By its digits: 0.07 is 7.0, where a multiplication gives 7.000000000000001."""
    return shifted(fraction, 2)


def to_fraction(value: float, tags: dict) -> float:
    """Of a metric, or a tag, of something in MLflow that has these tags."""
    return shifted(value, -2) if tags.get(SCALE) == PERCENT else value


def shifted(value, digits):
    return float(Decimal(repr(float(value))).scaleb(digits))
