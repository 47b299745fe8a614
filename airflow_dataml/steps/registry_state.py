"""What we left in the registry, what is there now, and the record of what others changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import AliasMovedError
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.registry import KEY_TAG, SOURCE_TAG
from airflow_dataml.core.registry_drift import AliasPosition, LeftThere, Outside, outside_changes
from airflow_dataml.core.registry_reading import RegisteredModel
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.steps.aliases import MLFLOW_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report, ReportKind
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.runs import TaskRun

log = logging.getLogger(__name__)
DRIFT: ReportKind = "registry-drift"
# Where of a model's catalog entry stands what was taken over from the registry.
LOCATION = "registry"
# Who writes down what a delivery ran into; whichever task it happened in.
_DELIVERY = RunIdentity(task=TaskKey("dataml-registry", "delivery", "deliver"))
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Noted:
    """What was found of one model.

    :param outside: everything that is otherwise than we left it.
    :param new: what of it was not known before; each has an entry in the audit chain.
    :param report: where it is kept; ``None`` as long as nobody ever changed anything.
    """

    outside: tuple[Outside, ...]
    new: tuple[Outside, ...]
    report: Report | None
    found: RegisteredModel


def in_ledger(ledger: Ledger, model: str) -> dict[int, Version]:
    """Return the ledger's versions of a model by their number in the registry; reads all of them."""
    return {
        int(version.facts["registry"]["version"]): version
        for version in all_versions(ledger, model)
        if (version.facts.get("registry") or {}).get("version") is not None
    }


def all_versions(ledger: Ledger, model: str) -> Iterator[Version]:
    """Yield every version of a model, newest first."""
    page = ledger.versions.list(model, limit=_PAGE)
    while page:
        yield from page
        page = ledger.versions.list(model, before=page[-1].number, limit=_PAGE)


def left_there(ledger: Ledger, model: str) -> LeftThere:
    """Return what we left in the registry of a model: by the outbox, by trainings, or taken over."""
    taken: dict[str, Any] = (ledger.assets.get(model)["location"] or {}).get(LOCATION) or {}
    tags_taken: dict[str, dict[str, str]] = taken.get("version_tags") or {}
    return LeftThere(
        aliases=alias_positions(ledger, model),
        version_tags={
            number: tags_taken.get(str(number), _tags_of(version))
            for number, version in in_ledger(ledger, model).items()
        },
        model_tags=taken.get("tags") or {},
        gone=frozenset(taken.get("gone") or ()),
    )


def alias_positions(ledger: Ledger, model: str) -> dict[str, AliasPosition]:
    """Return where the outbox left each alias of a model."""
    found = ledger.outbox.positions(MLFLOW_TOPIC, prefix=f"{model}/")
    return {
        key.removeprefix(f"{model}/"): AliasPosition(
            delivered=(row["delivered"] or {}).get("version"),
            waiting=tuple(payload["version"] for payload in row["waiting"]),
            newest=row["newest"],
        )
        for key, row in found.items()
        if key.count("/") == 1
    }


def note_outside(*, ledger: Ledger, registry: ModelRegistry, run: TaskRun, model: str) -> Noted:
    """Compare a model with what we left of it and write down what others changed, each change once.

    A report is written when the differences are others than at the last look, and an audit entry per
    difference that is new or gone.
    """
    with ledger.transaction():
        ledger.assets.lock(model)
        found = registry.registered(model) or RegisteredModel(model)
        left = left_there(ledger, model)
        outside = outside_changes(left, found, unfinished=_unfinished(found, left, model))
        report = ledger.reports.latest(asset=model, kind=DRIFT)
        before = {Outside.from_dict(one): one for one in (report.body["differences"] if report else ())}
        new = tuple(one for one in outside if one not in before)
        ended = [one for one in before if one not in set(outside)]
        if new or ended:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            # The report before it makes the key: a state that comes back is another fact.
            piece = f"{DRIFT}-{report.report_id if report else 0}"
            report = ledger.reports.add(
                run=run,
                fact=run.fact(model).of(piece),
                kind=DRIFT,
                verdict="fail" if outside else "pass",
                body={
                    "summary": "; ".join(one.said for one in outside)
                    or "the registry is as we left it again",
                    "differences": [
                        one.to_dict() | {"noticed_at": before.get(one, {}).get("noticed_at", now)}
                        for one in outside
                    ],
                    "ended": [one.to_dict() for one in ended],
                },
            )
            _audit(ledger, run, model, report, new, "changed in registry", now)
            _audit(ledger, run, model, report, ended, "registry difference ended", now)
    for one in new:
        log.warning("Of model %s in the registry, %s: somebody else changed it", model, one.said)
    return Noted(outside, new, report, found)


def sender(ledger: Ledger, registry: ModelRegistry) -> Callable[[Mapping[str, Any]], None]:
    """Return what brings one event of the outbox to the registry, and overwrites nobody's change.

    An alias or tag that is neither where we left it nor where it is to go was changed by somebody else:
    that is written down, and the event ends as a dead letter with the reason. Registries have no
    compare-and-set, so a change within the milliseconds between looking and setting is not seen.
    """

    def send(payload: Mapping[str, Any]) -> None:
        if "tag" in payload:
            _send_tag(ledger, registry, payload)
        else:
            _send_alias(ledger, registry, payload)

    return send


def _send_alias(ledger: Ledger, registry: ModelRegistry, payload: Mapping[str, Any]) -> None:
    model, alias, wanted = payload["model"], payload["alias"], payload["version"]
    found = registry.aliases(model).get(alias)
    if found == wanted:
        return
    left = alias_positions(ledger, model).get(alias, AliasPosition()).delivered
    # A restore says what it may overwrite, and only that.
    expected = payload.get("over", left)
    if found != expected:
        raise _refused(
            ledger, registry, model, f"alias {alias!r}", found=found, expected=expected, wanted=wanted
        )
    registry.set_alias(model=model, alias=alias, version=wanted)


def _send_tag(ledger: Ledger, registry: ModelRegistry, payload: Mapping[str, Any]) -> None:
    model, number, key, wanted = (payload[name] for name in ("model", "version", "tag", "value"))
    there = registry.registered(model) or RegisteredModel(model)
    tags = there.tags if number is None else {v.version: v.tags for v in there.versions}.get(number, {})
    found = tags.get(key)
    if found == wanted:
        return
    if found != payload["over"]:
        what = f"tag {key!r}" + (f" of version {number}" if number is not None else "")
        raise _refused(ledger, registry, model, what, found=found, expected=payload["over"], wanted=wanted)
    registry.set_tag(model=model, version=number, key=key, value=wanted)


def _refused(
    ledger: Ledger,
    registry: ModelRegistry,
    model: str,
    what: str,
    *,
    found: object,
    expected: object,
    wanted: object,
) -> AliasMovedError:
    run = ledger.runs.begin(_DELIVERY, input_digest="")
    note_outside(ledger=ledger, registry=registry, run=run, model=model)
    msg = (
        f"{what} of {model!r} is {found!r} in the registry, where {expected!r} was left, and was to become "
        f"{wanted!r}: somebody changed it there, so it was left as it is. Run `dataml model reconcile {model} "
        "--on-outside-change restore` or `adopt`."
    )
    return AliasMovedError(msg)


def _tags_of(version: Version) -> dict[str, str]:
    """Return the tags that a training of ours gave a version, as far as the ledger knows them."""
    registry: dict[str, Any] = version.facts["registry"]
    if "tags" in registry:
        return dict(registry["tags"])
    tags = {KEY_TAG: version.fact_key, SOURCE_TAG: registry.get("source")}
    tags["dataml.dataset"] = (version.facts.get("plan") or {}).get("version")
    return {key: str(value) for key, value in tags.items() if value is not None}


def _unfinished(found: RegisteredModel, left: LeftThere, model: str) -> frozenset[int]:
    """Versions whose training was killed before it wrote to the ledger: its retry will, nobody else did."""
    return frozenset(
        version.version
        for version in found.versions
        if version.version not in left.version_tags
        and f"/{model}#" in version.tags.get(KEY_TAG, "")
        and SOURCE_TAG in version.tags
    )


def _audit(
    ledger: Ledger,
    run: TaskRun,
    model: str,
    report: Report,
    changes: tuple[Outside, ...] | list[Outside],
    action: str,
    now: str,
) -> None:
    for one in changes:
        detail = one.to_dict() | {"noticed_at": now, "report": report.report_id}
        ledger.audit.add(action=action, subject=model, run=run, detail=detail)
