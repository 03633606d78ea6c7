"""Where a person looks at the mirror: the command that shows it, and the address to open."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeline.params import Params
from pipeline.tracking import server, stamp, views


@dataclass(frozen=True)
class Where:
    """``command`` starts MLflow's page where no server shows it; "" where one does."""

    command: str
    address: str

    def __str__(self) -> str:
        return f"`{self.command}` shows them at {self.address}" if self.command else self.address


def where(uri: str, project: Path, experiment: str | None) -> Where:
    """The page of the configurations, with their APs; of an unknown experiment the first page."""
    page = views.address(experiment) if experiment else ""
    if server.is_remote(uri):
        return Where("", f"{server.printable(uri).rstrip('/')}{page}")
    return Where(command(uri, project), f"http://127.0.0.1:5000{page}")


def command(uri, project):
    """`mlflow ui` takes the mlflow.db of the folder it is started in."""
    if server.database_file(uri) == project / "mlflow.db":
        return f"cd {shlex.quote(str(project))} && mlflow ui"
    return f"mlflow ui --backend-store-uri {shlex.quote(server.printable(uri))}"


def of_folder(root: Path, params: Params, complete: bool) -> Where:
    """Where the mirror of the pipeline in ``root`` lies; ``complete``: it was just written."""
    project = server.project_root(root)
    uri = server.resolve_uri(params.tracking.uri, project)
    return where(uri, project, stamp.read_stamp(root).get("experiment") if complete else None)
