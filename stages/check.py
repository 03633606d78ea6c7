"""Check params.yaml, all of it: a misspelt key that no stage reads is found here.

reads   params.yaml, dvc.lock
removes outputs of methods that params.yaml no longer has, where DVC can bring them back
writes  data/.checked, so that `prepare` runs after this: DVC empties data/<name> before it
"""

from pipeline import params
from pipeline.compute.stage import run_stage
from pipeline.files import write_text
from pipeline.params.notes import notes
from pipeline.runs.leftovers import remove_leftovers


def check() -> None:
    settings = params.load()
    for line in (*notes(settings.methods()), *remove_leftovers(settings)):
        print(line)
    write_text("data/.checked", "params.yaml is valid\n")


if __name__ == "__main__":
    run_stage(check, __doc__)
