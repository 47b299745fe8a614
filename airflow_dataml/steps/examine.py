"""Examine: a contract is run on rows, reading only the parts that were not measured before; nothing is judged."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from airflow_dataml.core.expectations import with_expectations
from airflow_dataml.core.segments import Reading, Segment
from airflow_dataml.steps.expectations import compared, evaluate
from airflow_dataml.steps.samples import samples_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_extension import OnFail
    from airflow_dataml.core.datasets import Column, Part, StagedPart, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.ports_quarantine import RowRules
    from airflow_dataml.core.quality import QualityEngine, QualityReport
    from airflow_dataml.core.refs import FactKey, Relation
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.segments import IncrementalEngine, ScanningEngine, State
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.expectations import Compared

    Manifest = tuple[tuple[Column, ...], tuple[Part, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of some rows.

    :param references: dataset named in ``valid_reference_data`` -> the version of a managed dataset that is meant.
    :param data_timestamp: the time freshness is measured against; now unless given.
    :param timeout_s: seconds for all queries of the engine together.
    :param on_fail: what a broken contract leads to; the contract's own word unless given.
    :param rules: what the contract says of single rows; without it no failed row is shown or set aside.
    :param incremental: of a table nobody publishes here, measure what changed since it was verified last, where
        the engine can tell.
    """

    contract: Contract
    references: Mapping[str, str] = field(default_factory=dict)
    data_timestamp: datetime | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 600
    on_fail: OnFail | None = None
    rules: RowRules | None = None
    incremental: bool = True

    @property
    def consequence(self) -> OnFail:
        """What a broken contract leads to."""
        return self.on_fail or self.contract.on_fail


@dataclass(frozen=True, slots=True)
class Subject:
    """Rows a contract is run on.

    :param name: what to call them in messages.
    :param manifest: asked for once it is sure that rows will be read; the schema and parts to look at.
    :param digest: what tells these rows from others.
    :param relation: the table to look at, where there are no parts.
    :param facts: what a report about them says besides.
    :param batch: the rows anomalies are looked for in.
    :param whole: whether distributions are those of all parts, and not of the batch alone.
    :param before: what readers saw before.
    :param number: of the version they are, if they are published.
    :param title: of the incident if they break the contract.
    :param refusal: what that means for readers.
    :param staged: the batch as the stage task handed it over.
    :param again: verifies what is left of the batch when the rows at fault are set aside.
    """

    asset: str
    name: str
    manifest: Callable[[], Manifest]
    digest: Mapping[str, Any]
    relation: Relation | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    batch: Part | None = None
    whole: bool = False
    before: Version | None = None
    branch: str | None = None
    partition_key: str | None = None
    part_id: int | None = None
    version_id: int | None = None
    number: int | None = None
    title: str = ""
    refusal: str = ""
    staged: StagedPart | None = None
    again: Callable[[StagedPart, RunIdentity], Report] | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """The exact versions a question names, as they stand when the verification begins.

    :param references: by the dataset's name in ``valid_reference_data``.
    :param compared: those of our own block.
    """

    references: dict[str, Version]
    compared: Compared

    @classmethod
    def find(cls, ledger: Ledger, question: Question, subject: Subject) -> Named:
        """Look them up.

        :raises NotFoundError: a dataset or version that does not exist, with the closest names.
        """
        references = {
            name: ledger.versions.find(ref, branch=subject.branch)
            for name, ref in question.references.items()
        }
        return cls(
            references,
            compared(ledger, question.contract, before=subject.before, branch=subject.branch),
        )

    @property
    def refs(self) -> dict[str, str]:
        """Exact versions by the name in the contract."""
        return {name: version.ref for name, version in self.references.items()} | self.compared.refs


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, and what an engine measured of single parts.

    :param plan: the engine's name of what it measured.
    :param states: by part; what it did not need to measure again is not among them.
    :param samples: a few rows that broke a check, by check.
    :param table: what names the table the reading is of, if it is one nobody publishes here.
    :param reading: what was read of it, if the engine says.
    """

    report: QualityReport
    plan: str = ""
    states: Mapping[int, State] = field(default_factory=dict)
    samples: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""
    reading: Reading | None = None

    def keep(self, ledger: Ledger) -> None:
        """Keep the measurements for the next verification."""
        for part_id, state in self.states.items():
            ledger.states.put(part_id, engine=self.report.engine, plan=self.plan, state=state)
        reading = self.reading
        if reading is not None and reading.states:
            ledger.states.put_segments(
                self.table,
                engine=self.report.engine,
                plan=self.plan,
                states=reading.states,
                total=reading.total,
            )


def examine(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    engine: QualityEngine,
    subject: Subject,
    question: Question,
    named: Named,
    fact: FactKey,
) -> Answer:
    """Run a contract, the engine's checks and our own, on a subject.

    :param warehouse: where the subject can be read.
    :param store: where its parts are, and those of the versions it is compared with.
    :param fact: names the views that are made for it.
    """
    columns, parts = subject.manifest()
    with (
        _shown(store, subject, fact, columns, parts) as relation,
        tables_of(ledger, store, named.references | named.compared.tables, fact) as tables,
        warehouse.engine_connection() as connection,
    ):
        answer = ask(
            ledger=ledger,
            engine=engine,
            question=question,
            relation=relation,
            parts=parts,
            connection=connection,
            tables={name: tables[name] for name in named.references},
            table=subject.asset if subject.relation is not None else None,
        )
        expected = evaluate(
            ledger=ledger,
            warehouse=warehouse,
            store=store,
            contract=question.contract,
            batch=subject.batch,
            parts=parts if subject.whole or subject.batch is None else [subject.batch],
            relation=relation,
            compared=named.compared,
            tables=tables,
            found=answer.report.checks,
            moment=question.data_timestamp,
            number=subject.number,
        )
        samples = samples_of(
            ledger=ledger,
            question=question,
            relation=relation,
            connection=connection,
            tables=tables,
            found=answer.report.checks,
        )
    return replace(answer, report=with_expectations(answer.report, expected), samples=samples)


def ask(
    *,
    ledger: Ledger,
    engine: QualityEngine,
    question: Question,
    relation: Relation,
    parts: Sequence[Part],
    connection: Any,
    tables: Mapping[str, Relation],
    table: str | None = None,
) -> Answer:
    """Let an engine run a contract on a relation.

    :param relation: what readers see, or would see.
    :param parts: what the relation is made of; where the database keeps them and the engine can merge
        measurements, only parts that were never measured under this contract are read.
    :param connection: a live connection for the engine.
    :param tables: dataset named in ``valid_reference_data`` -> the table to read.
    :param table: the asset, if the relation is a table nobody publishes here.
    """
    said: dict[str, Any] = {
        "contract": question.contract,
        "relation": relation,
        "connection": connection,
        "variables": dict(question.variables),
        "data_timestamp": question.data_timestamp,
        "timeout_s": question.timeout_s,
        "references": dict(tables),
    }
    if table is not None and question.incremental and hasattr(engine, "verify_changes"):
        return _changes(ledger, cast("ScanningEngine", engine), f"{table} {relation}", said)
    if not parts or any(part.store != "postgres" for part in parts) or not hasattr(engine, "verify_parts"):
        return Answer(engine.verify(**said))
    merging = cast("IncrementalEngine", engine)
    plan = merging.plan_digest(question.contract, question.variables)
    kept = ledger.states.get([part.part_id for part in parts], engine=engine.name, plan=plan)
    keys = {f"part:{part.part_id}": part for part in parts}
    segments = [Segment(key, part.relation, state=kept.get(part.part_id)) for key, part in keys.items()]
    report, states = merging.verify_parts(segments=segments, **said)
    return Answer(report, plan, {keys[key].part_id: state for key, state in states.items()})


def _changes(ledger: Ledger, engine: ScanningEngine, table: str, said: Mapping[str, Any]) -> Answer:
    plan = engine.plan_digest(said["contract"], said["variables"])
    known = ledger.states.segments(table, engine=engine.name, plan=plan)
    report, reading = engine.verify_changes(known=known, **said)
    return Answer(report, plan, table=table, reading=reading)


@contextmanager
def _shown(
    store: DatasetStore, subject: Subject, fact: FactKey, columns: tuple[Column, ...], parts: tuple[Part, ...]
) -> Iterator[Relation]:
    """What to look at: the table itself, or for a while a view of the parts."""
    if subject.relation is not None:
        yield subject.relation
        return
    with store.inspect(name=f"verify_{fact.digest}", columns=columns, parts=parts) as relation:
        yield relation


@contextmanager
def tables_of(
    ledger: Ledger, store: DatasetStore, versions: Mapping[str, Version], fact: FactKey
) -> Iterator[dict[str, Relation]]:
    """Show what the references of a contract are read from: the exact versions, whatever becomes current meanwhile."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                store.inspect(
                    name=f"verify_{fact.of(name).digest}",
                    columns=ledger.versions.columns(version.version_id),
                    parts=ledger.versions.manifest(version.version_id),
                )
            )
            for name, version in versions.items()
        }
