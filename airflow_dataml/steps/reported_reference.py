"""The reference of a model served elsewhere, the bins that it asks for, and what was reported of its windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.evaluation import LOSS_OF_TASK
from airflow_dataml.core.monitor_policy import FIRST, PREVIOUS, REPORTED, TRAINING
from airflow_dataml.core.profiles import merge_profiles
from airflow_dataml.core.refs import FactKey, TaskKey, VersionRef
from airflow_dataml.core.reported_counting import Counting, features_of, profile_of
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.windows import plan_of
from airflow_dataml.steps.estimated import calibration_of

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger

KIND = "reported"


def served_version(ledger: Ledger, model: str) -> Version:
    """Return the version of a model that is meant: by number or alias, or its champion.

    :raises NotFoundError: there is none.
    :raises SpecError: it is no model, or a bare name and nobody said which version serves.
    """
    named = VersionRef.parse(model)
    bare = named.number is None and named.alias is None and named.as_of is None
    found = ledger.versions.alias(model, "champion") if bare else None
    version = found or ledger.versions.find(model)
    if version.kind != "model":
        msg = f"{version.ref} is a {version.kind}, and windows are reported of a model."
        raise SpecError(msg)
    if bare and found is None:
        msg = f"{model!r} has no champion: say which version serves, as in {version.ref}."
        raise SpecError(msg)
    return version


def what_to_count(*, ledger: Ledger, model: str, reference: str = TRAINING) -> Counting:
    """Say what to count of a model's windows, so that they can be compared with a reference; no row is told.

    :param model: ``name``, which is its champion, ``name@number`` or ``name@alias``.
    :param reference: in the words of ``MonitorPolicy.reference``: ``training``, a dataset version ``name@number``,
        ``reported`` or ``first``.
    :raises NotFoundError: there is no such model or version, or nothing was reported yet that could be the reference.
    :raises SpecError: the model was not trained here, so that the reference must be chosen.
    """
    return counting_of(ledger, served_version(ledger, model), reference)


def counting_of(ledger: Ledger, version: Version, reference: str) -> Counting:
    """Return what to count of a version's windows, see :func:`what_to_count`."""
    spec = version.facts.get("spec") or {}
    names = tuple(f["name"] for f in spec.get("features") or ())
    against, profile, grid = reference_of(ledger, version, reference)
    last = last_report(ledger, version)
    known = names or tuple(last.body["features"] if last else ())
    missing = [name for name in known if name not in profile["columns"]]
    if missing:
        what = f"feature in {against}"
        raise NotFoundError.from_available(what, missing[0], tuple(profile["columns"]))
    loss = LOSS_OF_TASK.get(spec.get("task", ""))
    return Counting(
        model=version.ref,
        reference=reference,
        against=against,
        features=features_of(profile, known or tuple(profile["columns"]), shy=not known),
        score=grid,
        calibrated=_edges(ledger, version),
        loss=loss or ((last.body.get("labels") or {}).get("loss") if last else None),
        # Nobody knows its features until the first window tells.
        chosen=not known,
    )


def reference_of(
    ledger: Ledger, version: Version, reference: str
) -> tuple[str, dict[str, Any], tuple[float, float] | None]:
    """Return what a reference is called, its profile, and from where to where its scores are counted.

    :raises NotFoundError: there is nothing yet that it could be.
    :raises SpecError: the model was not trained here.
    """
    trained = (0.0, 1.0) if version.facts.get("score_cells") else None
    if reference in (REPORTED, FIRST):
        found = reference_report(ledger, version, reference)
        if found is None:
            what = (
                "histograms were reported as the reference"
                if reference == REPORTED
                else "window was reported"
            )
            msg = f"no {what} of {version.ref} yet: the first one brings its own bins (own_counting chooses them from rows)."
            raise NotFoundError(msg)
        score = found.body.get("score")
        return (
            named(version, found, reference),
            profile_of(found.body, own=True),
            tuple(score["grid"]) if score else None,
        )
    if reference == TRAINING:
        if not version.facts.get("plan") or not version.facts.get("spec"):
            msg = (
                f"{version.ref} has no training version in the ledger, so that its reference must be chosen: a dataset "
                "version such as rides@7, 'reported' for histograms reported as the reference, or 'first' for the first "
                "reported window."
            )
            raise SpecError(msg)
        plan = plan_of(version, what=f"counting windows of {version.ref}")
        parts = [p for p in ledger.versions.manifest(plan.version_id) if p.partition_key in plan.partitions]
        return plan.version, _merged(plan.version, parts), trained
    pinned = _pinned(ledger, reference)
    return pinned.ref, _merged(pinned.ref, list(ledger.versions.manifest(pinned.version_id))), trained


def _pinned(ledger: Ledger, reference: str) -> Version:
    if reference == PREVIOUS or VersionRef.parse(reference).number is None:
        msg = (
            f"reference {reference!r} has no bins that stay: count in those of 'training', 'reported', 'first' or a dataset "
            "version such as rides@7."
        )
        raise SpecError(msg)
    return ledger.versions.find(reference)


def _merged(ref: str, parts: list[Part]) -> dict[str, Any]:
    if not parts or not all(p.profile.get("columns") for p in parts):
        msg = f"{ref} has no profiles to count in the bins of."
        raise SpecError(msg)
    return merge_profiles([p.profile for p in parts])


def named(version: Version, report: Report, reference: str) -> str:
    """What a reported reference is called."""
    what = "reference reported as" if reference == REPORTED else "first window"
    return f"{version.ref} {what} {report.body['partition_key']}"


def reference_report(ledger: Ledger, version: Version, reference: str) -> Report | None:
    """Return the report that is a model version's reference, or the first window reported of it."""
    if reference == REPORTED:
        return find_window_report(ledger, version, None)
    last = last_report(ledger, version)
    return find_window_report(ledger, version, last.body["first"]) if last and last.body["first"] else None


def _edges(ledger: Ledger, version: Version) -> tuple[float, ...] | None:
    try:
        return tuple(calibration_of(ledger, version)[1].edges)
    except NotFoundError:
        return None


def fact_of(version: Version, window: str | None) -> FactKey:
    """Names a window for ever, whoever reports it; ``None`` is the reference."""
    return FactKey(TaskKey("dataml", "reported", digest_of(model=version.ref, window=window)), version.asset)


def find_window_report(ledger: Ledger, version: Version, window: str | None) -> Report | None:
    """Return what was last reported of a window; ``None`` for the reference itself."""
    found = None
    # It is reported again with more labels a few times at most.
    while (after := ledger.reports.of_fact(revised(fact_of(version, window), found), KIND)) is not None:
        found = after
    return found


def revised(fact: FactKey, before: Report | None) -> FactKey:
    """Names a window that is reported again."""
    return fact.of(str(before.body["revision"] + 1)) if before else fact


def last_report(ledger: Ledger, version: Version) -> Report | None:
    """Return what was reported of a version last."""
    return ledger.reports.latest(asset=version.asset, kind=KIND, version_id=version.version_id)
