"""What a DAG file pays for importing our operators, beside what it pays for Airflow's own SQL operators.

Every module is imported alone in a fresh interpreter, on top of ``airflow.sdk`` and the Postgres hook,
which a DAG file with a Postgres task has loaded anyway. Seconds are CPU time, the best of several rounds.

    python -m dev.bench.imports [rounds]
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from dataclasses import dataclass

BASELINE = ("airflow.sdk", "airflow.providers.postgres.hooks.postgres")
YARDSTICK = "airflow.providers.common.sql.operators.sql"
KINDS = ("operators", "sensors", "triggers", "decorators", "task_groups", "hooks", "notifications", "plugins")
_PROBE = """
import importlib, json, sys, time
for name in sys.argv[2].split(): importlib.import_module(name)
modules, started = len(sys.modules), time.process_time()
for name in sys.argv[1].split(): importlib.import_module(name)
print(json.dumps([time.process_time() - started, len(sys.modules) - modules]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of one import: CPU seconds and modules."""

    name: str
    seconds: float
    modules: int


def measure(name: str, *, baseline: tuple[str, ...] = BASELINE, rounds: int = 3) -> Cost:
    """Import modules, separated by spaces, in fresh interpreters; the cheapest round counts."""
    answers = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, name, " ".join(baseline)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    return Cost(name, min(seconds for seconds, _ in answers), answers[0][1])


def ours() -> list[str]:
    """Return every module a DAG file or an Airflow process may import."""
    names = []
    for kind in KINDS:
        package = importlib.import_module(f"airflow_dataml.{kind}")
        names += [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    return names


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    base = measure(BASELINE[1], baseline=BASELINE[:1], rounds=rounds)
    sdk = measure(BASELINE[0], baseline=(), rounds=rounds)
    yardstick = measure(YARDSTICK, rounds=rounds)
    print(f"{'module':58}{'ms':>8}{'modules':>9}{'x yardstick':>13}{'of baseline':>13}")
    for cost in (sdk, base):
        print(f"{'baseline: ' + cost.name:58}{cost.seconds * 1000:8.0f}{cost.modules:9}")
    total = sdk.seconds + base.seconds
    operators = measure(" ".join(name for name in ours() if ".operators." in name), rounds=rounds)
    together = measure(" ".join(ours()), rounds=rounds)
    for cost in (yardstick, *(measure(name, rounds=rounds) for name in ours()), operators, together):
        ratio = cost.seconds / yardstick.seconds
        name = {id(operators): "all operators together", id(together): "all of ours together"}.get(
            id(cost), cost.name
        )
        print(
            f"{name:58}{cost.seconds * 1000:8.1f}{cost.modules:9}{ratio:12.1f}x{cost.seconds / total:12.1%}"
        )


if __name__ == "__main__":
    main()
