"""The benchmark's peers on streams: river's drift detectors with their defaults, in an interpreter of their own.

PYTHON -m dev.bench.detectors STREAMS.npz NAME[,NAME]
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

NAMES = ("ADWIN", "PageHinkley", "KSWIN")


def alarms(name: str, values: list[float]) -> tuple[list[int], float]:
    """The positions of all alarms of one detector, and its seconds."""
    drift = importlib.import_module("river.drift")
    detector = drift.KSWIN(seed=0) if name == "KSWIN" else getattr(drift, name)()
    found, began = [], time.process_time()
    for position, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(position)
    return found, time.process_time() - began


def main() -> None:
    """Read the streams, print every detector's alarms in each."""
    import numpy as np

    path, names = sys.argv[1:]
    found: dict[str, Any] = {}
    with np.load(path) as streams:
        for name in names.split(","):
            both = {key: alarms(name, streams[key].tolist()) for key in streams.files}
            found[name] = {
                "alarms": {key: positions for key, (positions, _) in both.items()},
                "seconds": sum(seconds for _, seconds in both.values()),
            }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
