"""Where DVC's copies of the project would run to their end and be lost, nothing is begun."""

import pytest
from finished_runs import git, make_repository

from pipeline.runs import git_state


@pytest.fixture
def in_a_copy(tmp_path, monkeypatch):
    """In one that DVC has made of the project, for an experiment."""

    def enter(project):
        copy = project / ".dvc/tmp/exps/standalone/tmp1"
        copy.mkdir(parents=True)
        monkeypatch.setenv("DVC_ROOT", str(project))
        monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
        monkeypatch.chdir(copy)

    return enter


@pytest.fixture
def shallow(tmp_path):
    origin = make_repository(tmp_path / "origin")
    git(origin, "commit", "--quiet", "--allow-empty", "--message", "more")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{origin}", "clone")
    return tmp_path / "clone"


def test_a_shallow_clone_is_refused_until_it_has_its_history(shallow, in_a_copy):
    in_a_copy(shallow)
    with pytest.raises(ValueError, match=f"{shallow} is a shallow clone.*git fetch --unshallow"):
        git_state.check_experiment()
    git(shallow, "fetch", "--quiet", "--unshallow")
    git_state.check_experiment()


def test_dvc_repro_and_experiments_in_the_folder_itself_go_on(shallow, monkeypatch):
    monkeypatch.chdir(shallow)
    git_state.check_experiment()
    monkeypatch.setenv("DVC_ROOT", str(shallow))
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    git_state.check_experiment()


@pytest.mark.parametrize("name", ["ü", "a #1", "what?now", "p%20q", "a\tb", "日本", "a\nb"])
def test_a_path_that_dvc_cannot_copy_is_named(name, tmp_path, in_a_copy):
    project = make_repository(tmp_path / name)
    in_a_copy(project)
    with pytest.raises(ValueError, match="DVC cannot make copies of the project") as caught:
        git_state.check_experiment()
    assert str(caught.value).startswith(str(project))


@pytest.mark.parametrize("name", ["a b", "it's", "semi;colon", "100%", 'q"', "x*y", "[b]", "a&b"])
def test_other_paths_are_as_good_as_any(name, tmp_path, in_a_copy):
    in_a_copy(make_repository(tmp_path / name))
    git_state.check_experiment()


def test_without_git_nothing_is_asked(tmp_path, in_a_copy, monkeypatch):
    in_a_copy(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    git_state.check_experiment()
    assert git_state.commit() is None
    assert git_state.is_dirty() is None
