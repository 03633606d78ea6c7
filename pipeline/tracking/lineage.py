"""What a run was made from and with: DVC's hashes, the commit, the machine, as tags."""

from pipeline.runs import git_state

SHOWN = (  # of environment.json, on the parent too
    *("device", "ranks", "python", "torch"),
    *("onedl-mmcv", "onedl-mmengine", "onedl-mmdetection", "numpy", "hostname"),
)


def locked_outputs(stages, stale):
    """{stage: "path md5, path md5"} of what dvc.lock says of current stages."""
    return {
        name: ", ".join(f"{out['path']} {out['md5']}" for out in outs)
        for name, stage in stages.items()
        if name not in stale and (outs := [out for out in stage.get("outs", []) if "md5" in out])
    }


def dvc_tags(locked):
    """A tag a stage: two runs whose tags agree share that stage's outputs."""
    return {f"dvc.{name.replace('@', '.')}": text for name, text in locked.items()}


def environment_tags(children):
    """What the trainings ran on; where they differ, all that there was."""
    tags = {}
    for key in SHOWN:
        values = [child.tags.get(f"environment.{key}") for child in children]
        if different := list(dict.fromkeys(value for value in values if value)):
            tags[f"environment.{key}"] = ", ".join(different)
    return tags


def git_tags(children, root):
    """The commit of the newest training; where none has noted one, of the folder as it is now."""
    noted = [child for child in children if "environment.git_commit" in child.tags]
    if noted:
        tags = max(noted, key=lambda child: child.started or 0).tags
        commit, dirty = tags["environment.git_commit"], tags.get("environment.git_dirty")
    else:
        commit, dirty = git_state.commit(root), git_state.is_dirty(root)
    known = {"mlflow.source.git.commit": commit, "git.commit": commit, "git.dirty": dirty}
    return {key: str(value) for key, value in known.items() if value is not None}
