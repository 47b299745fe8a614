"""What a training takes from earlier versions: pinned when it begins, brought into its folder, told in lineage."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import classes_of
from airflow_dataml.core.errors import SpecError, TrainingSpecError
from airflow_dataml.core.guidance import START_FILE, TEACHER_COLUMN, WEIGHT_COLUMN, ref_for, taught_column
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.core.refs import VersionRef, quote_identifier
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.warm_start import write_start
from airflow_dataml.core.windows import plan_of
from airflow_dataml.steps.models import METADATA_FILE, fetch_files, open_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.lineage import EdgeKind
    from airflow_dataml.core.ports import Ledger, ScorerLoader, Warehouse
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.reproduction import WeightsReader
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.windows import TrainingPlan

log = logging.getLogger(__name__)
WARM_START, TEACHER, HARD = "warm_start", "teacher", "hard_examples"
_EDGES: dict[str, EdgeKind] = {WARM_START: "warm_started", TEACHER: "taught", HARD: "weighted"}


@dataclass(frozen=True, slots=True)
class Guidance:
    """A spec in which every version that it takes from is a numbered one, and those versions.

    :param sources: by what they are taken for.
    """

    spec: TrainingSpec
    sources: Mapping[str, Version] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the training file needs: the spec's, and those the teacher reads."""
        teacher = self.sources.get(TEACHER)
        read = [one["name"] for one in teacher.facts["spec"]["features"]] if teacher else []
        return tuple(dict.fromkeys((*self.spec.required_columns, *read)))

    def facts(self) -> dict[str, Any]:
        """What the new version keeps; nothing where it takes from none."""
        taken = {name: version.ref for name, version in self.sources.items()}
        return {"guidance": taken} if taken else {}

    def edges(self, version_id: int) -> Iterator[Edge]:
        """Yield the lineage from each of them to the new version."""
        for name, version in self.sources.items():
            yield Edge(version_node(version.version_id), version_node(version_id), _EDGES[name])


def resolve(*, ledger: Ledger, plan: TrainingPlan, spec: TrainingSpec) -> Guidance:
    """Find the versions a spec names; what is to be ``champion`` while there is none is left out.

    :raises NotFoundError: a version is not there.
    :raises TrainingSpecError: it cannot be taken from.
    """
    sources: dict[str, Version] = {}
    if spec.warm_start is not None:
        _find_model(ledger, plan, spec, spec.warm_start, WARM_START, sources)
    if spec.distill is not None:
        _find_model(ledger, plan, spec, spec.distill.teacher, TEACHER, sources)
    if spec.hard_examples is not None:
        _find_hard(ledger, plan, spec.hard_examples.dataset, sources)
    return Guidance(_pinned(spec, sources), sources)


def resolve_once(
    *, ledger: Ledger, plan: TrainingPlan, spec: TrainingSpec, identity: RunIdentity, work_dir: Path
) -> Guidance:
    """Find the versions a spec names, or what an earlier try of this task found, whatever moved since."""
    if spec.warm_start is None and spec.distill is None and spec.hard_examples is None:
        return Guidance(spec)
    path = pins_file(plan=plan, spec=spec, identity=identity, work_dir=work_dir)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = resolve(ledger=ledger, plan=plan, spec=spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.tmp")
        beside.write_text(
            json.dumps({name: one.ref for name, one in found.sources.items()}), encoding="utf-8"
        )
        beside.replace(path)
    else:
        sources = {name: ledger.versions.find(ref) for name, ref in kept.items()}
        found = Guidance(_pinned(spec, sources), sources)
    for name, version in found.sources.items():
        log.info("Taking %s from %s", name, version.ref)
    return found


def pins_file(*, plan: TrainingPlan, spec: TrainingSpec, identity: RunIdentity, work_dir: Path) -> Path:
    """Return where a task notes what it found; the note goes once its version is in the ledger."""
    asked = digest_of(task=str(identity.task), plan=plan.to_dict(), spec=spec.model_dump(mode="json"))
    return work_dir / "pins" / f"{asked}.json"


def bring(
    *,
    guidance: Guidance,
    folder: Path,
    registry: ModelRegistry,
    scorers: ScorerLoader,
    weights: WeightsReader | None,
    work_dir: Path,
) -> None:
    """Put the teacher's scores into ``train.csv`` and the weights to begin with beside it; memory of one block.

    :raises RegistryError: the store does not answer, or gave other files than were registered.
    """
    teacher, start = guidance.sources.get(TEACHER), guidance.sources.get(WARM_START)
    if teacher is not None:
        scorer = open_model(version=teacher, registry=registry, scorers=scorers, work_dir=work_dir)
        names = [taught_column(name) for name in classes_of(scorer)] or [TEACHER_COLUMN]
        blocks = (block.reshape(-1, len(names)) for _, block in scorer.score_csv(folder / "train.csv"))
        _add_columns(folder / "train.csv", names, (row for block in blocks for row in block.tolist()))
    if start is not None:
        if weights is None:
            msg = "warm_start needs a reader of weights: give the workshop one."
            raise SpecError(msg)
        files = fetch_files(version=start, registry=registry, work_dir=work_dir)
        told = files / METADATA_FILE
        said = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
        write_start(
            folder / START_FILE,
            version=start.ref,
            weights=weights(files),
            encoding=said.get("encoding"),
            classes=said.get("classes", ()),
        )


def weighted(
    *, ledger: Ledger, warehouse: Warehouse, plan: TrainingPlan, guidance: Guidance, rows: str
) -> str:
    """Return a query of rows with their weight in the loss as a further column; ``rows`` itself without hard ones."""
    hard, asked = guidance.sources.get(HARD), guidance.spec.hard_examples
    if hard is None or asked is None:
        return rows
    keys = ", ".join(map(quote_identifier, plan.key_columns))
    named = warehouse.union(ledger.versions.manifest(hard.version_id), plan.key_columns)
    return f"""SELECT r.*, CASE WHEN h.dataml_hard THEN {asked.weight!r} ELSE 1 END AS {quote_identifier(WEIGHT_COLUMN)}
               FROM ({rows}) r LEFT JOIN (SELECT DISTINCT {keys}, true AS dataml_hard FROM ({named}) n) h USING ({keys})"""


def _find_model(
    ledger: Ledger, plan: TrainingPlan, spec: TrainingSpec, name: str, role: str, sources: dict[str, Version]
) -> None:
    if name == "champion" and ledger.versions.alias(spec.model, name) is None:
        log.info("%s has no champion yet: this training goes without %s", spec.model, role)
        return
    version = ledger.versions.find(ref_for(name, spec.model))
    theirs = plan_of(version, what=f"{role} of {spec.model!r}")
    task = version.facts["spec"]["task"]
    if task != spec.task:
        msg = f"{role} of model {spec.model!r} is {version.ref}, whose task is {task!r} and not {spec.task!r}: name another version."
        raise TrainingSpecError(msg)
    if theirs.dataset == plan.dataset and datetime.fromisoformat(theirs.cut) > datetime.fromisoformat(
        plan.cut
    ):
        msg = (
            f"{role} of model {spec.model!r} is {version.ref}, which learnt from rows until {theirs.cut}; the rows from {plan.cut} "
            "on are to judge the new model, and it would know them: plan the training anew, or name an older version."
        )
        raise TrainingSpecError(msg)
    sources[role] = version


def _find_hard(ledger: Ledger, plan: TrainingPlan, name: str, sources: dict[str, Version]) -> None:
    asset = VersionRef.parse(name).asset
    ledger.assets.get(asset)
    if name == asset and ledger.versions.head(asset) is None:
        log.info("%s has no version yet: every row counts the same", asset)
        return
    version = ledger.versions.find(name)
    _require_keys(version, [c.name for c in ledger.versions.columns(version.version_id)], plan.key_columns)
    sources[HARD] = version


def _require_keys(version: Version, columns: Sequence[str], keys: Sequence[str]) -> None:
    absent = sorted(set(keys) - set(columns))
    if absent:
        msg = f"hard_examples is {version.ref}, which lacks the key columns {absent} of the training plan; it has {columns}."
        raise TrainingSpecError(msg)


def _pinned(spec: TrainingSpec, sources: Mapping[str, Version]) -> TrainingSpec:
    refs = {name: version.ref for name, version in sources.items()}
    distill, hard = spec.distill, spec.hard_examples
    return spec.model_copy(
        update={
            "warm_start": refs.get(WARM_START),
            "distill": distill.model_copy(update={"teacher": refs[TEACHER]})
            if distill and TEACHER in refs
            else None,
            "hard_examples": hard.model_copy(update={"dataset": refs[HARD]})
            if hard and HARD in refs
            else None,
        }
    )


def _add_columns(path: Path, names: Sequence[str], values: Iterator[Sequence[float]]) -> None:
    """Add columns of numbers at the end of a CSV file, leaving every other character as it is."""
    beside = path.with_name(f"{path.name}.tmp")
    with (
        path.open(encoding="utf-8", newline="") as file,
        beside.open("w", encoding="utf-8", newline="") as out,
    ):
        records = _records(file)
        out.write(f"{next(records)},")
        csv.writer(out, lineterminator="\n").writerow(names)
        for record, row in zip(records, values, strict=True):
            out.write(f"{record},{','.join(map(repr, row))}\n")
    beside.replace(path)


def _records(lines: Iterator[str]) -> Iterator[str]:
    """Yield records without their line end; one with an odd number of quotes goes on in the next line."""
    record = ""
    for line in lines:
        record += line
        if record.count('"') % 2 == 0:
            yield record.rstrip("\r\n")
            record = ""
