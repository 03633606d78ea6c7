"""Runs one part: python -m gpu_parts PART DEVICE; the last line is its outcome as JSON."""

import json
import sys
from importlib import import_module

from gpu_parts import PARTS, Missed, NotHere


def outcome(name, device) -> dict:
    try:
        module = PARTS[name].module if name in PARTS else name
        part = getattr(import_module(f"gpu_parts.{module}"), name)
        return {"result": "pass", "figures": part(device)}
    except NotHere as reason:
        return {"result": "not here", "reason": str(reason)}
    except Missed as reason:
        return {"result": "fail", "reason": str(reason), "figures": reason.figures}


if __name__ == "__main__":
    print("\n" + json.dumps(outcome(*sys.argv[1:])))
