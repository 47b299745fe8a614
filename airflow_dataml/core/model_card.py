"""The card of a model version: what it is, what it learnt from, how good it is, what became of it; as Markdown.

Everything in it is a fact of the ledger. What nobody wrote down or measured is said to be unknown, so that a
reader sees the gap and does not take silence for a good answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.model_view import evaluation_view, window_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Incident, Report
    from airflow_dataml.core.model_view import Estimate

WINDOWS = 5
_SPEC = ("module", "seed", "max_epochs", "batch_size", "learning_rate", "patience", "validation_fraction")
# What may not stand in a cell of a table or be read as markup where it is a value.
_MARKS = re.compile(r"([\\`*_\[\]<>|#])")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card is written from.

    :param asset: the catalog entry of the model.
    :param reports: of this version, newest first.
    :param evaluation: the newest one of this version, which may be older than ``reports``.
    :param incidents: open ones on the model.
    :param moves: aliases that came to this version, newest first, with the decision behind each.
    :param run: who wrote the version, as the ledger knows the run.
    """

    asset: Mapping[str, Any]
    version: Version
    reports: Sequence[Report] = ()
    evaluation: Report | None = None
    incidents: Sequence[Incident] = ()
    moves: Sequence[Mapping[str, Any]] = ()
    run: Mapping[str, Any] = field(default_factory=dict)


def model_card(facts: CardFacts) -> str:
    """Write the card; equal facts give equal text.

    :param facts: one version of a model with its evidence.
    """
    version = facts.version
    parts = [
        f"# {_plain(version.ref)}",
        _plain(facts.asset.get("description")) or "_Nobody described this model yet._",
        _about(facts),
        *_section("Intended use", _intended(facts.asset)),
        *_section("Training data", _data(version)),
        *_section("Features", _features(version)),
        *_section("Training", _training(version)),
        *_section("Evaluation", _evaluation(facts.evaluation)),
        *_section("In operation", _operation(facts)),
        *_section("Decisions", _decisions(facts)),
        *_section("Open incidents", _incidents(facts.incidents)),
        *_section("Reproducibility", _reproducibility(facts)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> tuple[str, str]:
    return f"## {title}", text


def _about(facts: CardFacts) -> str:
    asset, version = facts.asset, facts.version
    return _table(
        ("", ""),
        [
            ("Version", str(version.number)),
            ("Aliases", ", ".join(version.aliases) or "none"),
            ("Task", _of(version.facts, "spec", "task")),
            ("Target", _of(version.facts, "spec", "target")),
            ("Owner", asset.get("owner")),
            ("Importance", asset.get("importance")),
            ("Tags", ", ".join(asset.get("tags") or ())),
            ("Written", f"{version.created_at:%Y-%m-%d %H:%M} UTC"),
        ],
    )


def _intended(asset: Mapping[str, Any]) -> str:
    return str(asset.get("documentation") or "").strip() or (
        "_Not written down. The documentation of the model in the catalog is shown here._"
    )


def _data(version: Version) -> str:
    plan = version.facts.get("plan") or {}
    if not plan.get("version"):
        return "_Unknown: the version was not trained from a version of the ledger._"
    partitions = plan.get("partitions") or ()
    return _table(
        ("", ""),
        [
            ("Dataset", plan["version"]),
            ("Batches", ", ".join(map(str, partitions))),
            ("Trained on", f"rows before {plan['cut']}" if plan.get("cut") else None),
            ("Held out", f"rows from {plan['cut']} on" if plan.get("cut") else None),
            ("Rows read", _number(_of(version.facts, "training", "rows"))),
            ("Asked for because", "; ".join(plan.get("reasons") or ())),
        ],
    )


def _features(version: Version) -> str:
    features = _of(version.facts, "spec", "features") or ()
    if not features:
        return "_Unknown._"
    return _table(("Feature", "Kind"), [(f.get("name"), f.get("kind")) for f in features])


def _training(version: Version) -> str:
    spec, training = version.facts.get("spec") or {}, version.facts.get("training") or {}
    done = [(name, training.get(name)) for name in ("epochs", "steps", "seconds", "resumed")]
    arguments = [
        (f"module_arguments.{k}", v) for k, v in sorted((spec.get("module_arguments") or {}).items())
    ]
    rows = [*((name, spec.get(name)) for name in _SPEC), *arguments, *done]
    known = [(name, _number(value)) for name, value in rows if value is not None]
    metrics = sorted((training.get("metrics") or {}).items())
    blocks = [
        _table(("Parameter", "Value"), known) if known else "",
        _table(("Metric on the validation rows", "Value"), [(k, _number(v)) for k, v in metrics])
        if metrics
        else "",
    ]
    return "\n\n".join(block for block in blocks if block) or "_Unknown._"


def _evaluation(report: Report | None) -> str:
    if report is None:
        return "_Not evaluated._"
    view = evaluation_view(report.body)
    sides = [
        (side.who, _interval(side.loss), _number(side.auc))
        for side in (view.challenger, view.opponent)
        if side
    ]
    metric = (view.metric or "loss").replace("_", " ")
    lines = [f"Verdict: **{report.verdict}** (report {report.report_id}, {report.created_at:%Y-%m-%d} UTC)."]
    if view.summary:
        lines.append(f"{_plain(view.summary)}.")
    if sides:
        lines.append(_table(("Model", f"Mean {metric}", "AUC"), sides))
    if view.difference:
        lines.append(
            f"Paired difference {_interval(view.difference)} on {_number(view.rows)} rows of {_plain(view.dataset)}; "
            f"below zero the version is better."
        )
    return "\n\n".join(lines)


def _operation(facts: CardFacts) -> str:
    windows = [report for report in facts.reports if report.kind == "monitor"][:WINDOWS]
    if not windows:
        return "_Not observed on live data yet._"
    rows = []
    for report in windows:
        view = window_view(report.body)
        worst = max((s.psi for s in view.inputs if s.psi is not None), default=None)
        rows.append(
            (view.partition_key, report.verdict, _number(worst), _interval(view.now), _plain(view.summary))
        )
    head = ("Batch", "Verdict", "Largest PSI of an input", "Realised loss", "Findings")
    return _table(head, rows, plain=False)


def _decisions(facts: CardFacts) -> str:
    """What it became, and what was decided since; days on which nothing was to be done are left out."""
    told = [
        (m["moved_at"], f"became {m['name']}", m.get("report_id"), m.get("reasons"))
        for m in facts.moves
        if m["name"] != "candidate"
    ]
    told += [
        (r.created_at, r.body["action"], r.report_id, r.body.get("reasons"))
        for r in facts.reports
        if r.kind == "decision" and r.body.get("action") in ("retrain", "fix_data")
    ]
    lines = []
    for at, what, report, reasons in sorted(told, key=lambda one: one[0], reverse=True):
        why = "; ".join(_plain(reason) for reason in reasons or ())
        evidence = f" (report {report})" if report else ""
        lines.append(f"- {at:%Y-%m-%d} **{_plain(what)}**{evidence}" + (f": {why}" if why else ""))
    return "\n".join(lines) or "_None yet._"


def _incidents(incidents: Sequence[Incident]) -> str:
    lines = [f"- {_plain(i.severity)} {_plain(i.kind)}: {_plain(i.title)} ({i.state})" for i in incidents]
    return "\n".join(lines) or "None."


def _reproducibility(facts: CardFacts) -> str:
    found, run = facts.version.facts, facts.run
    task = ".".join(str(run[key]) for key in ("dag_id", "task_id") if run.get(key))
    registry = found.get("registry") or {}
    return _table(
        ("", ""),
        [
            ("Task", task),
            ("Run", run.get("run_id")),
            ("Code", run.get("code_version")),
            ("Weights", _of(found, "training", "weights_digest")),
            ("Artifact", found.get("artifact_digest")),
            ("Registry", f"version {registry['version']}" if registry.get("version") else None),
            ("Registry run", registry.get("run_id")),
        ],
    )


def _of(facts: Mapping[str, Any], *path: str) -> Any:
    value: Any = facts
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _interval(value: Estimate | None) -> str:
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return _number(value.estimate)
    level = f", {value.level:.0%}" if value.level else ""
    return f"{_number(value.estimate)} ({_number(value.low)} to {_number(value.high)}{level})"


def _number(value: Any) -> str:
    """A number as people read it, anything else as it is."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _plain(value: Any) -> str:
    """A value that is no markup, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(str(value or "").split()))


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, plain: bool = True) -> str:
    """Rows as a table; of a table of two columns what is not known is left out."""
    cells = [[(_plain(c) if plain else str(c or "")) or "-" for c in row] for row in rows]
    kept = [row for row in cells if len(head) > 2 or row[1] != "-"]
    lines = [
        f"| {' | '.join(head)} |",
        f"|{'|'.join(' --- ' for _ in head)}|",
        *(f"| {' | '.join(r)} |" for r in kept),
    ]
    return "\n".join(lines)
