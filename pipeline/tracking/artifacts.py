"""Where the mirror's files lie, and where it may write them."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.tracking import server

FOLDER = "mlartifacts"
COLUMNS = (  # of MLflow's database, that name places of files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def artifact_location(params, uri, project):
    """Of new experiments, as a URI; None: a server has a place of its own."""
    if place := params.tracking.artifacts:
        return place if urlsplit(place).scheme else (project / place).as_uri()
    database = server.database_file(uri)
    return (home_of(database, project) / FOLDER).as_uri() if database else None


def home_of(database, project):
    """A database that several projects use keeps their files beside itself."""
    return project if database.is_relative_to(project) else database.parent


def folder_of(location):
    """The folder of this machine that a location names; None of a store on the network."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(location)


def still_there(location):
    """False of a folder of this machine that was deleted; a server is trusted with its own."""
    folder = folder_of(location)
    return folder is None or folder.is_dir()


def is_of_server(location, own, uri):
    """Whether it is a folder of a server's machine, where nothing written here would arrive.

    ``own``: what ``artifact_location`` gives; a folder that params.yaml names is seen from here.
    """
    folder = folder_of(location)
    return folder is not None and server.is_remote(uri) and not is_inside(folder, own)


def is_inside(folder, own):
    named = own and folder_of(own)
    return bool(named) and folder.is_relative_to(named)


def is_at_home(uri, own, project):
    """Whether database and files lie in the project, and so move and are copied with it."""
    lying = server.database_file(uri), own and folder_of(own)
    return all(path and path.is_relative_to(project) and path != project for path in lying)


def bring_home(uri, own, project):
    """Let a database that was moved or copied together with its project name its own files.

    MLflow notes absolute places: a copy would go on writing to the original's.
    """
    home = folder_of(own)
    if not home.is_dir():
        return
    database = sqlite3.connect(server.database_file(uri), timeout=20)
    with contextlib.closing(database), database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if not {table for table, _ in COLUMNS} <= tables:  # of an MLflow that cannot use it
            return
        found = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        former = {former_home(place, home.relative_to(project)) for (place,) in found}
        for old in former - {home.as_uri(), None}:
            for table, column in COLUMNS:
                rename(database, table, column, old, home.as_uri())


def former_home(location, name):
    """``file:///elsewhere/mlartifacts`` of a place that is this folder, or one right in it; None of
    any other. ``name``: the folder's path in a project."""
    folder = folder_of(location or "")
    for place in (folder, folder and folder.parent):
        if place and place.is_absolute() and place.parts[-len(name.parts) :] == name.parts:
            return place.as_uri()
    return None


def rename(connection, table, column, old, new):
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
