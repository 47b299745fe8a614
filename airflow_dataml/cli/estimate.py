"""``dataml model estimate``: what a batch's labels are expected to show, beside what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import Argument, Command, Output
from airflow_dataml.cli.tables import table
from airflow_dataml.core.errors import NotFoundError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version

_BY = {
    "scores": "the scores alone, by what equal scores turned out to be",
    "probabilities": "the probabilities of all classes, by how often equal ones came true",
    "features": "the features and the score, by what the loss was with such ones",
}
_LIMITS = {
    "scores": "That a score has come to mean something else only labels can show.",
    "probabilities": "That a probability has come to mean something else only labels can show.",
    "features": "That the features have come to mean something else only labels can show.",
}
_HEADERS = ("metric", "released", "estimate", "low", "high", "measured", "as estimated")


def estimate(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print a scored batch's performance as estimated without labels, and as measured where labels are there."""
    from airflow_dataml.core.monitoring import MonitorPolicy
    from airflow_dataml.steps.estimated import expect_batch, measure_batch
    from airflow_dataml.steps.observing import find_window
    from airflow_dataml.steps.observing_labels import labels_of

    predictions = ledger.versions.find(args.predictions)
    batch = args.batch or _newest(ledger, predictions)
    window = find_window(ledger, predictions.asset, batch, None)
    warehouse = ledger.warehouse
    expected = expect_batch(
        ledger=ledger, warehouse=warehouse, window=window, policy=MonitorPolicy(confidence=args.level)
    )
    keys = args.key or _keys(ledger, window.predictions)
    labels = labels_of(ledger, window, keys=keys, labels=args.labels, branch=None)
    measured = measure_batch(warehouse=warehouse, window=window, labels=labels)
    head = {"model": window.champion.ref, "predictions": window.predictions.ref, "batch": batch}
    return Output(head | {"expected": expected, "measured": measured}, _text(head, expected, measured))


def _newest(ledger: PostgresLedger, version: Version) -> str:
    keys = [
        p.partition_key
        for p in ledger.versions.manifest(version.version_id, profiles=False)
        if p.partition_key
    ]
    if "models" not in version.facts or not keys:
        msg = (
            f"{version.ref} holds no batch that ModelScoreOperator scored: name a dataset of its predictions."
        )
        raise NotFoundError(msg)
    return max(keys)


def _keys(ledger: PostgresLedger, version: Version) -> list[str]:
    """What identifies a row: the columns before those that scoring adds."""
    names = [column.name for column in ledger.versions.columns(version.version_id)]
    return names[: names.index("model_role")]


def _text(head: Mapping[str, str], expected: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    metrics = {name: one for name, one in expected.items() if isinstance(one, dict)}
    rows = [_row(name, one, measured.get(name)) for name, one in metrics.items()]
    labelled = f"{measured['n']:,} of them labelled" if measured["n"] else "none of them labelled yet"
    return (
        f"{head['model']} on batch {head['batch']} of {head['predictions']}: {expected['n']:,} scores, {labelled}.\n"
        f"{table(_HEADERS, rows)}\n\n"
        f"Estimated from {_BY[expected['by']]} in report {expected['evaluation']}, with {expected['level']:.0%} "
        f"intervals. {_LIMITS[expected['by']]}"
        + (f"\n{expected['missing']}" if expected.get("missing") else "")
    )


def _row(name: str, one: Mapping[str, float], measured: float | None) -> list[str | None]:
    shown = [f"{one[side]:.4f}" for side in ("released", "estimate", "low", "high")]
    if measured is None:
        return [name, *shown, None, None]
    return [name, *shown, f"{measured:.4f}", "yes" if one["low"] <= measured <= one["high"] else "no"]


def confidence(text: str) -> float:
    """Return a share above a half and below one, or make argparse refuse it.

    >>> confidence("0.95")
    0.95
    """
    share = float(text)
    if not 0.5 < share < 1:
        raise ValueError
    return share


COMMANDS = (
    Command(
        "estimate",
        "Estimate how a model does on a scored batch before labels are there, and beside them once they are",
        estimate,
        (
            Argument(("predictions",), {"metavar": "PREDICTIONS", "help": "The dataset that holds the predictions"}),
            Argument(("--batch",), {"metavar": "KEY", "help": "The batch; the newest unless given"}),
            Argument(("--labels",), {"metavar": "NAME", "help": "The dataset that brings labels later, unless it is the scored one"}),
            Argument(("--key",), {"action": "append", "metavar": "COLUMN", "help": "Joins predictions to labels; repeat for several. Those it was scored with unless given"}),
            Argument(("--level",), {"type": confidence, "default": 0.95, "metavar": "SHARE", "help": "Confidence of the intervals, 0.95 unless given"}),
        ),
    ),
)  # fmt: skip
