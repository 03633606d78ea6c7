"""The experiment that a mirror goes to: made, or found; left alone if it is somebody else's."""

from mlflow.entities import ViewType

from pipeline.tracking import artifacts as places
from pipeline.tracking import ownership, server, views

EXPERIMENT_TAGS = {
    "mlflow.note.content": (
        "A run is a configuration, its child runs are the stages; AP is in percent. Under GenAI "
        "they do not show: switch to Model training, top left."
    )
}


def open_experiment(client, target):
    """The experiment; it is made, and given its views, if need be."""
    experiment = client.get_experiment_by_name(target.experiment)
    if experiment is None:
        tags = EXPERIMENT_TAGS | views.tags(target.columns)
        tags |= ownership.owner_tag(target.repository)
        made = client.create_experiment(target.experiment, target.artifacts, tags)
        return client.get_experiment(made)
    check_owner(client, experiment, target)
    check_place(experiment, target)
    wanted = views.tags(target.columns, experiment.tags)
    if ownership.OWNER not in experiment.tags:
        wanted |= ownership.owner_tag(target.repository)
    for key, text in wanted.items():
        if experiment.tags.get(key) != text:
            client.set_experiment_tag(experiment.experiment_id, key, text)
    return experiment


def check_owner(client, experiment, target):
    """``NotOurs`` of what other people made, or have put in the bin. An empty experiment without
    our tag was made to be used."""
    number, name = experiment.experiment_id, experiment.name
    if experiment.lifecycle_stage == "deleted":
        raise ownership.NotOurs(
            f"somebody has put the experiment {name} in MLflow's bin; `mlflow experiments restore "
            f"--experiment-id {number}` takes it out, or set another tracking.experiment"
        )
    unmarked = views.is_ours(experiment.tags)
    if not ownership.is_ours(experiment.tags, target.repository, unmarked) and (
        ownership.OWNER in experiment.tags or client.search_runs([number], "", ViewType.ALL, 1)
    ):
        raise ownership.NotOurs(
            f"the experiment {name} is not of this project, and stays as it is; set another "
            f"tracking.experiment, or give that one the tag {ownership.OWNER} = {target.repository}"
        )


def check_place(experiment, target):
    """MLflow would make an old folder again, or write into another project's."""
    place, own = experiment.artifact_location, target.artifacts
    folder = places.folder_of(place)
    if folder is None or server.is_remote(target.uri) or places.is_inside(folder, own):
        return
    if target.only_there or not folder.is_dir():
        whose = "another project's" if folder.is_dir() else "gone"
        raise ownership.NotOurs(
            f"experiment {experiment.name} keeps its files in {place}, which is {whose}; if this "
            "project was moved or copied, remove its mlflow.db, which is made again; if not, set "
            "another tracking.experiment, or tracking.artifacts to that folder"
        )


def no_files(experiment):
    return (
        f"files and models stay out of MLflow, numbers are there: the server keeps files in "
        f"{experiment.artifact_location}, a folder of its own machine; start it with "
        f"--serve-artifacts and take a new tracking.experiment, or, if this machine has that "
        f"folder too, set tracking.artifacts to it"
    )
