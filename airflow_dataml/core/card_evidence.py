"""What a card shows of evidence: evaluation, explanation, required controls, and where the version was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.card_document import Words, missing, paragraph, table
from airflow_dataml.core.model_view import Estimate, evaluation_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.card_document import Block, Paragraph
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.model_controls import Controls

# How an evaluation keeps what each condition of its policy found, and what a card calls it.
_CONDITIONS = {"gates": "Gate", "slices": "Slice", "fairness": "Groups"}


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a version was made, as far as it was written down.

    :param packages: names with their versions, by name.
    """

    python: str | None = None
    platform: str | None = None
    commit: str | None = None
    packages: tuple[tuple[str, str], ...] = ()


def environment_of(facts: Mapping[str, Any]) -> Environment:
    """Read the ``environment`` of a version's facts; what is not there is unknown.

    >>> environment_of({"environment": {"python": "3.12.1", "packages": {"onnx": "1.20"}}}).packages
    (('onnx', '1.20'),)
    >>> environment_of({}).python is None
    True
    """
    said = facts.get("environment")
    if not isinstance(said, Mapping):
        return Environment()
    packages = said.get("packages")
    named = packages if isinstance(packages, Mapping) else {}
    words = {name: str(said[name]) for name in ("python", "platform", "commit") if said.get(name)}
    return Environment(**words, packages=tuple(sorted((str(k), str(v)) for k, v in named.items())))


def evaluation_blocks(report: Report | None) -> tuple[Block, ...]:
    """How the version did against what it was measured against."""
    if report is None:
        return (missing("Not evaluated."),)
    view = evaluation_view(report.body)
    sides = [
        (side.who, interval_text(side.loss), number_text(side.auc))
        for side in (view.challenger, view.opponent)
        if side
    ]
    metric = (view.metric or "loss").replace("_", " ")
    blocks: list[Block] = [_verdict(report)]
    if view.summary:
        blocks.append(paragraph(f"{view.summary}."))
    if sides:
        blocks.append(table(("Model", f"Mean {metric}", "AUC"), sides))
    if view.difference:
        blocks.append(
            paragraph(
                f"Paired difference {interval_text(view.difference)} on {number_text(view.rows)} rows of {view.dataset}; "
                f"below zero the version is better."
            )
        )
    return (*blocks, *_metric_blocks(report.body), *_finding_blocks(report.body))


def _metric_blocks(body: Mapping[str, Any]) -> Iterator[Block]:
    """Every metric of both models on the same rows, with its interval."""
    own, other = ((body.get(side) or {}).get("metrics") or {} for side in ("challenger", "opponent"))
    rows = [(name.replace("_", " "), _measured(one), _measured(other.get(name))) for name, one in own.items()]
    if rows:
        yield table(("Metric", "This version", body.get("champion_ref") or "Measured against"), rows)


def _finding_blocks(body: Mapping[str, Any]) -> Iterator[Block]:
    """What each condition of the policy found: gates on metrics, slices that may not lose, groups held together."""
    for kind, title in _CONDITIONS.items():
        rows = [
            (
                one["name"],
                _judged(one),
                number_text(one.get("rows")),
                _measured(one.get("interval")),
                one["reason"],
            )
            for one in body.get(kind) or ()
        ]
        if rows:
            yield table((title, "Verdict", "Rows", "Interval", "Why"), rows)


def _judged(one: Mapping[str, Any]) -> str:
    return str(one["verdict"]) if one.get("holds", True) else f"{one['verdict']}, only said"


def _measured(found: Any) -> str:
    names = ("estimate", "low", "high", "level")
    return interval_text(Estimate(*(found.get(name) for name in names)) if found else None)


def explanation_blocks(report: Report | None) -> tuple[Block, ...]:
    """What the version's scores rest on."""
    if report is None:
        return (missing("Not explained."),)
    body = report.body
    metric = str(body.get("metric") or "loss").replace("_", " ")
    about = f"How much the mean {metric} grows when a feature is shuffled"
    rows = [
        (one["feature"], _measured(one["importance"]), f"{one['share']:.0%}")
        for one in body.get("features") or ()
    ]
    blocks: list[Block] = [
        _verdict(report),
        paragraph(f"{about}, on {number_text(body.get('rows'))} rows of {body.get('dataset')}."),
        table(("Feature", "Growth of the loss", "Share"), rows),
    ]
    if slices := [_slice(one) for one in body.get("slices") or ()]:
        blocks.append(table(("Slice", "Rows", f"Mean {metric}", "Rests most on"), slices))
    if drift := body.get("drift"):
        correlation = drift.get("rank_correlation")
        ranks = "" if correlation is None else f"; the rank correlation is {number_text(correlation)}"
        blocks.append(
            paragraph(f"{drift['share_shift']:.0%} of importance moved since {drift['against']}{ranks}.")
        )
    return tuple(blocks)


def control_blocks(controls: Controls) -> tuple[Block, ...]:
    """Which required controls are there, and what to do about the others."""
    assumed = ", which is assumed where the catalog says none" if controls.assumed else ""
    rows = [(one.control, "yes" if one.present else "missing", one.remedy) for one in controls.results]
    blocks: list[Block] = [
        paragraph(
            "Verdict: ", Words(controls.verdict, "strong"), f" for {controls.importance} importance{assumed}."
        )
    ]
    if rows:
        blocks.append(table(("Control", "There", "What to do"), rows))
    return tuple(blocks)


def _verdict(report: Report) -> Paragraph:
    behind = f" (report {report.report_id}, {report.created_at:%Y-%m-%d} UTC)."
    return paragraph("Verdict: ", Words(report.verdict, "strong"), behind)


def _slice(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    most = ", ".join(f"{found['feature']} {found['share']:.0%}" for found in one["features"][:2])
    loss = number_text(one["loss"]["estimate"])
    return f"{one['column']} {one['value']}", number_text(one["rows"]), loss, most or "too few rows"


def interval_text(value: Estimate | None) -> str:
    """An estimate with its interval, as far as it is known."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return number_text(value.estimate)
    level = f", {value.level:.0%}" if value.level else ""
    return f"{number_text(value.estimate)} ({number_text(value.low)} to {number_text(value.high)}{level})"


def number_text(value: Any) -> str:
    """A number as people read it, anything else as it is."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
