"""Settings that another one switches off: said, not refused, because an ablation leaves them."""

from pipeline.params.methods import Method


def notes(methods: dict[str, Method]) -> list[str]:
    """A line for each knob of a method's parts that was changed and acts on nothing.

    A part's file says which those are: ``needs = {"alpha": "margin"}`` in its class.
    """
    return [
        f"note: {name}.{key}.{knob} has no effect while {key}.{switch} is false"
        for name, method in methods.items()
        for key in ("loss", "features", "sampler", "predictor", "calibrator")
        if (part := getattr(method, key, None))
        for knob, switch in part.signature.facts.get("needs", {}).items()
        if knob in part.changed() and not part.knobs[switch]
    ]
