"""A ledger as a few weeks of work leave it, made by the steps themselves: batches good and bad, a merge of a branch, retention."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.native.rules import NativeRules
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import QualityGateError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy
from airflow_dataml.steps.branches import create_branch, merge_branch
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.diff import diff_versions
from airflow_dataml.steps.publish import publish_part
from airflow_dataml.steps.retain import collect
from airflow_dataml.steps.verify import verify_part
from tests.integration.steps.rides import Rides
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

COLUMNS = (
    Column("id", "bigint"),
    Column("kind", "text"),
    Column("km", "double precision"),
    Column("started", "timestamp without time zone"),
    Column("email", "text"),
)
CONTRACT = """
dataset: w/d/public/rides
columns:
  - {name: id, checks: [missing: ]}
  - {name: kind}
  - {name: km, valid_min: 0, checks: [invalid: ]}
  - {name: email}
x-dataml:
  on_fail: quarantine
  quarantine: {max_fraction: 0.2}
  samples: {rows: 2, mask: [email]}
  anomalies: [{metric: row_count, min_history: 10}]
"""
DAYS = 12


def _batch(day: int, *, bad: int = 0, rows: int = 20, tip: bool = False) -> list[tuple[Any, ...]]:
    at = datetime(2026, 3, 1) + timedelta(days=day)
    return [
        (
            day * 100 + n, ("bike", "car")[n % 2], -1.0 if n < bad else 1.0 + n, at + timedelta(hours=n),
            f"{day}-{n}@example.org", *((0.5,) if tip else ()),
        )
        for n in range(rows)
    ]  # fmt: skip


def fill_world(ledger: PostgresLedger) -> None:
    """``rides`` has 13 versions and a branch that is ahead, ``zones`` was collected and merged into."""
    rides = Rides(ledger, layout=Layout(keys=("id",)))
    ledger.assets.set_location("rides", rides.layout.to_location())
    for day in range(DAYS):
        _day(rides, day, bad=2 if day == 4 else 0)
    _day(rides, DAYS, bad=15)
    _day(rides, DAYS + 1, tip=True)
    trained = ledger.versions.find("rides@6").version_id
    ledger.versions.pin(trained, holder="ride_late@1", reason="trained on it")
    zones = _zones(ledger)
    create_branch(
        ledger=ledger, store=ledger.store, identity=identity("branch"), name="dev", assets=["rides", "zones"]
    )
    for day in (30, 31):
        rides.write(
            _batch(day, tip=True), columns=(*COLUMNS, Column("tip", "double precision")), branch="dev"
        )
    _merged(zones)
    _keep_a_diff(ledger)


def _day(rides: Rides, day: int, *, bad: int = 0, tip: bool = False) -> None:
    """Stage, verify and publish a batch; one that is refused is not published."""
    ledger, key = rides.ledger, str(date(2026, 3, 1) + timedelta(days=day))
    columns = (*COLUMNS, Column("tip", "double precision")) if tip else COLUMNS
    staged = rides.stage(_batch(day, bad=bad, tip=tip), columns=columns, key=key)
    try:
        verify_part(
            ledger=ledger, warehouse=ledger.warehouse, store=ledger.store, engine=NativeEngine(), staged=staged,
            identity=identity("audit", key), contract=Contract.from_text(CONTRACT), rules=NativeRules(), scope="batch",
        )  # fmt: skip
    except QualityGateError:
        return
    publish_part(
        ledger=ledger, store=ledger.store, identity=identity("publish", key), staged=staged, place=rides.place(), require_check=True,
    )  # fmt: skip


def _zones(ledger: PostgresLedger) -> Rides:
    """A dataset that is replaced as a whole, and whose old rows were collected."""
    zones = Rides(ledger, name="zones")
    for number in range(4):
        zones.write([(n, "ab"[n % 2], float(n + number)) for n in range(10 + number)], mode="replace")
    collect(
        ledger=ledger, store=ledger.store, identity=identity("collect"), asset="zones", policy=RetentionPolicy(keep_last=2),
    )  # fmt: skip
    return zones


def _merged(zones: Rides) -> None:
    """A branch is merged, and the parts are written together."""
    ledger = zones.ledger
    create_branch(
        ledger=ledger, store=ledger.store, identity=identity("branch", "fix"), name="fix", assets=["zones"]
    )
    zones.write([(90, "c", 1.0)], branch="fix")
    merge_branch(ledger=ledger, store=ledger.store, identity=identity("merge"), name="fix")
    compact(
        ledger=ledger, store=ledger.store, identity=identity("compact"), place=zones.place(), policy=CompactionPolicy(),
    )  # fmt: skip


def _keep_a_diff(ledger: PostgresLedger) -> None:
    """A diff that somebody kept as a report, so that the page can show rows it may not read."""
    run = ledger.runs.begin(identity("diff"), input_digest="diff")
    found = diff_versions(ledger=ledger, store=ledger.store, old="rides@1", new="rides@2", samples=1)
    ledger.reports.add(
        run=run, fact=run.fact("rides"), kind="diff", verdict="pass", body=found.to_dict(), version_id=ledger.versions.find("rides@2").version_id,
    )  # fmt: skip
