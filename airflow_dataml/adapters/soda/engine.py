"""The quality engine that runs soda-core."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.soda.caller import CallerConnection, check_connection
from airflow_dataml.adapters.soda.document import soda_text
from airflow_dataml.adapters.soda.vendor import EXTRA, prepare, run_soda
from airflow_dataml.core.contract import DATA_SOURCE
from airflow_dataml.core.errors import DataMLError, MissingExtraError, QualityEngineError
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataml.adapters.soda.vendor import Outcome
    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_parts import ContractCheck

_VERDICTS = {"PASSED": Verdict.PASS, "WARN": Verdict.WARN, "FAILED": Verdict.FAIL}
_PLACE = """
SELECT current_database(), n.nspname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass(%s)
"""


class SodaEngine:
    """Verifies contracts with the real soda-core (extra ``soda``) on a connection of ours.

    One scan of the table answers every aggregate of a contract; each reference, metric query and
    failed-rows query is one more. The first verification of a process also imports soda-core: 0.4 to 1 s
    and 28 MiB; each one costs 0.1 s beside its queries.

    Soda runs a contract's aggregates as one statement, so a single check that the database does not
    understand leaves all of them unevaluated. The verdict is then ``error`` and says why; it is never
    taken from Soda's own status, which an unrelated log line can turn.
    """

    name = "soda"

    def version(self) -> str:
        """Return the version of soda-core.

        :raises MissingExtraError: the extra ``soda`` is not installed.
        """
        try:
            return metadata.version("soda-core")
        except metadata.PackageNotFoundError as err:
            raise MissingExtraError(EXTRA, "soda_core") from err

    def verify(
        self,
        *,
        contract: Contract,
        relation: Relation,
        connection: Any,
        variables: Mapping[str, Any],
        data_timestamp: datetime | None,
        timeout_s: float,
        references: Mapping[str, Relation],
    ) -> QualityReport:
        """Run every check of a contract; see :class:`~airflow_dataml.core.quality.QualityEngine`."""
        started = datetime.now(UTC)
        values = contract.bind(variables)
        prepare()
        check_connection(connection)
        rows: int | None = None
        found: list[CheckResult] = []
        with CallerConnection(connection, name=DATA_SOURCE, timeout_s=timeout_s).reading() as caller:
            place = caller.rows(_PLACE, [relation.quoted])
            if place:
                database, schema = place[0]
                text = soda_text(
                    contract, Relation(schema, relation.name), database=database, references=references
                )
                outcome = _run(text, caller, values, data_timestamp)
                rows, found, errors = _rows(outcome), list(_results(contract, outcome)), outcome.errors
            else:
                errors = (f"there is no table or view {relation} on this connection",)
        return QualityReport.conclude(
            contract=contract,
            found=found,
            rows=rows,
            errors=errors,
            engine=self.name,
            engine_version=self.version(),
            relation=relation,
            started=started,
            finished=datetime.now(UTC),
        )


def _run(
    text: str, caller: CallerConnection, variables: Mapping[str, Any], data_timestamp: datetime | None
) -> Outcome:
    try:
        return run_soda(text, connection=caller, variables=variables, data_timestamp=data_timestamp)
    except DataMLError:
        raise
    except Exception as err:
        msg = f"soda-core broke off with {type(err).__name__}: {err}"
        raise QualityEngineError(msg) from err


def _rows(outcome: Outcome) -> int | None:
    """Rows under the contract's filter; Soda measures them first, whatever the checks."""
    counts = (
        measured.value for measured in outcome.result.measurements if measured.metric_name == "row_count"
    )
    return next((int(count) for count in counts if count is not None), None)


def _results(contract: Contract, outcome: Outcome) -> Iterator[CheckResult]:
    checks = {check.id: check for check in contract.checks}
    for found in outcome.result.check_results:
        check = checks.get(found.check.relative_path)
        if check is not None:
            yield _result(check, found)


def _result(check: ContractCheck, found: Any) -> CheckResult:
    verdict = _VERDICTS.get(found.outcome.value, Verdict.ERROR)
    diagnostics = {name: _plain(value) for name, value in (found.diagnostic_metric_values or {}).items()}
    detail = ""
    if check.type == "schema" and verdict is not Verdict.ERROR:
        diagnostics["differences"] = _differences(found)
        detail = "; ".join(diagnostics["differences"])
    if check.type == "freshness":
        diagnostics |= {
            name: _plain(getattr(found, name, None)) for name in ("max_timestamp", "data_timestamp")
        }
    if check.type == "freshness" and found.threshold_value is None:
        # Soda fails a freshness it could not measure.
        verdict, detail = (
            (Verdict.FAIL, "no row has a time")
            if diagnostics.get("check_rows_tested")
            else (Verdict.ERROR, "")
        )
    observed = _plain(found.threshold_value) if verdict is not Verdict.ERROR else None
    return CheckResult.of(check, verdict, observed=observed, detail=detail, diagnostics=diagnostics)


def _differences(found: Any) -> list[str]:
    differences = [f"column {name!r} is missing" for name in found.expected_column_names_not_actual]
    differences += [
        f"column {name!r} is not in the contract" for name in found.actual_column_names_not_expected
    ]
    differences += [
        f"column {mismatch.column!r} is {mismatch.get_actual()}, not {mismatch.get_expected()}"
        for mismatch in found.column_data_type_mismatches
    ]
    return differences + (["the columns are in another order"] if found.are_columns_out_of_order else [])


def _plain(value: Any) -> Any:
    """Turn a value into one that JSON knows."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
