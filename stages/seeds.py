"""Find the report's methods under other training seeds, among this repository's DVC experiments.

reads   params.yaml, dvc.lock, reports/metrics/<method>.json, refs/exps, and reports/seeds.json
        as it is: what an earlier run found stays while settings, data and code are the same
writes  reports/seeds.json: method -> seed -> metrics, bootstrap replicates and where they are from;
        {} where nothing is known. DVC runs it every time: git's references are no dependency that
        it knows
"""

from pathlib import Path

from pipeline.compute.stage import run_stage


def seeds():
    from pipeline.files import write_text
    from pipeline.tables.seeds import FILE, find_seeds, to_text

    found = find_seeds(Path())
    for method, others in found.items():
        if others:
            print(f"{method}: also finished with seed {', '.join(others)}")
    write_text(FILE, to_text(found))


if __name__ == "__main__":
    run_stage(seeds, __doc__)
