"""The chapters of the story: what arrives, and how the ledger shows that the platform has dealt with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.adapters.postgres.search import PostgresSearch
from dev.lifecycle import findings
from dev.lifecycle.external import LAKE, WAREHOUSE
from dev.lifecycle.findings import MODEL
from dev.lifecycle.landing import CORRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report

REPORT = f"{WAREHOUSE[0]}/{WAREHOUSE[1]}.late_by_carrier"
DAGS = (
    "flights_reference",
    "flights_ingest",
    "flights_features",
    "flights_train",
    "flights_score",
    "flights_monitor",
    "flights_blame",
    "flights_daily",
    "flights_branch",
    "weather_quarantine",
    "flights_report",
    "flights_review",
    "flights_impact",
    "flights_tune",
    "flights_distil",
    "flights_release",
    "catalog_crawl",
    "catalog_export",
    "lineage_external",
    "lineage_drain",
)
GUST = "2013-02"
# As it stood when the first model was trained.
BACK = {
    "features": "flight_features@2",
    "model": "flight_delay@1",
    "reason": "November is to be looked at again",
}
FORTH = {"features": "flight_features@4", "model": "flight_delay@2", "reason": "it was looked at"}


@dataclass(frozen=True, slots=True)
class Chapter:
    """One arrival and all that follows from it.

    :param dag_id: the only DAG that is triggered; the rest runs on asset events.
    :param partition_key: the batch; none for reference data.
    :param told: whether the ledger shows the chapter's end.
    :param refused: a task of the DAG must refuse what it is given, and fail.
    :param by_itself: what happened in the chapter before starts it; it is triggered only where that was missed.
    :param finds: what came out, where a line of the ledger says too little.
    :param delivers: what arrives; ``None`` for a chapter about data that is there.
    :param besides: other DAGs that are triggered along with it.
    :param conf: what the run is started with.
    """

    title: str
    dag_id: str
    partition_key: str | None
    told: Callable[[PostgresLedger], bool]
    refused: bool = False
    by_itself: bool = False
    finds: Callable[[PostgresLedger], Iterable[str]] | None = None
    delivers: Literal["reference", "month", "weather", "events"] | None = "month"
    besides: tuple[str, ...] = ()
    conf: Mapping[str, Any] | None = None


def has_current(ledger: PostgresLedger, *names: str) -> bool:
    """Whether every asset has a current version."""
    return all(ledger.versions.alias(name, "current") for name in names)


def has_partition(ledger: PostgresLedger, name: str, partition_key: str) -> bool:
    """Whether some version of the asset brought this batch."""
    return any(v.partition_key == partition_key for v in ledger.versions.list(name))


def model_reports(ledger: PostgresLedger, kind: str, partition_key: str) -> list[Report]:
    """Reports of the model about one batch, newest first."""
    return [
        report
        for report in ledger.reports.list(asset=MODEL, limit=200)
        if report.kind == kind and report.body.get("partition_key") == partition_key
    ]


def is_decided(ledger: PostgresLedger, number: int) -> bool:
    """Whether this version of the model was trained and its promotion decided."""
    return any(
        report.kind == "decision" and report.body.get("version") == f"{MODEL}@{number}"
        for report in ledger.reports.list(asset=MODEL, limit=200)
    )


def is_refused(ledger: PostgresLedger, name: str, partition_key: str) -> bool:
    """Whether the contract refused this batch."""
    return any(
        report.kind == "check"
        and report.verdict == "fail"
        and report.body.get("partition_key") == partition_key
        for report in ledger.reports.list(asset=name)
    )


def is_reviewed(ledger: PostgresLedger) -> bool:
    """Whether a version of the model was explained and reproduced, and its card written."""
    return all(
        ledger.reports.latest(asset=MODEL, kind=kind) for kind in ("explanation", "reproduction", "card")
    )


def is_released(ledger: PostgresLedger, *refs: str) -> bool:
    """Whether some people's approval put these versions before readers, in one transaction."""
    return bool(
        ledger.connection.scalar(
            """SELECT EXISTS (SELECT h.run_key FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id)
               JOIN dataml.version v ON v.version_id = h.to_version JOIN dataml.run r ON r.run_key = h.run_key
               WHERE r.dag_id = 'flights_release' AND h.name IN ('current', 'champion')
                 AND a.name || '@' || v.number = ANY (%s)
               GROUP BY h.run_key HAVING count(*) = %s AND count(DISTINCT h.xmin::text) = 1)""",
            [list(refs), len(refs)],
        )
    )


def lineage_settled(ledger: PostgresLedger) -> bool:
    """Whether every event is in the graph and at every backend, and what was written outside is among it."""
    waiting = ledger.connection.scalar(
        """SELECT EXISTS (SELECT FROM dataml.lineage_event WHERE state = 'new' OR NOT fanned)
               OR EXISTS (SELECT FROM dataml.lineage_delivery WHERE state = 'pending')
               OR EXISTS (SELECT FROM dataml.run WHERE ol_state IN ('START', 'RUNNING'))"""
    )
    return not waiting and all(observed(ledger, name) for name in (REPORT, "/".join(LAKE)))


def is_crawled(ledger: PostgresLedger) -> bool:
    """Whether a crawl found the report's table."""
    hits = PostgresSearch(ledger.connection).search("expected_share").hits
    return any(hit.name == REPORT and hit.subtype == "table" for hit in hits)


def observed(ledger: PostgresLedger, name: str) -> int | None:
    """The newest version of an asset that somebody else wrote."""
    return ledger.connection.scalar(  # type: ignore[no-any-return]
        """SELECT max(v.version_id) FROM dataml.version v JOIN dataml.asset a USING (asset_id)
           WHERE a.name = %s AND v.origin = 'observed'""",
        [name],
    )


CHAPTERS = (
    Chapter(
        "1  Reference data: planes and airports",
        "flights_reference",
        None,
        lambda ledger: has_current(ledger, "planes", "airports"),
        delivers="reference",
    ),
    Chapter(
        "2  September 2013 arrives: checked, published, turned into features; too little to train on",
        "flights_ingest",
        "2013-09",
        lambda ledger: has_partition(ledger, "flight_features", "2013-09"),
    ),
    Chapter(
        "3  October arrives: the first model is trained, measured and promoted",
        "flights_ingest",
        "2013-10",
        lambda ledger: is_decided(ledger, 1),
    ),
    Chapter(
        "4  November arrives: scored and watched; nothing to worry about",
        "flights_ingest",
        "2013-11",
        lambda ledger: bool(model_reports(ledger, "decision", "2013-11")),
    ),
    Chapter(
        "5  December arrives: snow and holidays; the alarm, the incident, a retrained and better model",
        "flights_ingest",
        "2013-12",
        lambda ledger: bool(model_reports(ledger, "decision", "2013-12")) and is_decided(ledger, 2),
    ),
    Chapter(
        "6  Why did December raise the alarm? What changed upstream is undone, one by one, and scored again",
        "flights_blame",
        None,
        lambda ledger: findings.blame_report(ledger) is not None,
        by_itself=True,
        finds=findings.causes,
        delivers=None,
        conf=findings.ALARM,
    ),
    Chapter(
        "7  A broken delivery: kilometres for miles, half the delays lost; refused at the contract",
        "flights_ingest",
        CORRUPTED,
        lambda ledger: is_refused(ledger, "flights", CORRUPTED),
        refused=True,
    ),
    Chapter(
        "8  February's weather holds a gust of 1048 mph: one row is set aside, repaired, and comes back",
        "weather_quarantine",
        GUST,
        lambda ledger: [v.partition_key for v in ledger.versions.list("weather_hours")] == [GUST, GUST],
        delivers="weather",
    ),
    Chapter(
        "9  Delays by day: merged by key into PostgreSQL, and written to a Delta table",
        "flights_daily",
        "2013-10",
        lambda ledger: has_current(ledger, "daily_delays", "daily_delays_lake"),
        delivers=None,
    ),
    Chapter(
        "10 A change is tried on a branch: a new column, checked and compared there, then published at once",
        "flights_branch",
        "2013-10",
        lambda ledger: any(branch["state"] == "merged" for branch in ledger.branches.list()),
        delivers=None,
    ),
    Chapter(
        "11 Lineage of everybody: a plain SQL report, a Spark job elsewhere, an export; all in one graph",
        "flights_report",
        None,
        lineage_settled,
        delivers="events",
        besides=("lineage_external",),
    ),
    Chapter(
        "12 The catalog: every table of the database, found by the name of a column, and handed on to others",
        "catalog_crawl",
        None,
        lambda ledger: lineage_settled(ledger) and is_crawled(ledger),
        delivers=None,
        besides=("catalog_export",),
    ),
    Chapter(
        "13 A reviewer asks: what do its scores rest on, does it come out the same, what does its card say",
        "flights_review",
        None,
        is_reviewed,
        delivers=None,
    ),
    Chapter(
        "14 A supplier wants to leave out how far one can see: what would the models lose? Too much; refused",
        "flights_impact",
        None,
        lambda ledger: findings.impact_report(ledger) is not None,
        refused=True,
        finds=findings.predictions,
        delivers=None,
        conf=findings.DROPPED,
    ),
    Chapter(
        "15 Other settings are tried in two tasks at once: better, or faster and as good; the chosen one is measured",
        "flights_tune",
        None,
        lambda ledger: is_decided(ledger, 3),
        delivers=None,
    ),
    Chapter(
        "16 The champion teaches a successor: its weights, its scores, and the flights it got wrong count twice",
        "flights_distil",
        None,
        findings.is_judged,
        finds=findings.lessons,
        delivers=None,
    ),
    Chapter(
        "17 Features and model go back together: two people must approve, and no reader sees a mix",
        "flights_release",
        None,
        lambda ledger: is_released(ledger, BACK["features"], BACK["model"]),
        delivers=None,
        conf=BACK,
    ),
    Chapter(
        "18 And forth again, the same way",
        "flights_release",
        None,
        lambda ledger: is_released(ledger, FORTH["features"], FORTH["model"]),
        delivers=None,
        conf=FORTH,
    ),
)
