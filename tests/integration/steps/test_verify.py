"""Verification: what an engine saw is kept and judged; what it could not see is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import QualityGateError, StaleVersionError
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.steps.verify import verify_part
from tests.support import declare, identity, publish, rides_csv, stage

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.governance import Report

TEXT = "dataset: a/b/public/rides\ncolumns:\n  - name: id\n    checks:\n      - missing:\n"


class Engine:
    """Counts the rows it is shown and says what it is told to."""

    name = "told"

    def __init__(self, *verdicts: Verdict) -> None:
        self._verdicts = list(verdicts)
        self.rows: list[int] = []

    def version(self) -> str:
        """Always the same."""
        return "1"

    def verify(self, *, contract: Contract, relation: Any, connection: Any, **_: Any) -> QualityReport:
        """Report one check with the next verdict."""
        count = connection.execute(f"SELECT count(*) FROM {relation.quoted}").fetchone()[0]
        self.rows.append(count)
        now = datetime.now(UTC)
        found = CheckResult.of(contract.checks[0], self._verdicts.pop(0))
        return QualityReport.conclude(
            contract=contract, found=[found], rows=count, errors=(), engine=self.name, engine_version="1",
            relation=str(relation), started=now, finished=now,
        )  # fmt: skip


def verify(
    ledger: PostgresLedger, staged: StagedPart, engine: Engine, *, run: str = "run", **said: Any
) -> Report:
    return verify_part(
        ledger=ledger,
        warehouse=ledger.warehouse,
        store=ledger.store,
        engine=engine,
        identity=identity("audit", run),
        staged=staged,
        contract=Contract.from_text(said.pop("text", TEXT)),
        **said,
    )


@pytest.fixture
def staged(ledger: PostgresLedger, tmp_path: Path) -> StagedPart:
    declare(ledger)
    return stage(ledger, rides_csv(tmp_path / "a.csv", [(1, "bike", 1), (2, "car", 2)]))


def test_a_pass_lets_the_batch_in_and_a_retry_asks_nobody(ledger: PostgresLedger, staged: StagedPart) -> None:
    engine = Engine(Verdict.PASS)
    reports = [verify(ledger, staged, engine) for _ in range(2)]
    assert reports[0].report_id == reports[1].report_id
    assert publish(ledger, staged, require_check=True).ref == "rides@1"


def test_a_refusal_is_kept_opens_an_incident_and_stays(ledger: PostgresLedger, staged: StagedPart) -> None:
    engine = Engine(Verdict.FAIL)
    for _ in range(2):
        with pytest.raises(
            QualityGateError, match=r"rides broke its contract \(report 1\).*Nothing was published"
        ):
            verify(ledger, staged, engine)
    assert len(engine.rows) == 1
    [incident] = ledger.incidents.list()
    assert (incident.kind, incident.state) == ("data", "new")


def test_what_is_refused_on_a_branch_is_nobody_elses_incident(
    ledger: PostgresLedger, staged: StagedPart
) -> None:
    with pytest.raises(QualityGateError, match="Nothing was published"):
        verify(ledger, replace(staged, branch="dev"), Engine(Verdict.FAIL))
    assert ledger.incidents.list() == []


def test_a_contract_may_warn_instead(ledger: PostgresLedger, staged: StagedPart) -> None:
    text = TEXT + "x-dataml:\n  on_fail: warn\n"
    assert verify(ledger, staged, Engine(Verdict.FAIL), text=text).verdict == "warn"
    assert publish(ledger, staged, require_check=True).ref == "rides@1"


def test_what_could_not_be_evaluated_is_never_a_pass_and_is_tried_again(
    ledger: PostgresLedger, staged: StagedPart
) -> None:
    engine = Engine(Verdict.ERROR, Verdict.PASS)
    with pytest.raises(QualityGateError):
        verify(ledger, staged, engine)
    assert verify(ledger, staged, engine).verdict == "pass"
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.report") == 2


@pytest.mark.parametrize(("scope", "rows"), [("batch", 1), ("result", 3)])
def test_the_scope_says_what_is_looked_at(
    ledger: PostgresLedger, staged: StagedPart, tmp_path: Path, scope: Any, rows: int
) -> None:
    publish(ledger, staged)
    second = stage(ledger, rides_csv(tmp_path / "b.csv", [(3, "tram", 3)]), run="2")
    engine = Engine(Verdict.PASS)
    verify(ledger, second, engine, run="2", scope=scope)
    assert engine.rows == [rows]
    leftovers = ledger.connection.scalar("SELECT count(*) FROM pg_views WHERE schemaname = 'dataml_data'")
    assert leftovers == 0


def test_a_result_that_was_overtaken_is_verified_anew_when_cleared(
    ledger: PostgresLedger, staged: StagedPart, tmp_path: Path
) -> None:
    publish(ledger, staged)
    batches = {
        n: stage(ledger, rides_csv(tmp_path / f"{n}.csv", [(int(n), "car", 1)]), run=n) for n in ("3", "4")
    }
    engine = Engine(*[Verdict.PASS] * 3)
    for run, batch in batches.items():
        verify(ledger, batch, engine, run=run)
    publish(ledger, batches["3"], run="3", require_check=True)
    with pytest.raises(StaleVersionError, match="run the batch again"):
        publish(ledger, batches["4"], run="4", require_check=True)
    verify(ledger, batches["4"], engine, run="4")
    assert publish(ledger, batches["4"], run="4", require_check=True).ref == "rides@3"
