"""AP and its kin for readers: percent everywhere, with one decimal in texts.

The files of `evaluate` and `diagnose` hold fractions, as lvis-api gives them; whatever is made for
people, files of numbers included, goes through this file.
"""

NONE = "none"
DIGITS = 10  # of a number in percent: what 100 * 0.07 adds to 7 lies below


def percent(value: float | None, signed=False) -> str:
    """0.2849 -> "28.5"; signed: "+28.5"; None -> "none"."""
    if value is None:
        return NONE
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def in_percent(value: float | None, digits=DIGITS) -> float | None:
    """0.2849 -> 28.49; None and NaN stay."""
    return None if value is None else round(100 * float(value), digits)
