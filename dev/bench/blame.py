"""Blame, measured: faults in one of four upstream datasets, and concept drift, in random worlds on PostgreSQL.

Every run brings five quiet months into a ledger, trains a logistic regression, watches, breaks one thing in the
sixth month, and asks who it was. In half the runs the world is also warmer than ever, which is nobody's fault.

``python -m dev.bench.blame [--runs N]``; a run takes two or three seconds of one core.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - the whole world is arrays
import psycopg
from psycopg import sql

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.steps.blame import blame_incident
from dev.bench.blame_world import TRUTH, Tables, World, draw_month
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.core.governance import Report

QUIET, BROKEN = (1, 2, 3, 4, 5), 6
TRAINED_AFTER = 3
# One history serves some runs, each on a copy of its database.
RUNS_PER_HISTORY = 10
CONCEPT = "concept drift"


def unit_change(draw: np.random.Generator, tables: Tables) -> str:
    """A column comes in another unit."""
    units: list[tuple[str, str, Callable[[Any], Any]]] = [
        ("weather", "temp", lambda v: v * 1.8 + 32),
        ("weather", "wind", lambda v: v * 3.6),
        ("trips", "km", lambda v: v * 1000),
        ("vehicles", "age", lambda v: v * 12),
    ]
    name, column, change = units[draw.integers(len(units))]
    tables[name][column] = change(tables[name][column])
    return name


def null_burst(draw: np.random.Generator, tables: Tables) -> str:
    """A good part of a column is missing."""
    places = [("weather", "temp"), ("weather", "wind"), ("trips", "km"), ("vehicles", "age")]
    name, column = places[draw.integers(len(places))]
    values = tables[name][column].astype(float)
    values[draw.random(len(values)) < draw.uniform(0.5, 0.8)] = np.nan
    tables[name][column] = values
    return name


def duplicated_join(draw: np.random.Generator, tables: Tables) -> str:
    """Keys occur twice, the second time with the values of another row."""
    name = str(draw.choice(["weather", "vehicles"]))
    keys = ("station", "day", "month") if name == "weather" else ("vehicle",)
    table = tables[name]
    rows = len(table[keys[0]])
    again = np.flatnonzero(draw.random(rows) < draw.uniform(0.4, 0.7))
    wrong = draw.integers(0, rows, len(again))
    for column, values in table.items():
        table[column] = np.concatenate([values, values[again if column in keys else wrong]])
    return name


def late_data(draw: np.random.Generator, tables: Tables) -> str:
    """Only some of the rows are there in time."""
    name = str(draw.choice(["weather", "vehicles"]))
    rows = len(next(iter(tables[name].values())))
    there = draw.random(rows) < draw.uniform(0.3, 0.5)
    tables[name] = {column: values[there] for column, values in tables[name].items()}
    return name


def label_flip(draw: np.random.Generator, tables: Tables) -> str:
    """Most labels say the opposite."""
    late = tables["outcomes"]["late"]
    tables["outcomes"]["late"] = late ^ (draw.random(len(late)) < draw.uniform(0.75, 1.0))
    return "outcomes"


def category_rename(draw: np.random.Generator, tables: Tables) -> str:
    """Categories have other names."""
    name, column = [("trips", "kind"), ("vehicles", "maker")][draw.integers(2)]
    values = tables[name][column]
    style = draw.integers(2)
    new = {v: v.upper() if style else f"{column}-{i}" for i, v in enumerate(sorted(set(values)))}
    tables[name][column] = np.array([new[v] for v in values], dtype=object)
    return name


FAULTS: dict[str, Callable[[np.random.Generator, Tables], str]] = {
    "unit change": unit_change,
    "null burst": null_burst,
    "duplicated join": duplicated_join,
    "late data": late_data,
    "label flip": label_flip,
    "category rename": category_rename,
}


def another_truth(draw: np.random.Generator) -> dict[str, float]:
    """What lateness comes from, changed: some causes turn, all weigh otherwise."""
    truth = {name: weight * draw.uniform(0.6, 1.4) for name, weight in TRUTH.items()}
    for name in draw.choice(sorted(set(TRUTH) - {"one"}), draw.integers(3, 6), replace=False):
        truth[name] = -truth[name]
    return truth


@dataclass(frozen=True)
class Found:
    """What one run came to.

    :param cause: the dataset that was broken, or ``CONCEPT``.
    """

    kind: str
    cause: str
    report: Report | None
    seconds: float

    @property
    def first(self) -> str | None:
        """The dataset that is suspected first, or ``CONCEPT`` where none is."""
        if self.report is None:
            return None
        if self.report.body["outcome"] == "no data cause found":
            return CONCEPT
        return str(self.report.body["suspects"][0]["asset"])

    @property
    def confirmed(self) -> bool:
        """Whether the first was confirmed by its replay."""
        return self.report is not None and self.report.body["outcome"] == "confirmed"


@contextmanager
def copied(server: str, template: str, name: str) -> Iterator[str]:
    """A copy of a database, dropped afterwards."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        try:
            yield ensure_database(server, name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def history(dsn: str, folder: Path, seed: int) -> World:
    """Bring the quiet months into a database."""
    with Connection(dsn) as connection:
        migrate(connection)
    draw = np.random.default_rng([seed, 0])
    with PostgresLedger.connect(dsn) as ledger:
        world = World(ledger, folder)
        world.declare()
        for month in QUIET:
            world.month(month, draw_month(draw, month, TRUTH))
            if month == TRAINED_AFTER:
                world.train()
            if month > TRAINED_AFTER:
                world.watch(month)
    return world


def run(dsn: str, before: World, kind: str, seed: int) -> Found:
    """Break the sixth month, and ask who it was."""
    draw = np.random.default_rng([seed, 1])
    warmer = float(draw.choice([0.0, 4.0]))
    truth = another_truth(draw) if kind == CONCEPT else TRUTH
    tables = draw_month(draw, BROKEN, truth, warmer=warmer)
    cause = CONCEPT if kind == CONCEPT else FAULTS[kind](draw, tables)
    with PostgresLedger.connect(dsn) as ledger:
        world = World(ledger, before.folder, before.registry)
        for earlier in ledger.incidents.list(asset="trip_late"):
            ledger.incidents.resolve(earlier.incident_id, resolution="looked at")
        world.month(BROKEN, tables)
        world.watch(BROKEN)
        opened = [one for one in ledger.incidents.list(asset="trip_late") if one.state == "new"]
        if not opened:
            return Found(kind, cause, None, 0.0)
        began = time.monotonic()
        report = blame_incident(
            ledger=ledger,
            warehouse=ledger.warehouse,
            identity=world.who("blame", "6"),
            incident=opened[0].incident_id,
            bench=world.bench,
        )
    return Found(kind, cause, report, time.monotonic() - began)


def simulate(runs: int, *, kinds: tuple[str, ...] = (*FAULTS, CONCEPT), seed: int = 0) -> Iterator[Found]:
    """Run worlds, the kinds of trouble in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="blame-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
    ):
        for number in range(runs):
            if number % RUNS_PER_HISTORY == 0:
                base = f"history_{number}"
                files = Path(folder) / base
                files.mkdir()
                before = history(ensure_database(server, base), files, seed + number)
            with copied(server, base, f"run_{number}") as dsn:
                yield run(dsn, before, kinds[number % len(kinds)], seed + number)


def show(found: list[Found]) -> None:
    """Print what was found, by kind of trouble."""
    print(f"{'trouble':18}{'runs':>6}{'no alarm':>10}{'found first':>13}{'confirmed':>11}{'blame, s':>10}")
    for kind in dict.fromkeys(one.kind for one in found):
        told = [one for one in found if one.kind == kind and one.report is not None]
        right = [one for one in told if one.first == one.cause]
        silent = sum(one.kind == kind for one in found) - len(told)
        mean = sum(one.seconds for one in told) / max(len(told), 1)
        print(
            f"{kind:18}{len(told) + silent:6}{silent:10}{f'{len(right)}/{len(told)}':>13}"
            f"{sum(one.confirmed for one in right):11}{mean:10.2f}"
        )
    faults = [one for one in found if one.report is not None and one.kind != CONCEPT]
    concepts = [one for one in found if one.report is not None and one.kind == CONCEPT]
    for name, those in (("faults: true cause first", faults), ("concept drift recognised", concepts)):
        hit = sum(one.first == one.cause for one in those)
        print(f"{name}: {hit}/{len(those)} = {hit / max(len(those), 1):.2f}")
    wrong = Counter(
        (one.kind, one.cause, one.first) for one in found if one.report is not None and one.first != one.cause
    )
    for (kind, cause, first), count in wrong.items():
        print(f"  wrong: {kind} in {cause}, said {first}: {count}")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("airflow_dataml").setLevel(logging.ERROR)
    began = time.monotonic()
    show(list(simulate(options.runs, seed=options.seed)))
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
