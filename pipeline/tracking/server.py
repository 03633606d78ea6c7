"""Where the mirror lives, and whether it answers. Does not import mlflow."""

import contextlib
import fcntl
import http.client
import os
import re
import signal
import socket
import sqlite3
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.masking import masked

PROBE_SECONDS, PATIENT_PROBE_SECONDS = 5, 30
LOCK_SECONDS = 120
PROBE_PATH = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
SQLITE = "sqlite:///"
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def project_root(root):
    """The folder that outlives the run: ``dvc exp run --temp`` works in a copy that is deleted."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()


def resolve_uri(uri, project):
    """``tracking.uri`` as an MLflow tracking URI; SQLite paths become absolute in ``project``."""
    if uri == "sqlite":
        uri = f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):
        folder = re.sub("[%?#]", lambda sign: quote(sign[0]), str(project))
        return f"{SQLITE}{Path(folder, uri.removeprefix(SQLITE))}"
    return uri


def database_file(uri):
    """The file of a resolved SQLite URI, None for any other."""
    path = uri.removeprefix(SQLITE).partition("?")[0]
    return Path(unquote(path)) if uri.startswith(SQLITE) else None


def is_remote(uri):
    return uri.startswith(("http://", "https://"))


def printable(uri):
    """The URI without what is secret in it."""
    return masked(without_user(uri))


def without_user(uri):
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in uri else uri


def why_unreachable(uri, seconds=PATIENT_PROBE_SECONDS):
    """None if the store gives any answer within ``seconds``, otherwise the reason.

    mlflow itself would try for minutes. The thread bounds what no socket timeout does: a name
    server that is silent, an answer that drips in byte by byte.
    """
    probe = probe_http if is_remote(uri) else probe_database
    reasons = [f"no answer within {seconds} s"]
    thread = threading.Thread(target=lambda: reasons.append(probe(uri, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return reasons[-1]


def probe_http(uri, seconds):
    url = without_user(uri).rstrip("/") + PROBE_PATH
    try:
        with urllib.request.urlopen(url, timeout=seconds):
            return None
    except urllib.error.HTTPError:
        return None  # also "no such experiment" and "log in first" come from a living server
    except urllib.error.URLError as error:
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except http.client.BadStatusLine:
        return "what listens there does not speak HTTP; is the port right, or is it https://?"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


def probe_database(uri, seconds):
    path, parts = database_file(uri), urlsplit(uri)
    try:
        if path and path.exists():
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA schema_version")
        elif usual := DATABASE_PORTS.get(parts.scheme.partition("+")[0]):
            port = parts.port or usual
            socket.create_connection((parts.hostname, port), seconds).close()
    except (OSError, ValueError, sqlite3.Error) as error:
        return str(error)
    return None


def origin(error):
    """The failure of TLS that HTTP libraries bury under their own errors, or the error itself."""
    inner = error
    while inner and not isinstance(inner, ssl.SSLError):
        inner = inner.__cause__ or inner.__context__
    return inner or error


def use_short_timeouts(patient):
    """Make mlflow, imported after this, give up in seconds, not minutes; the user's own win.

    No second try of a request: a server that only answers late has made the run already, and
    would make it twice. The next sync is the second try.
    """
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30" if patient else "5",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)


class TimeIsUp(BaseException):
    """No ``Exception``: HTTP libraries would take it for one of theirs, and try again."""


@contextlib.contextmanager
def time_limit(seconds):
    """Raise ``TimeIsUp`` inside the block after so many seconds (None: never); main thread only.

    It rings on every second, should the first be lost in code that lets no exception out.
    """
    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ring(number, frame):
    raise TimeIsUp


@contextlib.contextmanager
def lock(uri, project, seconds):
    """Hold the store's mirror lock; gives False if another process kept it for ``seconds``.

    Creating a SQLite store from several processes at once fails in its migrations, so all projects
    that share one wait for each other; a server copes with that, but two mirrors of one project
    would make two parent runs. The kernel frees the lock when its process dies.
    """
    database = database_file(uri)
    folder = database.parent if database else project
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".mlflow-mirror.lock", "w") as file:
        yield acquire(file, time.monotonic() + seconds)


def acquire(file, deadline):
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
