"""A contract tried on real rows: ``dataml contract test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.contracts import lint
from airflow_dataml.cli.spec import FAILED, OK, Output
from airflow_dataml.cli.tables import table
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.quality import CheckResult, QualityReport
    from airflow_dataml.core.refs import Relation

_HEADERS = ("check", "verdict", "observed", "expected", "detail")


def try_contract(ledger: PostgresLedger | None, args: argparse.Namespace) -> Output:
    """Run a contract on a table, a version or a sample; exit 1 when it does not hold."""
    if ledger is None:
        return lint(None, args)
    from airflow_dataml.cli.engines import engine_named
    from airflow_dataml.cli.samples import trial
    from airflow_dataml.core.contract import Contract

    contract = Contract.from_file(args.file)
    wanted = _relation(contract, args.table)
    engine = engine_named(args.engine)
    with trial(ledger, relation=wanted, ref=args.asset, rows=args.rows) as (connection, source):
        report = engine.verify(
            contract=contract,
            relation=source,
            connection=connection,
            variables=_variables(args.var or ()),
            data_timestamp=None,
            timeout_s=args.timeout,
            references={},
        )
    where = args.asset or str(wanted)
    skipped = _skipped(contract, sampled=args.rows is not None)
    if args.junit:
        _write_junit(report, args, skipped)
    return _output(report, where, skipped, sampled=args.rows is not None)


def needs_database(args: argparse.Namespace) -> bool:
    """Whether more is asked than whether the file is a contract."""
    return not args.lint


def _relation(contract: Contract, table_: str | None) -> Relation:
    from airflow_dataml.core.refs import Relation

    if table_ is not None:
        return Relation.parse(table_)
    *place, name = contract.dataset.split("/")
    return Relation(place[-1] if len(place) > 1 else "public", name)


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, sign, _ in pairs:
        if not name or not sign:
            msg = f"--var {name!r} gives no value; write --var name=value."
            raise SpecError(msg)
    return {name: value for name, _, value in pairs}


def _skipped(contract: Contract, *, sampled: bool) -> frozenset[str]:
    """Checks that would judge the size of the sample instead of the data."""
    by_size = (
        check.id
        for check in contract.checks
        if check.type == "row_count" or getattr(check.body, "function", None) == "sum"
    )
    return frozenset(by_size if sampled else ())


def _output(report: QualityReport, where: str, skipped: frozenset[str], *, sampled: bool) -> Output:
    from airflow_dataml.core.quality import Verdict

    judged = [check.verdict for check in report.checks if check.id not in skipped]
    verdict = Verdict.ERROR if report.errors else Verdict.worst(judged)
    what = f"a sample of {report.rows or 0:,} rows of {where}" if sampled else where
    data = report.to_dict() | {
        "table": where,
        "sample": sampled,
        "verdict": verdict.value,
        "skipped": sorted(skipped),
        "holds": not verdict.blocks,
    }
    rows = [_row(check, check.id in skipped) for check in report.checks]
    holds = "holds" if not verdict.blocks else "does not hold"
    wrong = "".join(f"\n{error}" for error in report.errors)
    text = f"{table(_HEADERS, rows)}{wrong}\n\nThe contract {holds} on {what} ({report.engine}): {verdict.value}."
    return Output(data, text, FAILED if verdict.blocks else OK)


def _row(check: CheckResult, skipped: bool) -> list[Any]:
    verdict = "skipped" if skipped else check.verdict.value
    observed = None if check.observed is None else f"{_shown(check.observed)} {check.unit}".rstrip()
    detail = "says nothing on a sample" if skipped else check.detail
    return [check.id, verdict, observed, check.threshold, detail]


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write_junit(report: QualityReport, args: argparse.Namespace, skipped: frozenset[str]) -> None:
    from airflow_dataml.cli.junit import junit_xml

    try:
        Path(args.junit).write_text(junit_xml(report, contract=args.file, skipped=skipped), encoding="utf-8")
    except OSError as err:
        msg = f"--junit {args.junit!r} cannot be written ({err.strerror}); give another path."
        raise SpecError(msg) from err
