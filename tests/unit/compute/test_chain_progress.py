"""What a stage says of its place in the chain, and which times it is told from."""

import os
import socket

import pytest

from pipeline.compute import chain_progress
from pipeline.compute.chain_progress import LINE, WHOLE_RUN, duration, time_left, with_whole_run
from pipeline.compute.durations import FILE, Durations
from pipeline.compute.plan import start_of

HERE, ELSEWHERE = socket.gethostname(), "another machine"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv(chain_progress.AFTERWARDS, raising=False)
    return tmp_path


def chain(*to_come, sizes=None):
    return {"work": "w", "sizes": sizes or {}, "ran": [], "to_come": list(to_come)}


def enter(found, stage):
    chain_progress.go_on(found, stage)
    return chain_progress.line(found)


def test_a_stage_that_is_not_needed_after_all_makes_the_total_smaller(project):
    found = chain("check", "prepare", "predict@a", "predict@b", "report", "track")
    assert enter(found, "check") == "[1 of 6] check; no estimate yet"
    assert enter(found, "predict@b") == "[2 of 4] predict@b; no estimate yet"
    assert enter(found, "track") == "[3 of 3] track; no estimate yet"


def test_a_stage_that_nobody_expected_counts_too(project):
    found = chain("check", "seeds", "track")
    enter(found, "check")
    enter(found, "seeds")
    assert enter(found, "report") == "[3 of 4] report; no estimate yet"
    assert enter(found, "track") == "[4 of 4] track; no estimate yet"


def test_no_number_is_told_where_nothing_is_known_and_a_part_is_called_one(project):
    durations = Durations(project, "w", {})
    found = chain("predict@a", "report")
    durations.note("predict@a", 20)
    assert enter(found, "predict@a").endswith("; no estimate yet")  # what is known is nothing
    durations.note("report", 200)
    found = chain("predict@a", "report")
    assert enter(found, "predict@a").endswith("; about 4 min left")
    assert os.environ[chain_progress.AFTERWARDS] == "200.0"
    found = chain("report", "track")
    assert enter(found, "report").endswith("; more than 3 min left")
    assert chain_progress.AFTERWARDS not in os.environ


def test_times_are_of_this_machine_and_this_amount_of_work(project):
    Durations(project, "other data", {}).note("predict@a", 500)
    line = (project / FILE).read_text()
    (project / FILE).write_text(line + line.replace(HERE, ELSEWHERE).replace("other data", "w"))
    assert Durations(project, "w", {}).expected("predict@a") is None
    assert Durations(project, "other data", {}).expected("predict@a") == 500


def test_a_time_is_the_median_of_the_last_ones_or_that_of_a_stage_of_its_kind(project):
    durations = Durations(project, "w", {})
    for seconds in (900, 100, 10, 110, 120, 5000):
        durations.note("predict@a", seconds)
    assert durations.expected("predict@a") == 110
    assert durations.expected("predict@b") == 110
    assert durations.expected("evaluate@a") is None
    durations.note("predict@b", 60)
    assert durations.expected("predict@b") == 60


def test_a_training_takes_its_epochs_times_as_long(project):
    Durations(project, "w", {"train_classifier@a": 12}).note("train_classifier@a", 600)
    sizes = {"train_classifier@a": 24, "train_classifier@b": 6}
    assert Durations(project, "w", sizes).expected("train_classifier@a") == 1200
    assert Durations(project, "w", sizes).expected("train_classifier@b") == 300


def test_a_line_that_a_kill_has_cut_does_not_count(project):
    durations = Durations(project, "w", {})
    durations.note("report", 60)
    with (project / FILE).open("a") as file:
        file.write('{"host": "')
    assert durations.expected("report") == 60


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2, "less than a minute"), (31, "1 min"), (1500, "25 min"), (5300, "88 min"),
        (5400, "1 h 30 min"), (90_300, "25 h 05 min"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


def test_time_left_in_words():
    assert time_left([10, 15]) == "less than a minute left"
    assert time_left([1500]) == "about 25 min left"
    assert time_left([None, 1500]) == "more than 25 min left"
    assert time_left([None]) == "no estimate yet"


def test_the_eta_of_a_training_is_followed_by_that_of_the_run(monkeypatch):
    line = "Epoch(train)  [1][10/63]  lr: 1.0e-02  eta: {}  time: 0.1"
    monkeypatch.delenv(chain_progress.AFTERWARDS, raising=False)
    assert with_whole_run(line.format("0:01:05"), 65) == line.format("0:01:05")
    monkeypatch.setenv(chain_progress.AFTERWARDS, "235.0")
    for eta in ("0:01:05", "1 day, 0:01:05", "12 days, 10:01:05"):
        said = with_whole_run(line.format(eta), 65)
        assert said == line.format(f"{eta} (whole run: 5 min)")
        assert WHOLE_RUN.findall(said) == ["5 min"]


def test_a_failing_display_stops_no_stage(project, monkeypatch, capsys):
    monkeypatch.setenv("DVC_STAGE", "check")
    monkeypatch.setattr(chain_progress, "enter", lambda stage: 1 / 0)
    with chain_progress.shown():
        print("at work")
    monkeypatch.setattr(chain_progress, "enter", lambda stage: {"ran": ["train_classifier@gone"]})
    with chain_progress.shown():
        print("at work")
    assert capsys.readouterr().out == "at work\nat work\n"


def test_a_stage_by_hand_says_nothing(project, monkeypatch, capsys):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    with chain_progress.shown():
        pass
    assert capsys.readouterr().out == ""
    assert list(project.iterdir()) == []


def test_the_line_is_found_again_in_a_log():
    text = "> exec python\n[3 of 14] train_classifier@b.c-d; about 25 min left\n[1][2/3] x; y\n"
    assert LINE.findall(text) == [("3", "14", "train_classifier@b.c-d", "about 25 min left")]


def test_commands_of_dvc_that_run_stages_are_known():
    for words, place in (
        (["python", "/bin/dvc", "repro", "-f"], 2),
        (["python", "-m", "dvc", "exp", "run", "--temp"], 3),
        (["dvc", "experiments", "run"], 1),
        (["dvc", "exp", "show"], None),
        (["bash", "-c", "dvc repro"], None),
    ):
        assert start_of(words) == place
