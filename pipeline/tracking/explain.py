"""What MLflow's errors mean for who reads them: one line, with the remedy."""

import os
import re
import ssl
from importlib.metadata import version
from pathlib import Path

from pipeline.masking import masked
from pipeline.tracking import server

LONGEST = 300
STATUS = re.compile(r"error code (\d{3})|\b(\d{3}) (?:Client|Server) Error|too many (\d{3}) error")
SCHEMA = re.compile(r"database schema \(found version (\w+)")
DRIVERS = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
WEB_PAGE = (
    "it does not answer as MLflow does, but with {}; is the server's path missing in tracking.uri "
    "(such as http://host/mlflow), or does something else listen on this port?"
)


def explain(error: BaseException, uri: str) -> str:
    """Why the store at ``uri`` failed."""
    error = server.origin(error)
    text = " ".join(str(error).split())
    reason = of_the_database(text, uri) or of_tls(error) or of_http(error, text)
    if not reason and isinstance(error, ModuleNotFoundError):
        reason = f"{text}; `pip install {DRIVERS.get(error.name, error.name)}`"
    return masked(reason or f"{type(error).__name__}: {text}"[:LONGEST])


def of_the_database(text, uri):
    found = SCHEMA.search(text)
    if not found:
        return None
    import mlflow.store.db_migrations as migrations

    known = Path(migrations.__file__).parent.glob(f"versions/{found[1]}_*.py")
    if any(known):
        return f"an older MLflow made the database; `mlflow db upgrade {uri}` brings it up to date"
    file = server.database_file(uri)
    again = f", or move {file} away: it is made again from the files" if file else ""
    return (
        f"a newer MLflow than {version('mlflow')}, the one installed here, made the database; "
        f"install that one{again}"
    )


def of_tls(error):
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{error}; if you trust this server, name the certificate of its authority in "
            "MLFLOW_TRACKING_SERVER_CERT_PATH"
        )
    if isinstance(error, ssl.SSLError):
        return f"{type(error).__name__}: {error}; does the server speak plain http://?"
    return None


def of_http(error, text):
    """``text`` has the status where something else than MLflow's own API has answered."""
    if "not in a valid JSON format" in text:
        return WEB_PAGE.format("a page")
    found = STATUS.search(text)
    status = int(found[found.lastindex]) if found else None
    if status == 401 or error_code(error) == "UNAUTHENTICATED":
        known = any(os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "TOKEN"))
        return f"it {'does not accept you; check' if known else 'asks who you are; set'} {LOGIN}"
    if status == 403 or error_code(error) == "PERMISSION_DENIED":
        return (
            "it does not let you do this; ask who runs it for the right to write, or set a "
            "tracking.experiment of your own"
        )
    if status == 413:
        return "the proxy before it takes no files of this size (413); raise its limit"
    if status in (502, 503, 504):
        return f"the proxy before it answers {status}: the server behind is down or overloaded"
    if status and status < 500 and "Response body" in text:
        return WEB_PAGE.format(f"the code {status}")
    return None


def error_code(error):
    return getattr(error, "error_code", None)
