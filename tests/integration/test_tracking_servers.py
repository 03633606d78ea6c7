"""The mirror against a real MLflow server: down, slow, hanging, killed, back; and what is none."""

import base64
import contextlib
import http.server
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
from mirroring import (
    BUSY,
    INCOMPLETE,
    assert_gap_is_filled,
    assert_one_warning,
    child,
    edit_params,
    finish,
    parents,
    runs_of,
    start_track_stage,
    sync,
    timed_command,
    use_server,
)
from tracking_project import Server, free_port, scalars, write, write_project

from pipeline.tracking import background, server


@pytest.fixture
def project(tmp_path, root, monkeypatch):
    """A folder as a finished pipeline leaves it."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_project(tmp_path, root)
    return tmp_path


@contextlib.contextmanager
def silent_server():
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def closed_port():
    yield free_port()


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """A server that is not the project's own."""
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.mark.parametrize("trouble", [silent_server, closed_port])
def test_a_server_that_fails_costs_a_warning_and_little_time(project, trouble):
    with trouble() as port:
        edit_params(project, "uri: sqlite", f"uri: 'http://127.0.0.1:{port}'")
        _, err, seconds = timed_command(project, start_track_stage)
    assert err.count("\n") == 1
    assert err.startswith(f"warning: MLflow at http://127.0.0.1:{port} was skipped")
    assert seconds < BUSY


def test_mlflow_ui_in_the_project_folder_shows_what_was_mirrored(project):
    """The same server then takes the mirror over HTTP, in another experiment."""
    sync(project)
    with Server(project) as started:
        uri = started.uri
        client, runs = runs_of(uri)
        (parent,) = parents(runs)
        assert parent.data.metrics["bacl/AP"] == 30.0
        report = client.download_artifacts(parent.info.run_id, "reports/index.html")
        assert "<h1>AP</h1>" in Path(report).read_text()
        use_server(project, uri, "remote")
        for _ in range(2):
            assert sync(project, force=True)[1] == ""
        client, runs = runs_of(uri, "remote")
        assert len(runs) == 9
        run_id = child(runs, "train_representation@bce").info.run_id
        assert len(client.get_metric_history(run_id, "loss")) == 20
        artifacts = {a.path for a in client.list_artifacts(parents(runs)[0].info.run_id)}
        assert "params.yaml" in artifacts


def test_a_server_that_hangs_in_mid_sync_costs_a_warning_and_seconds(project, far):
    use_server(project, far.uri, "hangs")
    stage = start_track_stage(project)
    far.wait_for_runs("hangs", 3)
    with far.stopped():
        start = time.monotonic()
        _, err = finish(stage)
        seconds = time.monotonic() - start
    assert_one_warning(err, far.uri)
    assert seconds < BUSY
    assert_gap_is_filled(project, far.uri, "hangs")


def test_a_slow_server_gets_a_limited_time(project, far):
    use_server(project, far.uri, "slow")
    with far.slow_after_a_run("slow"):
        start = time.monotonic()
        _, err = sync(project, seconds=3)
        seconds = time.monotonic() - start
    assert_one_warning(err, far.uri, "took longer than 3 s")
    assert seconds < BUSY
    assert_gap_is_filled(project, far.uri, "slow")


def test_a_server_killed_in_mid_sync_and_started_again(project, far):
    use_server(project, far.uri, "killed")
    stage = start_track_stage(project)
    far.wait_for_runs("killed", 3)
    far.signal(signal.SIGKILL)
    start = time.monotonic()
    far.process.wait()
    _, err = finish(stage)
    assert_one_warning(err, far.uri, "failed: ")
    assert time.monotonic() - start < BUSY
    assert_one_warning(sync(project)[1], far.uri, "was skipped: ")
    far.start()
    assert_gap_is_filled(project, far.uri, "killed")


def test_training_waits_neither_for_a_server_that_hangs_nor_for_its_mirror(project, far):
    use_server(project, far.uri, "live")
    running = project / ".checkpoints/scalars.jsonl"
    write(running, scalars(range(1, 11)))
    mirror = background.LiveMirror(project)
    mirror.start({"bacl": running})
    assert mirror.process.poll() is None  # it has not been waited for
    far.wait_for_runs("live", 3)
    with far.stopped():
        assert mirror.process.wait(timeout=BUSY) == 0
    log = (project / ".mlflow-mirror.log").read_text()
    assert_one_warning(log.replace(INCOMPLETE, ""), far.uri, "failed: ")


def test_the_stage_does_not_wait_long_for_another_mirror_of_a_far_server(project, far):
    use_server(project, far.uri, "other")
    with server.lock(far.uri, project, 0) as mine:
        assert mine
        start = time.monotonic()
        _, err = sync(project, seconds=0.5)
        assert time.monotonic() - start < BUSY
    assert err.startswith("warning: another mirror of this project is running")
    assert "`python -m pipeline.tracking sync` tries again" in err


def test_a_server_that_comes_late_and_later_loses_its_database(project, tmp_path_factory):
    late = Server(tmp_path_factory.mktemp("first"))
    use_server(project, late.uri, "late")
    assert_one_warning(sync(project)[1], late.uri, "was skipped: ")
    with late:
        assert_gap_is_filled(project, late.uri, "late")
    late.folder = tmp_path_factory.mktemp("second")
    with late:  # the files have not changed, so only the command asks the server
        assert_gap_is_filled(project, late.uri, "late", force=True)


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def no_certificate(folder, wrap=lambda socket: socket):
    """A server without TLS."""
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as web:
        web.socket = wrap(web.socket)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield web.server_address[1]
        web.shutdown()


def unknown_certificate(folder):
    """A server that vouches for itself."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    where = ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*make, *where], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return no_certificate(folder, lambda socket: context.wrap_socket(socket, server_side=True))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(unknown_certificate, "CERTIFICATE_VERIFY_FAILED"), (no_certificate, "SSLError")],
)
def test_a_server_whose_tls_fails_costs_a_warning_with_the_reason(
    project, tmp_path, trouble, words
):
    with trouble(tmp_path) as port:
        uri = f"https://127.0.0.1:{port}"
        edit_params(project, "uri: sqlite", f"uri: '{uri}'")
        _, err, seconds = timed_command(project)
    assert_one_warning(err, uri, "failed: ")
    assert words in err
    assert seconds < BUSY


class Refusing(Quiet):
    """Notes who asks, and lets nobody in."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append(self.headers.get("Authorization"))
        self.send_response(401)
        self.end_headers()

    do_POST = do_GET


def test_a_password_reaches_the_server_and_no_message(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{web.server_address[1]}"
        edit_params(project, "uri: sqlite", f"uri: 'http://{place}'")
        _, err = sync(project)
        web.shutdown()
    assert_one_warning(err, f"http://{place}", "failed: ")
    known = "Basic " + base64.b64encode(b"me:secret").decode()
    assert known in Refusing.asked
    assert "secret" not in err


def test_a_password_in_the_address_is_not_printed(project, far):
    place = far.uri.removeprefix("http://")
    use_server(project, f"http://me:secret@{place}", "hidden")
    stage = start_track_stage(project)
    far.wait_for_runs("hidden", 2)
    with far.stopped():
        _, err = finish(stage)
    assert "warning: MLflow at http://127" in err
    assert "secret" not in err
