"""Adopt a model: what MLflow's registry holds of it comes under the ledger, with its history."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError, RegistryError, SpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import AssetNaming, check_alias
from airflow_dataml.core.registry import MODEL_FILE, ModelFiles
from airflow_dataml.core.registry_reading import FolderDigest
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.aliases import MLFLOW_TOPIC, move_aliases
from airflow_dataml.steps.models import metadata_digest
from airflow_dataml.steps.registry_state import LOCATION, in_ledger, sender

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.registry_reading import RegisteredModel, RegisteredVersion
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
_LOGGED_MODEL = "models:/m-"


@dataclass(frozen=True, slots=True)
class AdoptedVersion:
    """One version of the registry, and what it is in the ledger.

    :param ref: in the ledger; ``None`` where only a plan was asked for.
    :param known: the ledger had it before.
    :param loadable: whether our scoring can load it; ``None`` where its files were not looked at.
    :param reason: why it cannot.
    """

    version: int
    ref: str | None
    known: bool
    loadable: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAdopted:
    """What adopting a model came to, or would.

    :param aliases: those that the ledger takes over, with the registry's version.
    :param left: aliases that stay the registry's own, with the reason.
    """

    model: str
    versions: tuple[AdoptedVersion, ...]
    aliases: dict[str, int]
    left: dict[str, str]
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"versions": [asdict(one) for one in self.versions]}


@dataclass(frozen=True, slots=True)
class _Looked:
    """The files of a version, looked at and not loaded."""

    loadable: bool
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def adopt_model(
    *, ledger: Ledger, registry: ModelRegistry, identity: RunIdentity, model: str, dry_run: bool = False
) -> ModelAdopted:
    """Enter a registered model with all its versions and aliases into the ledger; costs one read of its files.

    Versions come in the registry's order, each in a transaction of its own: a killed adoption goes on where
    it stopped, and a second one brings only what is new. Nothing is changed in the registry, and no file is
    loaded: one in a format whose loading runs code is recorded, and refused where somebody would score with it.

    :param dry_run: say what would be done; reads no file and writes nothing.
    :raises NotFoundError: nobody registered such a model.
    :raises SpecError: the name is not usable here, or taken by what is no model.
    """
    uri = AssetNaming().uri("model", model)
    found = registry.registered(model)
    if found is None:
        msg = f"the registry has no model {model!r}: write its name as it stands there."
        raise NotFoundError(msg)
    if dry_run:
        return _plan(ledger, found)
    ledger.assets.register(name=model, kind="model", uri=uri, source="adopted")
    run = ledger.runs.begin(identity, input_digest=digest_of(adopt=model))
    versions = bring_versions(ledger=ledger, registry=registry, run=run, found=found)
    aliases, left = _aliases(ledger, found)
    with ledger.transaction():
        ledger.assets.lock(model)
        _keep_tags(ledger, found)
        if aliases:
            _take_aliases(ledger, run, found, aliases)
        brought = [one.ref for one in versions if not one.known]
        if brought or aliases:
            detail = {"versions": brought, "aliases": aliases, "left": left}
            ledger.audit.add(action="adopt model", subject=model, run=run, detail=detail)
        ledger.runs.finish(run)
    # They stand there already: this only writes down that they do.
    ledger.outbox.deliver(MLFLOW_TOPIC, sender(ledger, registry))
    log.info("Adopted %s: %d versions, of which %d are new", model, len(versions), len(brought))
    return ModelAdopted(model, versions, aliases, left, dry_run=False)


def bring_versions(
    *, ledger: Ledger, registry: ModelRegistry, run: TaskRun, found: RegisteredModel
) -> tuple[AdoptedVersion, ...]:
    """Enter every version of a registered model that the ledger does not have, oldest first."""
    known = in_ledger(ledger, found.name)
    brought = []
    for version in found.versions:
        if version.version in known:
            entered = known[version.version]
            told = entered.facts.get("adopted") or {}
            brought.append(
                AdoptedVersion(
                    version.version, entered.ref, True, told.get("loadable", True), told.get("reason")
                )
            )
            continue
        looked = _look(registry, found.name, version)
        facts = _facts(registry, found.name, version, looked)
        entered, made = _enter(ledger, run, found.name, version, facts)
        log.info("Adopted version %d of %s as %s", version.version, found.name, entered.ref)
        brought.append(AdoptedVersion(version.version, entered.ref, not made, looked.loadable, looked.reason))
    return tuple(brought)


def _plan(ledger: Ledger, found: RegisteredModel) -> ModelAdopted:
    try:
        kind = ledger.assets.get(found.name)["kind"]
    except NotFoundError:
        return ModelAdopted(
            found.name,
            tuple(AdoptedVersion(one.version, None, known=False) for one in found.versions),
            *_usable(dict(found.aliases)),
            dry_run=True,
        )
    if kind != "model":
        msg = f"{found.name!r} is a {kind} in the ledger: rename the model in MLflow, or the {kind}."
        raise SpecError(msg)
    known = in_ledger(ledger, found.name)
    versions = (
        AdoptedVersion(
            one.version, known[one.version].ref if one.version in known else None, one.version in known
        )
        for one in found.versions
    )
    return ModelAdopted(found.name, tuple(versions), *_aliases(ledger, found), dry_run=True)


def _enter(
    ledger: Ledger, run: TaskRun, model: str, version: RegisteredVersion, facts: dict[str, Any]
) -> tuple[Version, bool]:
    fact = run.fact(model).of(f"v{version.version}")
    with ledger.transaction():
        ledger.assets.lock(model)
        # Another adoption may have been faster.
        entered = ledger.versions.of_fact(fact) or in_ledger(ledger, model).get(version.version)
        if entered is not None:
            return entered, False
        entered = ledger.versions.add(run=run, fact=fact, facts=facts)
        detail = {"version": version.version, "loadable": facts["adopted"]["loadable"]}
        ledger.audit.add(action="adopt model version", subject=entered.ref, run=run, detail=detail)
    return entered, True


def _facts(
    registry: ModelRegistry, model: str, version: RegisteredVersion, looked: _Looked
) -> dict[str, Any]:
    run = registry.run_record(version.run_id) if version.run_id else None
    ours = version.source.startswith(_LOGGED_MODEL)
    return {
        "adopted": {
            "loadable": looked.loadable,
            "reason": looked.reason,
            "registered_at": datetime.fromtimestamp(version.created_ms / 1000, UTC).isoformat(),
            "description": version.description,
            "run": run.to_dict() if run else None,
            "files": looked.facts.get("files", {}),
        },
        "registry": {
            "version": version.version,
            "run_id": version.run_id,
            "source": version.source if ours else f"models:/{model}/{version.version}",
            "tags": dict(version.tags),
        },
        "training": {"metrics": dict(run.metrics) if run else {}},
    } | {name: value for name, value in looked.facts.items() if name != "files"}


def _look(registry: ModelRegistry, model: str, version: RegisteredVersion) -> _Looked:
    """Hash the files of a version and say whether ours may load them; none is loaded."""
    with tempfile.TemporaryDirectory(prefix="dataml-adopt-") as scratch:
        folder = Path(scratch) / "model"
        try:
            registry.fetch_version(model=model, version=version.version, target=folder)
        except (NotFoundError, RegistryError, SpecError) as err:
            # Raises where it is the registry itself that is silent.
            registry.check()
            return _Looked(loadable=False, reason=f"its files cannot be read: {err}")
        digest = FolderDigest.read(folder)
        facts: dict[str, Any] = {"files": dict(digest.files)}
        if digest.code:
            reason = f"it holds {', '.join(digest.code)}: loading such files runs code that they bring"
            return _Looked(loadable=False, reason=reason, facts=facts)
        if MODEL_FILE not in digest.files:
            reason = f"it holds no {MODEL_FILE}, and ours load ONNX only"
            return _Looked(loadable=False, reason=reason, facts=facts)
        facts |= {
            "artifact_digest": ModelFiles.read(folder).digest,
            "metadata_digest": metadata_digest(folder),
        }
        unfit, spec = _metadata(folder, digest)
        return _Looked(unfit is None, unfit, facts | ({"spec": spec} if spec else {}))


def _metadata(folder: Path, digest: FolderDigest) -> tuple[str | None, dict[str, Any] | None]:
    """Say what keeps our scoring from using a model, and the spec it was trained with."""
    path = folder / "metadata.json"
    if not path.exists():
        return (
            "it has no metadata.json, which tells how columns become its inputs; MLflow itself loads it",
            None,
        )
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        promised, spec, _ = metadata["onnx_sha256"], metadata["spec"], metadata["encoding"]
    except (ValueError, KeyError, TypeError) as err:
        return f"its metadata.json is not one that our training writes ({err!r})", None
    if promised != digest.files[MODEL_FILE]:
        return f"its {MODEL_FILE} is not the one its metadata.json was written for", None
    return None, dict(spec)


def _aliases(ledger: Ledger, found: RegisteredModel) -> tuple[dict[str, int], dict[str, str]]:
    """Return the aliases to take over, and those that stay, with the reason."""
    taken, left = _usable(dict(found.aliases))
    for alias in list(taken):
        version = ledger.versions.alias(found.name, alias)
        if version is not None:
            number = (version.facts.get("registry") or {}).get("version")
            if taken.pop(alias) != number:
                left[alias] = f"the ledger has it at {version.ref}; `dataml model reconcile` settles that"
    return taken, left


def _usable(aliases: dict[str, int]) -> tuple[dict[str, int], dict[str, str]]:
    taken, left = {}, {}
    for alias, number in sorted(aliases.items()):
        try:
            taken[check_alias(alias)] = number
        except SpecError as err:
            left[alias] = str(err)
    return taken, left


def _take_aliases(ledger: Ledger, run: TaskRun, found: RegisteredModel, aliases: dict[str, int]) -> None:
    known = in_ledger(ledger, found.name)
    decision = Decision("adopt", ("they stood so in the registry",), {"aliases": aliases})
    report = ledger.reports.add(
        run=run,
        fact=run.fact(found.name).of(f"aliases-{digest_of(**aliases)[:12]}"),
        kind="decision",
        verdict=Verdict.UNKNOWN,
        body=decision.to_dict() | {"version": None},
    )
    moves: dict[str, Version | None] = {
        alias: known[number] for alias, number in aliases.items() if number in known
    }
    move_aliases(ledger, run, model=found.name, moves=moves, report_id=report.report_id)


def _keep_tags(ledger: Ledger, found: RegisteredModel) -> None:
    """Keep the model's own tags as what is expected from now on."""
    if LOCATION not in (ledger.assets.get(found.name)["location"] or {}):
        ledger.assets.set_location(found.name, {LOCATION: {"tags": dict(found.tags)}})
