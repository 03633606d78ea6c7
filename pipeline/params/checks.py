"""What must hold between settings: names are known, and nothing that is set is ignored."""

import re

from pipeline.messages import shown
from pipeline.params.methods import SECTIONS, Calibration, Pretrained, parts

# safe as a file name, also with what is put around it, for DVC and for a shell
NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)


def require_name(known, name, kind, place="params.yaml"):
    """``name``, or a ``ValueError`` that lists what there is."""
    if name not in known:
        raise ValueError(f"unknown {kind} {shown(name)}; {place} has: {', '.join(known)}")
    return name


def check_methods(params):
    """Names are unique over the sections, and every name that is used is defined."""
    check_unique(params)
    for name, method in params.methods().items():
        check_from(params, name, method)
    if not params.report.methods:
        raise ValueError("report.methods is empty; name at least the baseline")
    for name in params.report.methods:
        params.method(name, "report.methods")
    params.method(params.report.baseline, "report.baseline")
    if params.report.baseline not in params.report.methods:
        raise ValueError(f"report.baseline {params.report.baseline!r} is not in report.methods")
    if len(set(params.report.methods)) < len(params.report.methods):
        raise ValueError(f"report.methods is {shown(params.report.methods)}; name each method once")


def check_pieces(params):
    train, limit = params.train, params.compute.images_per_gpu
    if train.micro_batch and limit:
        raise ValueError(
            f"compute.images_per_gpu is {limit}, but train.micro_batch is {train.micro_batch}, "
            "which settles how many images pass through the detector together; remove one"
        )


def check_unique(params):
    first = {}
    for section in SECTIONS:
        for name in getattr(params, section):
            check_name(f"a name under {section}", name)
            if "." in name:  # DVC would look for a key in a key
                raise ValueError(f"a name under {section} is {name!r}; it takes no '.'")
            other, place = first.setdefault(name.lower(), (name, section))
            if (other, place) == (name, section):
                continue
            if other == name:
                raise ValueError(f"{name!r} stands under {place} and {section}; rename one")
            raise ValueError(
                f"{place}.{other} and {section}.{name} are one file where a disk does not tell "
                "capitals apart; rename one"
            )


def check_name(key, name):
    """Names become folders, DVC stages and arguments on a command line."""
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(
            f"{key} is {shown(name)}; it takes up to 100 letters, digits, '_', '.' and '-', "
            "not '.' or '-' first"
        )


def check_digest(key, digest):
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{key} is {shown(digest)}; it takes 64 digits of 0-9 and a-f")


def check_augmentation(key, augmentation):
    jitter, canvas = augmentation.scale_jitter, augmentation.canvas
    if augmentation.short_edges and (tuple(jitter) != (1, 1) or augmentation.copy_paste or canvas):
        raise ValueError(
            f"{key}.short_edges goes with neither scale_jitter, canvas nor copy_paste, which need "
            "images of one size; remove one"
        )
    if canvas and len(canvas) != 2:
        raise ValueError(f"{key}.canvas is {shown(canvas)}, not [width, height]")
    if len(jitter) != 2 or jitter[0] > jitter[1]:
        raise ValueError(f"{key}.scale_jitter is {shown(list(jitter))}; it takes [low, high]")


def check_from(params, name, method):
    if method.start is None:
        return
    section = "calibration" if isinstance(method, Calibration) else "classifier"
    others = ("representation", "pretrained", "classifier")[: 3 if section == "calibration" else 2]
    allowed = [other for key in others for other in getattr(params, key)]
    if method.start not in allowed:
        raise ValueError(
            f"{section}.{name}.from is {shown(method.start)}, which is no method of "
            f"{', '.join(others)}; allowed: {', '.join(allowed)}"
        )


def check_method(key, method):
    """A setting that would be ignored is refused."""
    if isinstance(method, Calibration):
        return
    if isinstance(method, Pretrained):
        check_digest(f"{key}.sha256", method.sha256)
        return
    check_augmentation(f"{key}.augmentation", method.augmentation)
    late = [milestone for milestone in method.milestones if milestone >= method.epochs]
    if late:
        raise ValueError(
            f"{key}.milestones has {late[0]}, which {method.epochs} epochs never reach; "
            f"allowed: 1 to {method.epochs - 1}"
        )
    check_starts(key, method)
    if method.prior and "prior" not in method.loss.block:
        raise ValueError(f"{key}.prior has no effect on {method.loss.type}; remove it")


def check_starts(key, method):
    """A part that starts after the last epoch never acts."""
    for name, part in parts(method).items():
        for knob, start in part.knobs.items():
            if knob.endswith("start_epoch") and start is not None and start >= method.epochs:
                raise ValueError(
                    f"{key}.{name}.{knob} is {start}, which {method.epochs} epochs never reach; "
                    f"allowed: 0 to {method.epochs - 1}"
                )
