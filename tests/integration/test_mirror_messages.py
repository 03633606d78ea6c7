"""What goes wrong between the mirror and a store is one line that says what to do."""

import contextlib
import http.server
import socket
import sqlite3
import ssl
import subprocess
import threading

import pytest
from mirroring import database, edit_params, sync
from tracking_project import write_project

from pipeline.comparison.mlflow_runs import runs_of
from pipeline.tracking import explain as messages

HTML = b"<!doctype html><html><body><h1>Welcome to nginx</h1>" + b"<p>x</p>" * 100
UNKNOWN_PATH = "is the server's path missing in tracking.uri (such as http://host/mlflow)"


@pytest.fixture
def project(tmp_path, root, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    write_project(tmp_path, root)
    return tmp_path


@contextlib.contextmanager
def answering(status, body, kind="text/html", wrap=None):
    """The address of a server that gives this one answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.socket = wrap(web.socket) if wrap else web.socket
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{web.server_address[1]}"
        web.shutdown()


def the_line(project, uri):
    """The one warning, of the mirror, and the error of who reads the mirror."""
    edit_params(project, "uri: sqlite", f"uri: '{uri}'")
    _, err = sync(project)
    assert err.startswith("warning: MLflow at ") and err.count("\n") == 1, err
    assert len(err) < 600
    with pytest.raises(ValueError, match="MLflow at") as caught:
        runs_of("bacl", uri)
    return err, str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, HTML, UNKNOWN_PATH),
        (404, HTML, UNKNOWN_PATH),
        (404, b"Not Found", UNKNOWN_PATH),
        (405, b"", UNKNOWN_PATH),
        (401, b"You are not authenticated.", "it asks who you are; set MLFLOW_TRACKING_USERNAME"),
        (403, b"Permission denied", "it does not let you do this; ask who runs it"),
        (413, HTML, "takes no files of this size"),
        (502, HTML, "the proxy before it answers 502"),
        (503, b"overloaded", "the proxy before it answers 503"),
    ],
)
def test_an_answer_that_is_not_mlflows(project, status, body, words):
    with answering(status, body) as place:
        for line in the_line(project, f"http://{place}"):
            assert words in line
            assert "<" not in line and "nginx" not in line


def test_a_login_that_is_not_accepted(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "Xq7-secret")
    with answering(401, b"You are not authenticated.") as place:
        for line in the_line(project, f"http://{place}"):
            assert "it does not accept you; check MLFLOW_TRACKING_USERNAME" in line
            assert "Xq7" not in line


def test_mlflows_own_refusal(project):
    body = b'{"error_code": "PERMISSION_DENIED", "message": "no"}'
    with answering(403, body, "application/json") as place:
        for line in the_line(project, f"http://{place}"):
            assert "it does not let you do this" in line


def test_a_certificate_that_nobody_vouches_for(project, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    where = ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*make, *where], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(200, b"", wrap=lambda it: context.wrap_socket(it, server_side=True)) as place:
        for line in the_line(project, f"https://{place}"):
            assert "name the certificate of its authority in MLFLOW_TRACKING_SERVER_CERT" in line


def test_https_where_the_server_speaks_http(project):
    with answering(200, b"") as place:
        for line in the_line(project, f"https://{place}"):
            assert "does the server speak plain http://?" in line


def test_a_port_where_something_else_listens(project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
        for line in the_line(project, f"http://127.0.0.1:{listener.getsockname()[1]}"):
            assert "what listens there does not speak HTTP; is the port right" in line


def greet(listener):
    """As an SSH server does."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.recv(4096)
            connection.close()


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("ffffffffffff", "a newer MLflow than "),
        ("451aebb31d03", "an older MLflow made the database; `mlflow db upgrade sqlite:///"),
    ],
)
def test_a_database_of_another_mlflow(project, revision, words):
    assert sync(project)[1] == ""
    content = project / "mlflow.db"
    before = content.with_name("before.db")
    content.rename(before)  # this process still has the file open
    copy = content.with_name("other.db")
    with (
        contextlib.closing(sqlite3.connect(before)) as old,
        contextlib.closing(sqlite3.connect(copy)) as new,
    ):
        old.backup(new)
        new.execute("UPDATE alembic_version SET version_num = ?", [revision])
        new.commit()
    edit_params(project, "uri: sqlite", "uri: 'sqlite:///other.db'")
    _, err = sync(project)
    assert words in err and err.count("\n") == 1 and len(err) < 500, err
    if "newer" in words:
        assert f"or move {copy} away: it is made again from the files" in err
    with pytest.raises(ValueError, match=words[:20]):
        runs_of("bacl", f"sqlite:///{copy}")
    assert database(project) != f"sqlite:///{copy}"


def test_a_missing_driver_is_named():
    error = ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")
    line = messages.explain(error, "postgresql://me:secret@host/db")
    assert line == "No module named 'psycopg2'; `pip install psycopg2-binary`"
