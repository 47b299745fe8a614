"""``dataml model trials``: what a tuning tried, and which trials no other beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import Argument, Command, Output, positive
from airflow_dataml.cli.tables import show, table
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.tuning_trials import Trial, TuningResult

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_KIND = "tuning"


def trials(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print the trials of a model's newest tuning, or of the one a report holds."""
    asset = ledger.assets.get(args.name)
    if args.report:
        report = ledger.reports.get(args.report)
    else:
        newest = ledger.reports.latest(asset=asset["name"], kind=_KIND)
        if newest is None:
            msg = f"{args.name} was never tuned: run ModelTuneOperator."
            raise NotFoundError(msg)
        report = newest
    if (report.asset, report.kind) != (args.name, _KIND):
        msg = f"report {report.report_id} is a {report.kind} of {report.asset}, not a tuning of {args.name}."
        raise NotFoundError(msg)
    body = report.body
    result = TuningResult.from_dict(body)
    headers = ("trial", "state", body["metric"], "latency ms", "seconds", "settings", "why")
    shown = table(headers, (_row(trial, result) for trial in result.trials))
    marks = "* is on the Pareto front, ** was chosen" if body["objective"] == "both" else "** was chosen"
    head = (
        f"Report {report.report_id} of {show(report.created_at)} UTC: {len(result.trials)} trials on {body['dataset']}, "
        f"objective {body['objective']} ({body['metric']}, {body['direction']})."
    )
    return Output(report.to_dict(), f"{head}\n{shown}\n\n{marks}. MLflow run {body['run_id']}.")


def _row(trial: Trial, result: TuningResult) -> tuple[Any, ...]:
    mark = "**" if trial.number == result.best else "*" if trial.number in result.front else ""
    return (
        f"{trial.number}{mark}",
        trial.state,
        None if trial.metric is None else f"{trial.metric:.4f}",
        None if trial.latency_ms is None else f"{trial.latency_ms:.3f}",
        f"{trial.seconds:.1f}",
        _settings(trial.params),
        trial.why,
    )


def _settings(params: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.removeprefix('module_arguments.')} {f'{value:.4g}' if isinstance(value, float) else value}"
        for name, value in params.items()
    )


COMMANDS = (
    Command(
        "trials",
        "Print the trials of a model's newest tuning and their Pareto front",
        trials,
        (
            Argument(("name",), {"metavar": "MODEL", "help": "Logical name of the model"}),
            Argument(
                ("--report",),
                {"type": positive, "metavar": "ID", "help": "The tuning that this report holds"},
            ),
        ),
    ),
)
