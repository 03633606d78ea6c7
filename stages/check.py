"""Check params.yaml, all of it, and work out what each stage's result follows from.

reads   params.yaml, dvc.lock, the code, the versions of the packages, detector.weights
removes outputs of methods that params.yaml no longer has, where DVC can bring them back
writes  data/inputs.json: an entry for each stage instance, on which it depends in dvc.yaml
"""

from pipeline import params
from pipeline.compute.stage import run_stage
from pipeline.params.notes import notes
from pipeline.runs.identity import chain_inputs, read_inputs, write_inputs
from pipeline.runs.leftovers import remove_leftovers
from pipeline.training.start import check_weights_file


def check() -> None:
    settings = params.load()
    check_weights_file(settings.detector.weights)
    for line in (*notes(settings.methods()), *remove_leftovers(settings)):
        print(line)
    inputs = chain_inputs(settings)
    if methods_of(inputs) != methods_of(read_inputs()):
        from pipeline.detection.wiring import check_wiring  # imports torch

        check_wiring(settings)
    write_inputs(inputs)


def methods_of(inputs):
    """The settings that methods are made with, whose parts must fit together."""
    making = {place: entry["params"] for place, entry in inputs.items()}
    return {place: found for place, found in making.items() if "method" in found}


if __name__ == "__main__":
    run_stage(check, __doc__)
