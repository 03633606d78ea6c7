"""The grid's yaml, its combinations and checks, the experiments' names and the table."""

import io
from dataclasses import replace

import pytest
from finished_runs import add_experiment, make_repository, metrics, settings

from pipeline.ablation import members as run
from pipeline.ablation import table
from pipeline.ablation.experiment import experiment_name
from pipeline.ablation.members import Run, one_gpu
from pipeline.ablation.progress import Progress
from pipeline.params import Compute
from pipeline.runs.grid import load_grid


@pytest.fixture
def load(root, tmp_path, monkeypatch):
    """Members of a grid given as text, for the default params.yaml."""
    monkeypatch.chdir(root)

    def load(text):
        path = tmp_path / "grid.yaml"
        path.write_text(text, encoding="utf-8")
        return load_grid(path)

    return load


def test_every_member_with_every_combination(load):
    members = load(
        "set: [predict.max_per_image=300]\n"
        "members:\n  both: []\n  margin: [classifier.bacl.loss.weight=false]\n"
        "grid: {seed: [0, 1], train.precision: [fp32, bf16]}\n"
    )
    assert len(members) == 8
    last = members[-1]
    assert last.label == "margin seed=1 train.precision=bf16"
    assert last.row == "margin train.precision=bf16"
    assert last.params.predict.max_per_image == 300
    assert last.params.method("bacl").loss.knobs["weight"] is False
    assert (last.params.seed, last.params.train.precision) == (1, "bf16")
    assert last.method == "bacl"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members: {a: [trian.batch_size=8]}", "member a: cannot set trian.batch_size=8"),
        ("members: {a: [train.batch_size=no]}", "member a: train.batch_size is 'no'; it takes"),
        ("members: {a: [+train.batch=8]}", "member a: unknown key train.batch in params.yaml"),
        ("members: {a: ['seed=1,2']}", "member a: seed=1,2 has several values; put them"),
        ("members: {a: [seed]}", "member a: cannot set seed"),
        ("members: {a: [report.methods=[bce]]}", "overrides with brackets need quotes"),
        ("members: {a: seed=1}", "members.a is 'seed=1'; it takes a list"),
        ("members: {}", "has no members"),
        ("members: {a: []}\ngrid: {seed: 1}", "grid.seed is 1; it takes a list"),
        ("members: {a: []}\ngrid: {sed: [1]}", "member a sed=1: unknown key sed in params.yaml"),
        ("members: {a: []}\nmember: 1", "unknown key 'member'"),
        ("members: {a: []}\nmethod: other", "member a: unknown method 'other'"),
    ],
)
def test_what_is_wrong_is_named_before_anything_runs(load, text, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_relative_data_is_refused_with_the_absolute_path(load, root, tmp_path):
    text = (root / "configs/presets/own_data.yaml").read_text(encoding="utf-8")
    folder = next(line for line in text.splitlines() if line.strip().startswith("annotations:"))
    (tmp_path / "params.yaml").write_text(text.replace(folder, "  annotations: ../own"))
    (tmp_path / "grid.yaml").write_text("members: {a: []}")
    with pytest.raises(ValueError, match=f"write '{root.parent / 'own'}'"):
        load_grid(tmp_path / "grid.yaml", tmp_path / "params.yaml")


def test_a_file_that_git_has_may_be_relative(load):
    with pytest.raises(
        ValueError, match=r"detector\.weights is 'none\.pth', which DVC's temporary"
    ):
        load("members: {a: [+detector.weights=none.pth]}")
    assert load("members: {a: [+detector.weights=LICENSE]}")
    assert load("members: {a: ['+detector.weights=\"torchvision://resnet18\"']}")


@pytest.mark.parametrize("name", ["parts", "smoke"])
def test_the_given_grids_fit_their_params(root, monkeypatch, name):
    monkeypatch.chdir(root)
    preset = root / "configs/presets" / {"parts": "symbols.yaml", "smoke": "smoke.yaml"}[name]
    assert load_grid(root / f"configs/ablations/{name}.yaml", preset)


@pytest.mark.parametrize(
    ("override", "features"),
    [
        ("~classifier.bacl.features", None),
        ("classifier.bacl.features=null", None),
        ("classifier.bacl.features.decay_ratio=0.2", 0.2),
    ],
)
def test_parts_are_removed_and_set_as_dvc_does(load, override, features):
    (member,) = load(f"members: {{a: [{override}]}}")
    found = member.params.method("bacl").features
    assert (found and found.knobs["decay_ratio"]) == features


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+classifier.bacl.hallucination.enabled=false", "hallucination is now features: {type"),
        ("classifier.bacl.features.type=fog", "features.type is 'fog'; allowed: hallucination"),
        ("+classifier.bacl.features.deacy_ratio=1", "features.deacy_ratio in params.yaml; did you"),
        ("classifier.bacl.features.decay_ratio=2", "features.decay_ratio is 2.0; allowed: 0 to 1"),
    ],
)
def test_a_wrong_part_of_a_member_is_named(load, override, message):
    with pytest.raises(ValueError, match=r"^member a: ") as caught:
        load(f"members: {{a: [{override}]}}")
    assert message in str(caught.value)


def test_a_name_depends_on_what_changes_the_result_only(load):
    (member,) = load("members: {a: []}")
    elsewhere = replace(member, params=replace(member.params, compute=Compute(gpus=0)))
    other = replace(member, params=replace(member.params, seed=7))
    name = experiment_name("parts", member)
    assert name.startswith("parts-a-")
    assert experiment_name("parts", elsewhere) == name
    assert experiment_name("parts", other) != name


def test_two_members_that_are_the_same_are_refused(load):
    members = load("members: {a: [], b: [seed=0]}")
    with pytest.raises(ValueError, match="members a and b are the same"):
        run.runs("grid", members, 1, 0)


def test_members_side_by_side_get_a_gpu_each(load):
    (member,) = load("members: {a: []}")
    auto, two = (replace(member.params, compute=Compute(gpus=gpus)) for gpus in ("auto", 2))
    assert one_gpu(auto, 2, 2) == ("++compute.gpus=1",)
    for params, workers, gpus in ((auto, 1, 2), (auto, 2, 0), (two, 2, 4)):
        assert one_gpu(params, workers, gpus) == ()


def test_the_table_compares_what_is_finished(load, monkeypatch, tmp_path):
    """In the grid's order and under its names, of the member's method, mean and deviation."""
    members = load("members: {b: [], a: [classifier.bacl.loss.weight=false]}\ngrid: {seed: [0, 1]}")
    runs = [Run(m, f"e{i}", None, (), "done") for i, m in enumerate(members)]
    runs[3].state = "failed"
    project = make_repository(tmp_path / "project")
    for run_, ap in zip(runs, (0.10, 0.12, 0.2, 0.3), strict=True):
        params = run_.member.params
        loss = params.method("bacl").loss.as_yaml()
        values = settings(params.seed, ("bce", "bacl"), loss=loss)
        found = {"bce": metrics(0.5), "bacl": metrics(ap)}
        add_experiment(project, run_.name, values=values, results=found)
    monkeypatch.chdir(project)
    text = table.write_table("grid", runs)
    assert [line.split(" | ")[:4] for line in text.splitlines()[2:4]] == [
        ["| b", "true", "2", "11.0 ± 1.4"],
        ["| a", "false", "1", "**20.0**"],
    ]
    assert "bce" not in text
    folder = project / "reports/comparisons/grid"
    assert (folder / "table.md").read_text() == text
    assert (folder / "index.html").is_file()


def test_without_a_finished_member_there_is_no_table(load, monkeypatch, tmp_path):
    (member,) = load("members: {a: []}")
    monkeypatch.chdir(tmp_path)
    assert table.write_table("grid", [Run(member, "e", None, (), "failed")]) == ""
    assert list(tmp_path.glob("reports/*")) == []


def test_progress_tells_every_change_once(load, tmp_path):
    (member,) = load("members: {a: []}")
    one = Run(member, "e", tmp_path / "a.log", ())
    out = io.StringIO()
    progress = Progress(1, out)
    progress([one])
    one.state = "running"
    progress([one])
    one.log.write_text("Running stage 'train_representation@bce':\n> exec python\n")
    one.follow()
    progress([one])
    assert one.last_line() == ""
    with one.log.open("a") as log:
        log.write(
            "11/24 INFO - Epoch(train)  [1][10/63]  lr: 1.0e-02  eta: 0:01:05  time: 0.1  loss: 2\n"
        )
    one.follow()
    progress([one])
    assert one.last_line() == "Epoch(train) [1][10/63] lr: 1.0e-02 eta: 0:01:05"
    one.state, one.reason = "failed", "error: disk full (see a.log)"
    progress([one])
    states = [line.split(maxsplit=1)[1] for line in out.getvalue().splitlines()]
    assert [state.split("  ")[0] for state in states] == [
        "waiting",
        "running starting",
        "running train_representation@bce",
        "failed: error: disk full (see a.log)",
    ]


def test_progress_tells_the_stages_place_and_the_time_left(load, tmp_path):
    (member,) = load("members: {a: []}")
    one = Run(member, "e", tmp_path / "a.log", (), "running")
    out = io.StringIO()
    progress = Progress(1, out)

    def follow(text):
        with one.log.open("a") as log:
            log.write(text)
        one.follow()
        progress([one])

    follow("Running stage 'predict@bce':\n> exec python -m stages.predict bce\n")
    follow("[3 of 8] predict@bce; about 25 min left\n")
    shown = "running predict@bce (stage 3 of 8, about 25 min left)"
    assert [line.split(maxsplit=1)[1] for line in out.getvalue().splitlines()] == [
        f"{shown}  [0 done of 1]"
    ]
    assert progress.line(one).endswith(shown)  # and does not say it twice
    follow("Epoch(train)  [1][10/63]  eta: 0:01:05 (whole run: 3 h 05 min)  time: 0.1\n")
    assert progress.line(one).endswith(
        "(stage 3 of 8, about 3 h 05 min left) Epoch(train) [1][10/63] eta: 0:01:05"
    )
    follow("Running stage 'track':\n> exec python -m stages.track\n")
    assert progress.line(one).endswith(" running track")


def test_a_start_that_was_cut_off_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.PARAMS.write_text("seed: 0")
    run.remember_start(run.PARAMS.read_bytes())
    run.check_interrupted_start()
    run.PARAMS.write_text("seed: 1")
    with pytest.raises(ValueError, match=r"compare it with \.ablations/params\.yaml\.before"):
        run.check_interrupted_start()
