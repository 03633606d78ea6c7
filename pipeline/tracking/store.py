"""A new SQLite file, whole or not at all."""

from pipeline.tracking import server


def create(uri: str, artifacts: str) -> None:
    """Make the database file of a resolved SQLite ``uri``, if it is not there.

    MLflow makes its tables one by one for seconds, and a process that is killed meanwhile leaves a
    file that no later one can use. To be called under the mirror's lock.
    """
    path = server.database_file(uri)
    if path is None or path.is_file():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    new = path.with_name(f"{path.name}.new")
    for left in path.parent.glob(f"{new.name}*"):  # its journal, too
        left.unlink()
    SqlAlchemyStore(f"{server.SQLITE}{new}", artifacts).engine.dispose()
    new.replace(path)
