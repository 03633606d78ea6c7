"""The command on real git references, folders and a real MLflow server; the stage `seeds`."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from finished_runs import (
    add_experiment,
    dump,
    git,
    lock,
    make_repository,
    metrics,
    replicates,
    settings,
    write,
    write_results,
)
from mlflow.tracking import MlflowClient
from tracking_project import IMAGES, Server

from pipeline.params import Params, parse
from pipeline.runs import folders
from pipeline.tables.intervals import paired_interval
from pipeline.tables.seeds import find_seeds, over_seeds, seeds_table, to_text
from pipeline.tracking.sync import sync

MEMBERS = {"margin": ({"weight": False}, 0.30), "all": ({}, 0.40)}
METHODS = ("bce", "bacl")
OFFICIAL = {"weights": "official.pth", "loss": {"type": "fcbl"}}


def run(root, project, *command):
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def comparison(root, project, *arguments):
    done = run(root, project, "pipeline.comparison", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def table(project, name="comparison"):
    with open(project / f"reports/comparisons/{name}/table.csv", newline="") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


@pytest.fixture
def project(root, tmp_path):
    """A grid of two members with two seeds each, and a workspace that has run nothing."""
    folder = make_repository(tmp_path / "project")
    shutil.copytree(root / "configs/ablations", folder / "configs/ablations")
    dump(folder / "params.yaml", settings())
    for i, (member, (loss, ap)) in enumerate(MEMBERS.items()):
        for seed in (0, 1):
            values = settings(seed, METHODS, loss={"type": "fcbl", **loss})
            found = {"bce": metrics(0.2 + seed / 100), "bacl": metrics(ap + seed / 100)}
            add_experiment(
                folder, f"parts-{member}-seed-{seed}-0123456{i}{seed}f", 10 * i + seed,
                values=values, results=found,
                bootstraps={name: replicates(m) for name, m in found.items()},
            )  # fmt: skip
    return folder


def test_the_experiments_of_a_project(root, project):
    done = comparison(root, project, "--name", "parts", "--metrics", "AP,APr")
    assert done.stderr == ""
    assert (project / "reports/comparisons/parts/table.md").read_text() in done.stdout
    rows = table(project, "parts")
    assert list(rows) == ["bce", "margin", "all"]
    assert rows["all"]["loss.weight"] == "true"
    assert (rows["bce"]["n"], rows["bce"]["seeds"]) == ("2", "0 1")  # shared by the members
    assert float(rows["all"]["AP"]) == pytest.approx(40.5)
    assert float(rows["all"]["AP_sd"]) == pytest.approx(1 / 2**0.5)
    assert float(rows["all"]["AP_delta"]) == pytest.approx(20)
    assert float(rows["all"]["AP_low"]) == pytest.approx(20, abs=1e-3)
    page = (project / "reports/comparisons/parts/index.html").read_text()
    commit = git(project, "for-each-ref", "--format=%(objectname:short)", "refs/exps").split()[0]
    assert commit in page and "parts-all-seed-0-" in page


def test_sources_methods_and_rows_are_chosen(root, project):
    chosen = ("--method", "bacl", "--metrics", "AP")
    comparison(root, project, "parts-all*", *chosen)
    assert list(table(project)) == ["all"]
    comparison(root, project, *chosen, "--where", "loss.weight=false", "--where", "seed=1")
    assert list(table(project)) == ["margin"]
    assert table(project)["margin"]["n"] == "1"
    done = comparison(root, project, *chosen, "--baseline", "all")
    assert "| minus all | AP |" in done.stdout
    for arguments, message in (
        (["none-*"], "no experiment of project is called none-*; there are: workspace, parts-all-"),
        (["--where", "data.name=x"], "no finished run has data.name=x; there are: blocks"),
        (["elsewhere/"], "elsewhere is no folder with a params.yaml"),
        (["--name", "../x"], "--name is '../x'; it takes up to 100 letters"),
        (["mlflow:bacl"], "does not exist; name the server with --tracking-uri"),
    ):
        done = run(root, project, "pipeline.comparison", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_of_two_runs_of_a_member_the_newer_counts_and_is_told(root, project):
    values = settings(0, METHODS)
    add_experiment(
        project, "parts-all-seed-0-ffffffffff", 50, values=values,
        results={"bacl": metrics(0.5)}, code="other",
    )  # fmt: skip
    done = comparison(root, project, "--method", "bacl", "--metrics", "AP", "--where", "seed=0")
    assert float(table(project)["all"]["AP"]) == 50
    assert "parts-all-seed-0-ffffffffff counts" in done.stderr


def test_what_a_commit_holds_of_other_runs_does_not_count(tmp_path):
    """Metrics of the commit that the experiment started from, and of another params.yaml."""
    folder = make_repository(tmp_path)
    values, found = settings(0, METHODS), {"bce": metrics(0.2), "bacl": metrics(0.4)}
    write_results(folder, values, found, {"bacl": replicates(found["bacl"])})
    assert set(folders.read_workspace(folder).results) == {"bce", "bacl"}
    write(folder / "reports/metrics/bce.json", json.dumps(metrics(0.9)))
    run = folders.read_workspace(folder)
    assert set(run.results) == {"bacl"}
    assert len(run.results["bacl"].replicates["AP"]) == 200
    values["classifier"]["bacl"]["epochs"] = 5
    dump(folder / "params.yaml", values)
    assert set(folders.read_workspace(folder).results) == set()
    (folder / "dvc.lock").unlink()  # stages run by hand: as it is
    assert set(folders.read_workspace(folder).results) == {"bce", "bacl"}


def test_bootstraps_of_other_predictions_do_not_count(tmp_path):
    values, found = settings(0, METHODS), {"bacl": metrics(0.4)}
    write_results(tmp_path, values, found, {"bacl": replicates(found["bacl"])})
    stages = lock(tmp_path, values, "d0.dir", {}, {})
    other = {"path": "predictions/bacl.parquet", "md5": "of another run"}
    stages["diagnose@bacl"]["deps"] = [other]
    dump(tmp_path / "dvc.lock", {"stages": stages})
    result = folders.read_workspace(tmp_path).results["bacl"]
    assert result.metrics["AP"] == 0.4
    assert result.replicates == {}


def test_different_data_are_refused_unless_chosen(root, project):
    values = settings(0, METHODS)
    values["data"]["exponent"] = 2.0
    add_experiment(
        project, "tail", 50, values=values, results={"bacl": metrics(0.1)}, data="d1.dir"
    )
    done = run(root, project, "pipeline.comparison")
    assert done.returncode == 1
    assert "data.exponent=2.0 (tail)" in done.stderr
    assert not (project / "reports").exists()
    comparison(root, project, "--where", "data.exponent=2.0")
    comparison(root, project, "parts-*")


def test_folders_and_a_damaged_experiment(root, project, tmp_path):
    other = tmp_path / "other"
    write_results(other, settings(2, METHODS), {"bacl": metrics(0.42)})
    add_experiment(project, "broken", 51, values=settings() | {"seed": "x"}, results={})
    commit = git(project, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "empty")
    start = git(project, "rev-parse", "HEAD")
    git(project, "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/empty", commit)
    done = comparison(root, other, str(project), ".", "--metrics", "AP", "--method", "bacl")
    assert "warning: empty is left out: params.yaml does not exist" in done.stderr
    rows = table(other)
    assert rows["bacl, weight on"]["seeds"] == "0 1 2"
    comparison(root, other, f"{project}:parts-margin*", "--metrics", "AP", "--method", "bacl")
    assert [row["n"] for row in table(other).values()] == ["2"]


def add_data(folder):
    for split in ("train", "val"):
        write(folder / f"data/blocks/{split}.json", json.dumps(IMAGES))
    write(folder / "data/blocks/categories.csv", "id,frequency\n1,r\n")


def test_an_mlflow_experiment_on_a_server(root, tmp_path):
    with Server(tmp_path) as server:
        tracking = {"uri": server.uri, "experiment": "shared"}
        for seed in (0, 1):
            folder = tmp_path / f"machine{seed}"
            values = settings(seed, METHODS) | {"tracking": tracking}
            found = {"bce": metrics(0.2), "bacl": metrics(0.4 + seed / 10)}
            write_results(folder, values, found, {m: replicates(found[m]) for m in METHODS})
            (folder / "dvc.lock").unlink()  # its digests are no real ones
            add_data(folder)
            assert "mirrored" in sync(folder)
        empty = tmp_path / "empty"
        empty.mkdir()
        asked = ("mlflow:shared", "--tracking-uri", server.uri, "--metrics", "AP,AR@300")
        comparison(root, empty, *asked)
        rows = table(empty)
        assert (rows["bacl"]["n"], rows["bacl"]["seeds"]) == ("2", "0 1")
        assert float(rows["bacl"]["AP"]) == pytest.approx(45)
        assert float(rows["bacl"]["AR@300"]) == pytest.approx(45)
        assert float(rows["bacl"]["AP_low"]) == pytest.approx(25, abs=1e-3)
        # the same runs from the folders count once; tracking.uri of params.yaml is the default
        done = comparison(root, tmp_path / "machine1", "workspace", *asked[:1])
        assert done.stderr == ""
        assert table(tmp_path / "machine1")["bacl"]["n"] == "2"
        as_older_code_mirrored(server.uri)
        done = comparison(root, tmp_path / "machine1", "workspace", *asked[:1])
        assert done.stderr == ""
        assert float(table(tmp_path / "machine1")["bacl"]["AP"]) == pytest.approx(45)
        done = run_unknown(root, empty, server.uri)
        assert "has no experiment 'other'; it has: Default, shared" in done.stderr
    done = run_unknown(root, empty, server.uri)
    assert "does not answer" in done.stderr


def as_older_code_mirrored(uri):
    """One seed's runs in fractions, without the tag that says percent."""
    client = MlflowClient(tracking_uri=uri)
    number = client.get_experiment_by_name("shared").experiment_id
    for run in client.search_runs([number], "tags.stage LIKE 'evaluate@%' and tags.seed = '0'"):
        client.delete_tag(run.info.run_id, "scale")
        for key, value in run.data.metrics.items():
            client.log_metric(run.info.run_id, key, value / 100)


def run_unknown(root, folder, uri):
    done = run(root, folder, "pipeline.comparison", "mlflow:other", "--tracking-uri", uri)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done


def test_the_stage_seeds_takes_the_very_configuration_only(root, project):
    values = settings(0, METHODS)
    own = {"bce": metrics(0.2), "bacl": metrics(0.4)}
    write_results(project, values, own, {m: replicates(own[m]) for m in own})
    older = settings(2, METHODS)
    add_experiment(
        project, "older-code", 51, values=older, results=own,
        code="other",
    )  # fmt: skip
    add_experiment(project, "other-data", 52, values=older, results=own, data="d1.dir")
    longer = settings(3, METHODS)
    longer["representation"]["bce"]["epochs"] = 2
    add_experiment(project, "other-start", 53, values=longer, results=own)
    done = run(root, project, "stages.seeds")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("bce: also finished with seed 1\nbacl: also finished with seed 1\n")
    found = json.loads((project / "reports/seeds.json").read_text())
    assert list(found) == ["bce", "bacl"]
    assert found["bacl"]["1"]["run"].startswith("parts-all-seed-1-")
    assert found["bacl"]["1"]["metrics"]["AP"] == pytest.approx(0.41)
    assert len(found["bacl"]["1"]["bootstrap"]["APr"]) == 200
    check_summed(project, values, own)
    # a clone has the file, and not the experiments; other code makes it void
    for name in folders.finished(project).values():
        git(project, "update-ref", "-d", name)
    assert run(root, project, "stages.seeds").stdout == done.stdout
    write_results(project, values, own, {m: replicates(own[m]) for m in own}, evaluating="other")
    assert run(root, project, "stages.seeds").stdout == ""


def check_summed(project, values, own):
    params = parse(Params, values, "")
    summed = over_seeds(seeds_table(params, own, project))
    assert summed["bacl"].seeds == [0, 1]
    assert summed["bacl"].values["AP"] == pytest.approx([0.4, 0.41])
    assert summed["bacl"].summaries["AP"].mean == pytest.approx(0.405)
    assert summed["bacl"].summaries["APl"].mean is None
    assert list(summed["bacl"].intervals) == ["AP", "APr", "APc", "APf"]
    arrays = {
        method: [replicates(metrics(ap + seed / 100))["APr"] for seed in (0, 1)]
        for method, ap in (("bce", 0.2), ("bacl", 0.4))
    }
    wanted = paired_interval(0.1, arrays["bacl"], arrays["bce"])
    assert summed["bacl"].intervals["APr"].low == pytest.approx(wanted.low, abs=1e-5)
    assert set(summed["bce"].intervals.values()) == {None}


def test_seeds_without_experiments_or_git(tmp_path):
    values, own = settings(0, METHODS), {"bce": metrics(0.2), "bacl": metrics(0.4)}
    write_results(tmp_path, values, own)
    assert find_seeds(tmp_path) == {}
    assert to_text({}) == "{}\n"
    summed = over_seeds(seeds_table(parse(Params, values, ""), own, tmp_path))
    assert summed["bacl"].summaries["AP"].n == 1
    assert set(summed["bacl"].intervals.values()) == {None}


def test_an_imported_model_has_no_seeds(project):
    """It is the same under every seed, so a deviation of 0 would say nothing."""

    def values(seed):
        found = settings(seed, ("official", "bacl")) | {"pretrained": {"official": OFFICIAL}}
        found["report"]["baseline"] = "official"
        return found

    own = {"official": metrics(0.3), "bacl": metrics(0.4)}
    write_results(project, values(0), own)
    for seed in (3, 4):
        add_experiment(project, f"seed-{seed}", 50 + seed, values=values(seed), results=own)
    found = find_seeds(project)
    assert {method: list(seeds) for method, seeds in found.items()} == {"bacl": ["1", "3", "4"]}
    write(project / "reports/seeds.json", to_text(found))
    summed = over_seeds(seeds_table(parse(Params, values(0), ""), own, project))
    assert (summed["official"].seeds, summed["bacl"].seeds) == ([None], [0, 1, 3, 4])
    assert summed["official"].summaries["AP"].n == 1


def test_undefined_replicates_come_back(project):
    values = settings(0, METHODS)
    own = {"bce": metrics(0.2), "bacl": metrics(0.4)}
    write_results(project, values, own)
    gaps = replicates(metrics(0.5)) | {"APr": np.full(200, np.nan)}
    add_experiment(
        project, "gaps", 51, values=settings(4, METHODS), results=own, bootstraps={"bacl": gaps}
    )
    write(project / "reports/seeds.json", to_text(find_seeds(project)))
    summed = over_seeds(seeds_table(parse(Params, values, ""), own, project))
    assert summed["bacl"].seeds == [0, 1, 4]
    assert summed["bacl"].intervals["APr"] is None
