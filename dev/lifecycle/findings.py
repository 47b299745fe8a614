"""What the chapters about causes, changes and successors left in the ledger, and how it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report

MODEL = "flight_delay"
HARD = "flight_delay_hard"
INCIDENT = 1
ALARM = {"incident": INCIDENT}
DROPPED = {"drop": ["visib"]}


def blame_report(ledger: PostgresLedger) -> Report | None:
    """The newest explanation of December's incident."""
    found = ledger.reports.list(asset=MODEL, limit=200)
    return next((r for r in found if r.kind == "blame" and r.body["incident"] == INCIDENT), None)


def impact_report(ledger: PostgresLedger) -> Report | None:
    """What was predicted of weather without visibility."""
    report = ledger.reports.latest(asset="weather", kind="impact")
    gone = [one["column"] for one in report.body["proposed"]] if report else []
    return report if gone == DROPPED["drop"] else None


def successor(ledger: PostgresLedger) -> Version | None:
    """The newest version of the model that a champion has taught."""
    taught = [v for v in ledger.versions.list(MODEL) if (v.facts.get("spec") or {}).get("distill")]
    return max(taught, key=lambda version: version.number, default=None)


def is_judged(ledger: PostgresLedger) -> bool:
    """Whether a successor was measured, and it was decided what becomes of it."""
    version = successor(ledger)
    return version is not None and any(
        report.kind == "decision" and report.body.get("version") == version.ref
        for report in ledger.reports.list(asset=MODEL, limit=200)
    )


def causes(ledger: PostgresLedger) -> Iterator[str]:
    """Every change that was suspected, and why it is or is not the cause."""
    report = blame_report(ledger)
    if report is None:
        return
    for one in report.body["suspects"]:
        yield f"{one['version']}, a {one['change']}: {'; '.join(sign['text'] for sign in one['signs'])}"
        replay = one["replay"]
        if replay is not None:
            yield (
                f"  undone ({replay['what']}), the loss is {replay['reverted']:.3f}, not {replay['now']:.3f}; "
                f"the month before it was {replay['before']:.3f}"
            )
    yield report.body["summary"]


def predictions(ledger: PostgresLedger) -> Iterator[str]:
    """What a change would cost every model in use."""
    report = impact_report(ledger)
    if report is None:
        return
    yield from (f"{one['said']}: {one['verdict']}" for one in report.body["models"])
    yield "The run failed, as it should: the change is not to be merged."


def lessons(ledger: PostgresLedger) -> Iterator[str]:
    """What a successor has learnt from."""
    version = successor(ledger)
    if version is None:
        return
    pins = version.facts["guidance"]
    hard = ledger.versions.find(pins["hard_examples"])
    yield f"{version.ref} began with the weights of {pins['warm_start']} and learnt its scores too,"
    yield f"and {hard.rows:,} flights it had got surely wrong, {hard.ref}, counted twice in {version.facts['plan']['version']}"
