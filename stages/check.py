"""Check params.yaml, all of it: a misspelt key that no stage reads is found here.

reads   params.yaml
writes  nothing
"""

from pipeline import params
from stages import run_stage


def check() -> None:
    params.load()


if __name__ == "__main__":
    run_stage(check, __doc__)
