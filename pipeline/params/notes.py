"""Settings that another one switches off: said, not refused, because an ablation leaves them."""

from pipeline.params.methods import SECTIONS, Method, parts

SECTION_OF = {kind: section for section, kind in SECTIONS.items()}


def notes(methods: dict[str, Method]) -> list[str]:
    """A line for each knob of a method's parts that was changed and acts on nothing.

    A part's file says which those are: ``needs = {"alpha": "margin"}`` in its class.
    """
    return [
        f"note: {place}.{knob} has no effect while {place}.{switch} is false"
        for name, method in methods.items()
        for key, part in parts(method).items()
        for place in [place_of(name, method, key)]
        for knob, switch in part.signature.facts.get("needs", {}).items()
        if knob in part.changed() and not part.knobs[switch]
    ]


def place_of(name: str, method: Method, key: str) -> str:
    """Of the method's part in params.yaml; a calibrator's knobs stand beside its ``from``."""
    place = f"{SECTION_OF[type(method)]}.{name}"
    return place if key == "calibrator" else f"{place}.{key}"
