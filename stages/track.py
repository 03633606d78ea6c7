"""track: copy what the pipeline wrote into MLflow, and end the run: the APs, and where to look.

Reads params.yaml, dvc.lock, data/<name>/, models/, predictions/ and reports/.
Writes one MLflow run per configuration, with a child run per stage, to tracking.uri; no output
file. DVC runs it every time: nothing changed costs well under a second, and a server that does
not answer is a warning, never an error; a slow one gets 15 seconds.
"""

import os
from pathlib import Path

from pipeline.compute.stage import run_stage
from pipeline.params import load
from pipeline.reporting.ending import ending
from pipeline.tracking import where
from pipeline.tracking.server import project_root
from pipeline.tracking.sync import INCOMPLETE, STAGE_SECONDS, sync


def track():
    root, params = Path.cwd(), load()
    done = sync(root, seconds=STAGE_SECONDS).splitlines()[0]
    look = where_to_look(root, params, done != INCOMPLETE)
    experiment = os.environ.get("DVC_EXP_NAME", "")
    print(f"{done}\n\n{ending(params, root, project_root(root), look, experiment)}\n")


def where_to_look(root, params, complete) -> list[str]:
    if not params.tracking.enabled:
        return ["off (tracking.enabled)"]
    found = where.of_folder(root, params, complete)
    return [found.command, found.address] if found.command else [found.address]


if __name__ == "__main__":
    run_stage(track, __doc__)
