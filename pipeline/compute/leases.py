from contextlib import contextmanager


@contextmanager
def leased(compute, fits):
    yield []
