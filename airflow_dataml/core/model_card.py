"""The card of a model version: what it is, what it learnt from, how good it is, what became of it; as Markdown, HTML or JSON.

Everything in it is a fact of the ledger. What nobody wrote down or measured is said to be unknown, so that a
reader sees the gap and does not take silence for a good answer.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.card_document import (
    Bullets,
    Document,
    Section,
    Words,
    Written,
    missing,
    paragraph,
    table,
    to_html,
    to_markdown,
)
from airflow_dataml.core.card_evidence import (
    control_blocks,
    environment_of,
    evaluation_blocks,
    explanation_blocks,
    interval_text,
    number_text,
)
from airflow_dataml.core.model_controls import ControlPolicy, judge_controls
from airflow_dataml.core.model_view import window_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.card_document import Block, CardFormat
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Incident, Report
    from airflow_dataml.core.model_controls import Controls

WINDOWS = 5
_SPEC = ("module", "seed", "max_epochs", "batch_size", "learning_rate", "patience", "validation_fraction")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card is written from.

    :param asset: the catalog entry of the model.
    :param reports: of this version, newest first.
    :param evaluation: the newest one of this version, which may be older than ``reports``.
    :param incidents: open ones on the model.
    :param moves: aliases that came to this version, newest first, with the decision behind each.
    :param run: who wrote the version, as the ledger knows the run.
    :param explanation: the newest one of this version; so too ``approval``.
    """

    asset: Mapping[str, Any]
    version: Version
    reports: Sequence[Report] = ()
    evaluation: Report | None = None
    incidents: Sequence[Incident] = ()
    moves: Sequence[Mapping[str, Any]] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    explanation: Report | None = None
    approval: Report | None = None


def card_document(facts: CardFacts, *, policy: ControlPolicy | None = None) -> Document:
    """Lay the card out; equal facts give equal documents.

    :param facts: one version of a model with its evidence.
    :param policy: which evidence the model must have; the defaults unless given.
    """
    version = facts.version
    about = facts.asset.get("description")
    lead = paragraph(" ".join(str(about).split())) if about else missing("Nobody described this model yet.")
    sections = (
        ("Intended use", _intended(facts.asset)),
        ("Training data", _data(version)),
        ("Features", _features(version)),
        ("Training", _training(version)),
        ("Evaluation", evaluation_blocks(facts.evaluation)),
        ("Explanation", explanation_blocks(facts.explanation)),
        ("In operation", _operation(facts)),
        ("Decisions", _decisions(facts)),
        ("Open incidents", _incidents(facts.incidents)),
        ("Required controls", control_blocks(card_controls(facts, policy=policy))),
        ("Reproducibility", _reproducibility(facts)),
    )
    return Document(
        version.ref, (lead, _about(facts)), tuple(Section(title, blocks) for title, blocks in sections)
    )


def card_controls(facts: CardFacts, *, policy: ControlPolicy | None = None) -> Controls:
    """Look which required controls the version has."""
    approval = facts.approval
    evidence = {
        "evaluation": facts.evaluation is not None,
        "explanation": facts.explanation is not None,
        "approval": approval is not None and approval.verdict == "pass",
    }
    return judge_controls(asset=facts.asset, evidence=evidence, policy=policy or ControlPolicy())


def model_card(facts: CardFacts, *, policy: ControlPolicy | None = None) -> str:
    """Write the card as Markdown; equal facts give equal text.

    :param facts: one version of a model with its evidence.
    :param policy: which evidence the model must have; the defaults unless given.
    """
    return to_markdown(card_document(facts, policy=policy))


def render_card(facts: CardFacts, *, form: CardFormat, policy: ControlPolicy | None = None) -> str:
    """Write the card as ``markdown``, as one ``html`` page, or as ``json``; equal facts give equal text."""
    document = card_document(facts, policy=policy)
    if form == "html":
        return to_html(document)
    if form == "json":
        controls = card_controls(facts, policy=policy).to_dict()
        return json.dumps(document.to_dict() | {"controls": controls}, indent=2, ensure_ascii=False) + "\n"
    return to_markdown(document)


def diff_cards(old: tuple[str, str], new: tuple[str, str]) -> str:
    r"""Unified text of what differs between two cards; empty where nothing does.

    :param old: name and text of a card; so too ``new``.

    >>> print(diff_cards(("a@1", "# a\nx\n"), ("a@2", "# a\ny\n")))
    --- a@1
    +++ a@2
    @@ -1,2 +1,2 @@
     # a
    -x
    +y
    """
    lines = difflib.unified_diff(
        old[1].splitlines(), new[1].splitlines(), fromfile=old[0], tofile=new[0], lineterm=""
    )
    return "\n".join(lines)


def _about(facts: CardFacts) -> Block:
    asset, version = facts.asset, facts.version
    return table(
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


def _intended(asset: Mapping[str, Any]) -> tuple[Block, ...]:
    if written := str(asset.get("documentation") or "").strip():
        return (Written(written),)
    return (missing("Not written down. The documentation of the model in the catalog is shown here."),)


def _data(version: Version) -> tuple[Block, ...]:
    plan = version.facts.get("plan") or {}
    if not plan.get("version"):
        return (missing("Unknown: the version was not trained from a version of the ledger."),)
    partitions = plan.get("partitions") or ()
    found = table(
        ("", ""),
        [
            ("Dataset", plan["version"]),
            ("Batches", ", ".join(map(str, partitions))),
            ("Trained on", f"rows before {plan['cut']}" if plan.get("cut") else None),
            ("Held out", f"rows from {plan['cut']} on" if plan.get("cut") else None),
            ("Rows read", number_text(_of(version.facts, "training", "rows"))),
            ("Asked for because", "; ".join(plan.get("reasons") or ())),
        ],
    )
    return (found,)


def _features(version: Version) -> tuple[Block, ...]:
    features = _of(version.facts, "spec", "features") or ()
    if not features:
        return (missing("Unknown."),)
    return (table(("Feature", "Kind"), [(f.get("name"), f.get("kind")) for f in features]),)


def _training(version: Version) -> tuple[Block, ...]:
    spec, training = version.facts.get("spec") or {}, version.facts.get("training") or {}
    done = [(name, training.get(name)) for name in ("epochs", "steps", "seconds", "resumed")]
    arguments = [
        (f"module_arguments.{k}", v) for k, v in sorted((spec.get("module_arguments") or {}).items())
    ]
    rows = [*((name, spec.get(name)) for name in _SPEC), *arguments, *done]
    known = [(name, number_text(value)) for name, value in rows if value is not None]
    metrics = sorted((training.get("metrics") or {}).items())
    blocks: list[Block] = [table(("Parameter", "Value"), known)] if known else []
    if metrics:
        blocks.append(
            table(("Metric on the validation rows", "Value"), [(k, number_text(v)) for k, v in metrics])
        )
    return tuple(blocks) or (missing("Unknown."),)


def _operation(facts: CardFacts) -> tuple[Block, ...]:
    windows = [report for report in facts.reports if report.kind == "monitor"][:WINDOWS]
    if not windows:
        return (missing("Not observed on live data yet."),)
    rows = []
    for report in windows:
        view = window_view(report.body)
        worst = max((s.psi for s in view.inputs if s.psi is not None), default=None)
        rows.append(
            (view.partition_key, report.verdict, number_text(worst), interval_text(view.now), view.summary)
        )
    head = ("Batch", "Verdict", "Largest PSI of an input", "Realised loss", "Findings")
    return (table(head, rows),)


def _decisions(facts: CardFacts) -> tuple[Block, ...]:
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
    items = []
    for at, what, report, reasons in sorted(told, key=lambda one: one[0], reverse=True):
        why = "; ".join(" ".join(str(reason).split()) for reason in reasons or ())
        evidence = f" (report {report})" if report else ""
        behind = evidence + (f": {why}" if why else "")
        items.append((Words(f"{at:%Y-%m-%d} "), Words(what, "strong"), Words(behind)))
    return (Bullets(tuple(items)),) if items else (missing("None yet."),)


def _incidents(incidents: Sequence[Incident]) -> tuple[Block, ...]:
    items = [(Words(f"{i.severity} {i.kind}: {i.title} ({i.state})"),) for i in incidents]
    return (Bullets(tuple(items)),) if items else (paragraph("None."),)


def _reproducibility(facts: CardFacts) -> tuple[Block, ...]:
    found, run = facts.version.facts, facts.run
    task = ".".join(str(run[key]) for key in ("dag_id", "task_id") if run.get(key))
    registry = found.get("registry") or {}
    where = environment_of(found)
    made = table(
        ("", ""),
        [
            ("Task", task),
            ("Run", run.get("run_id")),
            ("Code", run.get("code_version")),
            ("Commit", where.commit),
            ("Python", where.python),
            ("Platform", where.platform),
            ("Weights", _of(found, "training", "weights_digest")),
            ("Artifact", found.get("artifact_digest")),
            ("Registry", f"version {registry['version']}" if registry.get("version") else None),
            ("Registry run", registry.get("run_id")),
        ],
    )
    return (made, table(("Package", "Version"), where.packages)) if where.packages else (made,)


def _of(facts: Mapping[str, Any], *path: str) -> Any:
    value: Any = facts
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
