"""Parameters as plain values under the keys of params.yaml, and in words."""

import io
import json
from dataclasses import fields, is_dataclass

from ruamel.yaml import YAML

from pipeline.masking import masked
from pipeline.params.methods import parts

NOT_PART = ("compute", "tracking")  # they change where and how fast, not what


def resolved(params):
    """The parameters, defaults included, as plain values under the keys of params.yaml.

    An empty section is left out: that ``pretrained`` exists makes no new configuration.
    """
    values = plain(params)
    return {key: value for key, value in values.items() if key not in NOT_PART and value != {}}


def without_place(text):
    """The text of params.yaml without where and how things run, which is nobody else's business."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 10**6, True
    values = yaml.load(text)
    for key in NOT_PART:
        values.pop(key, None)
    out = io.StringIO()
    yaml.dump(values, out)
    return out.getvalue()


def plain(value):
    """Mappings, lists and single values; texts without what is secret in them, so that a new
    password makes no new configuration."""
    if isinstance(value, str):
        return masked(value)
    if hasattr(value, "as_yaml"):
        return plain(value.as_yaml())
    if is_dataclass(value):
        return {f.metadata.get("key", f.name): plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def flatten(values, prefix=""):
    """Nested mappings as one, with dotted keys and texts as MLflow keeps them."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def headline_method(params):
    """The method a configuration is about: the last one of ``report.methods``."""
    return params.report.methods[-1]


def run_name(params):
    """Such as "bacl, alpha 0.5 · seed 0 · symbols": first what differs, as columns are narrow."""
    return f"{deviating_name(params)} · seed {params.seed} · {params.data.name}"


def deviating_name(params):
    method = headline_method(params)
    found = parts(params.method(method)).values()
    words = [word for part in found for word in deviations(part)]
    return ", ".join([method, *words])


def deviations(part):
    for name, value in part.changed().items():
        text = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
        yield f"{name} {text}"
