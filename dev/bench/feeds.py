"""Whether broken feeds never retrain and changed worlds do, and how soon after bad news a retraining is asked for.

Each run is a world of its own: three months to learn from, then one month as each fault, each change of the world and
the season alone make it. Months are tables of PostgreSQL and are profiled there; tests, the rules on feeds and the
decision are those of the product. The model knows the chances exactly as they were.

The second part decides on a ledger with a long past, as the task does: from the monitor report to the decision, which
is the event of the retrain asset, over a connection of its own.

    python -m dev.bench.feeds [--runs 100] [--decisions 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - the whole simulation is arrays

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.adapters.postgres.profiles import profile_relation
from airflow_dataml.core.datasets import Column, Fingerprint
from airflow_dataml.core.feed_faults import feed_faults
from airflow_dataml.core.monitoring import MonitorPolicy, column_shifts, decayed
from airflow_dataml.core.profiles import cells_of, merge_profiles
from airflow_dataml.core.refs import AssetNaming, Relation, TaskKey
from airflow_dataml.core.retraining import RetrainPolicy, decide_retrain
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.core.statistics import log_losses, mean_interval
from airflow_dataml.core.stores import NewPart
from airflow_dataml.steps.decide import decide_after_monitor
from dev.bench.feeds_worlds import COLUMNS, FAULTS, FEATURES, LEARNT, World, changed_shares
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.governance import Decision
    from airflow_dataml.core.statistics import Interval
    from dev.bench.feeds_worlds import Rows

TABLE = Relation("public", "batch")
SCHEMA = [Column(name, type_) for name, type_ in COLUMNS.items()]
POLICY = MonitorPolicy()
EXPECTED = {
    **dict.fromkeys(FAULTS, "fix_data"),
    "season alone": "wait",
    "a carrier left": "not fix_data",
    "other customers": "retrain",
    "... and warmer": "retrain",
    "all ways longer": "not told apart",
    "another concept": "retrain",
}


class Run:
    """One world, profiled month by month."""

    def __init__(self, db: Connection, seed: int) -> None:
        self.db, self.world, self.grids = db, World(seed), dict[str, tuple[float, float]]()
        learnt = [self.world.batch() for _ in range(LEARNT)]
        self.reference = [self.profile(rows) for rows in learnt]
        self.rows = [profile["rows"] for profile in self.reference]
        self.scores = np.concatenate([self.score(rows) for rows in learnt])
        labels = np.concatenate([self.world.late(rows) for rows in learnt])
        self.released = self.mean_loss(labels, self.scores)

    def profile(self, rows: Rows) -> dict[str, Any]:
        """Write a batch as a table and have it profiled."""
        kinds = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        self.db.execute(f"DROP TABLE IF EXISTS {TABLE.quoted}; CREATE TABLE {TABLE.quoted} ({kinds})")
        moments = np.datetime64("2026-01-01T00:00:00") + rows["at"].astype("timedelta64[s]")
        text = StringIO()
        columns = [moments if name == "at" else rows[name] for name in COLUMNS]
        for row in zip(*(values.tolist() for values in columns), strict=True):
            text.write("\t".join("\\N" if v is None or v != v else str(v) for v in row) + "\n")  # noqa: PLR0124 - nan
        with self.db.raw.cursor().copy(f"COPY {TABLE.quoted} FROM STDIN") as copy:
            copy.write(text.getvalue())
        return profile_relation(self.db, TABLE, SCHEMA, self.grids)

    def score(self, rows: Rows) -> Any:
        """What the model says of rows as they came."""
        return 1 / (1 + np.exp(-self.world.logit(rows)))

    def mean_loss(self, labels: Any, scores: Any) -> Interval:
        """The mean loss, as evaluation and monitor say it."""
        losses = log_losses(labels, scores)
        return mean_interval(
            len(losses), float(losses.sum()), float((losses**2).sum()), level=POLICY.confidence
        )

    def findings(self, profile: dict[str, Any], scores: Any, labels: Any) -> dict[str, list[str]]:
        """What a monitor finds in a batch."""
        moved = column_shifts(merge_profiles(self.reference), profile, columns=FEATURES, policy=POLICY)
        sides = [_of_scores(side) for side in (self.scores, scores)]
        score = column_shifts(*sides, columns=["score"], policy=POLICY)
        now = self.mean_loss(labels, scores)
        worse = decayed(released=self.released, now=now, policy=POLICY)
        return {
            "decay": [f"loss {now.estimate:.3f} against {self.released.estimate:.3f}"] if worse else [],
            "prediction_drift": [f"PSI {s.psi:.3f}" for s in score if s.drifted and s.test == "values"],
            "input_drift": [f"{s.column}: PSI {s.psi:.3f}" for s in moved if s.drifted],
        }

    def decide(self, came: Rows, labels: Any) -> tuple[Decision, list[str]]:
        """Decide on a batch as it came; returns the kinds of faults too."""
        profile = self.profile(came)
        found = feed_faults(self.reference, profile, columns=FEATURES, earlier_rows=self.rows)
        decision = decide_retrain(
            findings=self.findings(profile, self.score(came), labels),
            feed_broken=[str(fault) for fault in found],
            policy=RetrainPolicy(),
            pending=False,
        )
        return decision, [fault.kind for fault in found]

    def stories(self) -> dict[str, tuple[Rows, Any]]:
        """One month as each story makes it, with its labels."""
        world, told = self.world, {}
        for name, fault in FAULTS.items():
            rows = world.batch()
            true = rows | {"late": world.late(rows)}
            came = fault(world.draw, true)
            told[name] = (came, came.pop("late"))
        further = float(world.draw.uniform(1.5, 2.5)) * world.spread * world.draw.choice([-1, 1])
        warmer = 7 * np.sign(further * world.weights[0] * world.weights[1])
        months = {
            "season alone": world.batch(),
            "a carrier left": world.batch(shares=changed_shares(world)),
            "other customers": world.batch(longer=further, of=world.draw.uniform(0.6, 0.9)),
            "... and warmer": world.batch(longer=further / 2, of=0.6, warmer=warmer),
            "all ways longer": world.batch(longer=float(world.draw.uniform(0.35, 1.0))),
        }
        told |= {name: (rows, world.late(rows)) for name, rows in months.items()}
        rows = world.batch()
        told["another concept"] = (rows, world.late(rows, weights=-world.weights))
        return told


def _of_scores(scores: Any) -> dict[str, Any]:
    cells = [[cell, n] for cell, n in sorted(cells_of(scores, low=0.0, high=1.0).items())]
    column = {"nulls": 0, "grid": [0.0, 1.0], "cells": cells}
    return {"rows": len(scores), "columns": {"score": column}}


def matrix(dsn: str, seeds: range) -> None:
    """Print what was decided in each story, and which faults were named."""
    decided: dict[str, Counter[str]] = defaultdict(Counter)
    named: dict[str, Counter[str]] = defaultdict(Counter)
    with Connection(dsn) as db:
        for seed in seeds:
            run = Run(db, seed)
            for story, (came, labels) in run.stories().items():
                decision, faults = run.decide(came, labels)
                decided[story][decision.action] += 1
                named[story].update(set(faults))
    print(
        f"{len(seeds)} worlds from seed {seeds.start}, {LEARNT} months of about 3,000 rows learnt, {len(FEATURES)} features\n"
    )
    print(f"{'':20} {'expected':13} {'retrain':>8} {'fix_data':>8} {'wait':>8}   named")
    for story, expected in EXPECTED.items():
        counts = "".join(f" {decided[story][action]:8}" for action in ("retrain", "fix_data", "wait"))
        told = ", ".join(f"{kind} {n}" for kind, n in named[story].most_common())
        print(f"{story:20} {expected:13}{counts}   {told}")


def soon(dsn: str, decisions: int) -> None:
    """Print the seconds from a monitor report to the decision that is the retrain asset's event."""
    with PostgresLedger.connect(dsn) as ledger, ledger.transaction():
        reports = _past(ledger, dsn, windows=300)
    policy = RetrainPolicy(k=2, m=5, still_in_decline=False, budget={"retrainings": 1000, "within": "P30D"})
    taken = []
    for count, report in enumerate(reports[-decisions:]):
        began = time.perf_counter()
        with PostgresLedger.connect(dsn) as ledger:
            who = RunIdentity(task=TaskKey("watch", f"run {count}", "decide"))
            decide_after_monitor(ledger=ledger, identity=who, monitor=report, policy=policy)
        taken.append(time.perf_counter() - began)
    print(
        f"\nfrom report to decision, {len(taken)} times on a ledger with 300 windows: "
        f"median {statistics.median(taken):.3f} s, longest {max(taken):.3f} s"
    )


def _past(ledger: PostgresLedger, dsn: str, *, windows: int) -> list[int]:
    """Write a model, the batches it learnt from, and monitor reports of a long past; the ids of those."""
    uri = AssetNaming().uri
    ledger.assets.register(name="ways", kind="dataset", uri=uri("dataset", "ways"))
    ledger.assets.register(name="way_late", kind="model", uri=uri("model", "way_late"))
    run = ledger.runs.begin(RunIdentity(task=TaskKey("watch", "past", "publish")), input_digest="past")
    with Connection(dsn) as db:
        story = Run(db, 1)
        profiles = [*story.reference, story.profile(story.world.batch())]
    parts = [_part(ledger, profile, f"2026-{month + 1:02d}") for month, profile in enumerate(profiles)]
    version = ledger.versions.add(run=run, fact=run.fact("ways"), parts=parts, columns=SCHEMA)
    partitions = [f"2026-{month + 1:02d}" for month in range(LEARNT)]
    plan = {"dataset": "ways", "version_id": version.version_id, "partitions": partitions}
    spec = {"features": [{"name": name} for name in FEATURES]}
    champion = ledger.versions.add(run=run, fact=run.fact("way_late"), facts={"plan": plan, "spec": spec})
    ledger.versions.move_alias(asset="way_late", name="champion", version_id=champion.version_id, run=run)
    reports = []
    for window in range(windows):
        again = ledger.runs.begin(
            RunIdentity(task=TaskKey("watch", f"past {window}", "monitor")), input_digest="past"
        )
        report = ledger.reports.add(
            run=again,
            fact=again.fact("way_late"),
            kind="monitor",
            verdict="fail",
            body={
                "partition_key": "2026-04" if window >= windows - 50 else f"2025-{window}",
                "features": version.ref,
                "findings": {"decay": ["loss .8 against .5"], "prediction_drift": [], "input_drift": []},
                "feed_broken": [],
            },
            version_id=champion.version_id,
        )
        reports.append(report.report_id)
    return reports


def _part(ledger: PostgresLedger, profile: dict[str, Any], key: str) -> Part:
    run = ledger.runs.begin(RunIdentity(task=TaskKey("watch", key, "stage")), input_digest=key)
    new = NewPart(
        locator=f"public.part_{key.replace('-', '_')}",
        columns=tuple(SCHEMA),
        fingerprint=Fingerprint(profile["rows"]),
        partition_key=key,
        profile=profile,
    )
    return ledger.versions.add_part(run=run, fact=run.fact("ways"), part=new)


def main() -> None:
    """Print both."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--decisions", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=0, help="of the first world")
    said = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder) / "data") as server:
        dsn = ensure_database(server, "bench")
        with Connection(dsn) as connection:
            migrate(connection)
        matrix(dsn, range(said.seed, said.seed + said.runs))
        soon(dsn, said.decisions)


if __name__ == "__main__":
    main()
