"""track: copy what the pipeline wrote into MLflow.

Reads params.yaml, dvc.lock, data/<name>/, models/, predictions/ and reports/.
Writes one MLflow run per configuration, with a child run per stage, to tracking.uri; no output
file. DVC runs it every time: nothing changed costs well under a second, and a server that does
not answer is a warning, never an error; a slow one gets 15 seconds.
"""

from pathlib import Path

from pipeline.tracking.sync import STAGE_SECONDS, sync
from stages import run_stage


def track():
    print(sync(Path.cwd(), seconds=STAGE_SECONDS))


if __name__ == "__main__":
    run_stage(track, __doc__)
