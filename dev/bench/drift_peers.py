"""The drift benchmark's peers, each as it is shipped and in an environment of its own.

Environments are made once, by package name, in a folder of the user's cache. In them this module runs as a program
that prints what it found as JSON::

    PYTHON -m dev.bench.drift_peers evidently|nannyml cases|speed ARGUMENTS
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dev.bench.drift_data import LARGE, SMALL, Case, large_frames

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "airflow-dataml-bench"
# Evidently 0.7.23 imports what pandas 3.1 has no more; NannyML needs statsmodels and does not say so.
PACKAGES = {"evidently": ("evidently", "pandas<3.1"), "nannyml": ("nannyml", "statsmodels")}
FAMILY = 30
# Neither may call home.
_QUIET = {"ITERATIVE_DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1"}


def interpreter(name: str) -> Path | str:
    """The interpreter of a peer's environment, made if it is not there; or why it cannot be."""
    home = CACHE / name
    python = home / "bin" / "python"
    ready = home / "ready"
    if ready.exists():
        return python
    steps = (
        [sys.executable, "-m", "venv", str(home)],
        [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]],
        [str(python), "-c", f"import {name}"],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False, env=os.environ | _QUIET)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
            return f"{' '.join(step[1:4])} ended with {done.returncode}: {' '.join(said[-2:])}"
    ready.touch()
    return python


def start(name: str, python: Path, task: str, **arguments: Any) -> subprocess.Popen[str]:
    """Begin a task in a peer's environment."""
    command = [str(python), "-m", "dev.bench.drift_peers", name, task, json.dumps(arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | _QUIET
    )


def finish(process: subprocess.Popen[str]) -> Any:
    """What a task found; or, as text, why it did not end well."""
    out, err = process.communicate()
    if process.returncode:
        return f"ended with {process.returncode}: {' '.join(err.splitlines()[-2:])}"
    return json.loads(out.splitlines()[-1])


def _frame(case: Case, day: int) -> Any:
    """A window of ``FAMILY`` quiet columns and two that moved."""
    import numpy as np
    import pandas as pd

    values = [case.window(day, FAMILY), *(case.window(day, 1, shift=shift) for shift in (SMALL, LARGE))]
    return _typed(case, pd.DataFrame(np.vstack(values).T, columns=_names()))


def _reference(case: Case) -> Any:
    import pandas as pd

    return _typed(case, pd.DataFrame(case.reference(FAMILY + 2).T, columns=_names()))


def _typed(case: Case, frame: Any) -> Any:
    return frame.astype("int64") if case.kind == "discrete" else frame.astype("float64")


def _names() -> list[str]:
    return [*(f"n{i}" for i in range(FAMILY)), "small", "large"]


def evidently_flags(reference: Any, current: Any) -> dict[str, bool]:
    """Columns that the preset of Evidently calls drifted, by its defaults."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    flags = {}
    for metric in Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]:
        config = metric["config"]
        if "column" in config:
            small = metric["value"] < config["threshold"]
            # Its p values fall with drift, its distances rise.
            flags[config["column"]] = bool(small if "p_value" in config["method"] else not small)
    return flags


def nannyml_flags(reference: Any, current: Any, *, rows: int) -> list[dict[str, bool]]:
    """Columns that NannyML's univariate calculator alerts on, by its defaults, for every chunk of rows."""
    import nannyml

    calculator = nannyml.UnivariateDriftCalculator(column_names=list(reference.columns), chunk_size=rows)
    calculator.fit(reference)
    found = calculator.calculate(current).filter(period="analysis").to_df()
    alerts = found.xs("alert", axis=1, level=2).droplevel(1, axis=1)
    return [{name: bool(flag) for name, flag in row.items()} for row in alerts.to_dict("records")]


def cases(name: str, *, wanted: list[tuple[str, int, int]]) -> list[list[dict[str, bool]]]:
    """Flags of every column, day by day, for each kind, number of rows and number of days."""
    import pandas as pd

    found = []
    for kind, rows, days in wanted:
        case = Case(kind, rows)
        reference, windows = _reference(case), [_frame(case, day) for day in range(days)]
        if name == "evidently":
            found.append([evidently_flags(reference, window) for window in windows])
        else:
            found.append(nannyml_flags(reference, pd.concat(windows, ignore_index=True), rows=rows))
    return found


def speed(name: str, *, rows: int) -> dict[str, Any]:
    """CPU seconds and memory of one large frame against another, without the import."""
    reference, current = large_frames(rows)
    __import__(name)
    used, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if name == "evidently":
        flags = [evidently_flags(reference, current)]
    else:
        flags = nannyml_flags(reference, current, rows=rows // 10)
    return {
        "cpu": time.process_time() - used,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024,
        "flags": flags,
    }


if __name__ == "__main__":
    tasks: dict[str, Any] = {"cases": cases, "speed": speed}
    print(json.dumps(tasks[sys.argv[2]](sys.argv[1], **json.loads(sys.argv[3]))))
