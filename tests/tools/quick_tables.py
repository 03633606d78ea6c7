"""Importing this, a process makes MLflow's tables once: every later SQLite file gets a copy.

MLflow makes them by all the migrations that it ever had, for a second of CPU time a file.
"""

import contextlib
import sqlite3

from mlflow.store.db import utils

by_migrations = utils._initialize_tables
made = sqlite3.connect(":memory:", check_same_thread=False)


def copied(engine):
    with contextlib.closing(engine.raw_connection()) as pooled:
        if not made.execute("SELECT 1 FROM sqlite_master").fetchone():
            by_migrations(engine)
            pooled.driver_connection.backup(made)
        else:
            made.backup(pooled.driver_connection)


utils._initialize_tables = copied
