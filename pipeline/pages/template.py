"""Pages of one template each, with the look and the script that all of them share."""

import re
from pathlib import Path

import jinja2

from pipeline.percent import percent

SHARED = Path(__file__).parent
MINUS = "\N{MINUS SIGN}"


def render_template(template: Path, /, **values) -> str:
    """A page of one template, with the look and the script that all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "minus": minus, "duration": duration}
    return environment.get_template(template.name).render(
        style=(SHARED / "template.css").read_text(encoding="utf-8"),
        script=(SHARED / "template.js").read_text(encoding="utf-8"),
        **values,
    )


def minus(text) -> str:
    """A hyphen before a number becomes a minus sign."""
    return re.sub(r"(?<![^ (])-(?=\d)", MINUS, text)


def duration(seconds) -> str:
    """3,725 -> "1 h 02 min"; 75 -> "1 min 15 s"; 7.25 -> "7.2 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
