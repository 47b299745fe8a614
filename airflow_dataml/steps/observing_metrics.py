"""Observing metrics: numbers of one's own, from SQL that can write nothing or from a function."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.monitor_metrics import judge_metric
from airflow_dataml.core.profiles import merge_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.monitor_metrics import MetricState
    from airflow_dataml.core.monitor_policy import MonitorMetric, MonitorPolicy
    from airflow_dataml.steps.observing import Look, Reference

# A metric that takes longer is no metric of a monitor.
_TIMEOUT_S = 120


def judge_metrics(
    look: Look,
    reference: Reference | None,
    performance: Mapping[str, Any],
    earlier: Iterable[Mapping[str, Any]],
) -> list[MetricState]:
    """Measure and judge every metric of the policy.

    :param performance: realised performance, for functions.
    :param earlier: bodies of reports on the batches before, newest first.
    :raises SpecError: a query gives no single number, or a function cannot be imported.
    """
    metrics = look.policy.metrics
    if not metrics:
        return []
    measured = measure_sql(look, [m for m in metrics if m.sql is not None])
    facts = _facts(look, reference, performance)
    measured |= {m.name: _call(m, facts) for m in metrics if m.callable is not None}
    past = [{one["name"]: one for one in body.get("metrics") or ()} for body in earlier]
    learned = sum(m.learned is not None for m in metrics)
    return [
        judge_metric(
            metric,
            measured[metric.name],
            [
                float(one[metric.name]["value"])
                for one in past
                if metric.name in one and one[metric.name].get("value") is not None
                # What was out of the ordinary does not become the ordinary.
                if one[metric.name]["verdict"] != "fail"
            ],
            level=look.policy.level / max(learned, 1),
        )
        for metric in metrics
    ]


def measure_sql(look: Look, metrics: Sequence[MonitorMetric]) -> dict[str, float | None]:
    """Run queries in a transaction that can write nothing, one statement each."""
    if not metrics:
        return {}
    window = look.window
    names = dict.fromkeys(c.name for p in window.features_parts for c in p.columns)
    features = look.warehouse.union(window.features_parts, tuple(names))
    predictions = f"SELECT * FROM {window.part.relation.quoted} WHERE model_role = 'champion'"
    begin = f"WITH predictions AS ({predictions}), features AS ({features})".replace("%", "%%")
    found: dict[str, float | None] = {}
    with look.warehouse.engine_connection() as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT_S}s'")
        for metric in metrics:
            body = (metric.sql or "").strip().rstrip(";")
            # Asked in binary the server takes a single statement, which cannot end this transaction.
            cursor = connection.execute(
                f"{begin} SELECT * FROM (\n{body}\n) metric LIMIT 2",
                {"partition_key": window.part.partition_key},
                binary=True,
            )
            found[metric.name] = _number(metric.name, "its query", cursor.fetchall())
        connection.rollback()
    return found


def _number(name: str, what: str, rows: Sequence[Sequence[Any]]) -> float | None:
    if len(rows) > 1 or (rows and len(rows[0]) != 1):
        msg = f"metric {name!r}: {what} gave more than one value; select one number."
        raise SpecError(msg)
    value = rows[0][0] if rows else None
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as err:
        msg = f"metric {name!r}: {what} gave {value!r}, which is no number."
        raise SpecError(msg) from err


def _facts(look: Look, reference: Reference | None, performance: Mapping[str, Any]) -> dict[str, Any]:
    window = look.window
    return {
        "model": window.champion.ref,
        "predictions": window.predictions.ref,
        "features": window.features.ref,
        "partition_key": window.part.partition_key,
        "rows": window.rows,
        "profile": merge_profiles([p.profile for p in window.features_parts]),
        "reference_profile": reference.profile if reference else None,
        "performance": dict(performance),
    }


def _call(metric: MonitorMetric, facts: Mapping[str, Any]) -> float | None:
    module, _, name = (metric.callable or "").partition(":")
    try:
        function = importlib.import_module(module)
        for step in name.split("."):
            function = getattr(function, step)
    except (ImportError, AttributeError) as err:
        msg = f"metric {metric.name!r}: {metric.callable!r} cannot be imported ({err})."
        raise SpecError(msg) from err
    return _number(metric.name, str(metric.callable), [[function(dict(facts))]])  # type: ignore[operator]  # a module until named


def split_metrics(
    states: Sequence[MetricState], policy: MonitorPolicy
) -> tuple[dict[str, list[str]], list[str]]:
    """Findings of metrics, and warnings: with an alarm budget what a past foretells only warns, a limit is a limit."""
    learned = {m.name for m in policy.metrics if m.learned is not None and policy.alarm_budget is not None}
    found = {
        kind: [one.text for one in states if one.verdict == verdict and one.name not in learned]
        for kind, verdict in (("metric_failed", "fail"), ("metric_warned", "warn"))
    }
    light = [one.text for one in states if one.verdict in ("warn", "fail") and one.name in learned]
    return {kind: texts for kind, texts in found.items() if texts}, light
