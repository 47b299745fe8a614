"""What every operator of ours tells Airflow's OpenLineage provider, in one place.

An operator declares what it will touch, which is all a START event can say. While it runs and the ledger is
open, it tells which versions it read and wrote; one statement reads what there is to say of them. Nothing is
asked after the task: COMPLETE and FAIL are written from what is then on the operator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import Asset

from airflow_dataml.assets import facts_of, model
from airflow_dataml.core.errors import DataMLError, SpecError
from airflow_dataml.core.facets import DatasetFact, TaskLineage, assertions
from airflow_dataml.facets import dataset_object, declared_fact, facet_objects
from airflow_dataml.naming import NAMING, Names, ledger_database, registry_namespace
from airflow_dataml.operators.facets_facts import Teller

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.facets_naming import LineageName
    from airflow_dataml.naming import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a task says of itself before it runs.

    :param kind: what kind of work it is.
    :param inputs: assets, and files or tables of others, that it reads; a string names a version whose place only
        the ledger knows, and is left out.
    :param outputs: assets it writes.
    :param subject: the dataset that gates of this task are about.
    :param sql: the statement it runs.
    :param models: whether models are among what it touches, though none is an asset here.
    :param hands_over: whether its rows go to a later task, and to readers only with that.
    """

    kind: str
    inputs: Sequence[Asset | DatasetFact | str] = ()
    outputs: Sequence[Asset] = ()
    subject: Asset | DatasetFact | None = None
    sql: str | None = None
    models: bool = False
    hands_over: bool = False

    @classmethod
    def of_model(cls, kind: str, version: object) -> Self:
        """Return the model that a version is of, as what is read.

        :param version: ``name@number`` or ``name@alias``; a template where it is not rendered yet.
        """
        try:
            asset = model(str(version).partition("@")[0])
        except SpecError:
            # A template, or no name at all, which the task itself will refuse.
            return cls(kind=kind, models=True)
        return cls(kind=kind, inputs=[asset], subject=asset)


class LineageTelling:
    """What ``DataMLOperator`` has for OpenLineage; a subclass says what it touches in ``declares``."""

    dataml_conn_id: str | None
    mlflow_conn_id: str | None = None
    log: Any
    _told: TaskLineage | None = None
    _found: tuple[Mapping[str, Any], ...] = ()
    _database: Database | None = None
    _registry: str | None = None
    _registry_asked = False

    def declares(self) -> Declared:
        """Return what the task will read and write, from its arguments alone."""
        return Declared(kind="TASK")

    def tell(
        self,
        ledger: PostgresLedger,
        *,
        read: Iterable[Version | int | str] = (),
        wrote: Iterable[Version | int] = (),
        **said: Any,
    ) -> None:
        """Say what was read and written, while the ledger is open; lineage fails no task.

        :param read: versions, their ids, or what people call them.
        :param wrote: versions or their ids.
        :param said: see ``Teller.lineage``.
        """
        try:
            teller = Teller(ledger, self._names(self.declares()))
            self._told = teller.lineage(
                self._told or TaskLineage(), read=tuple(read), wrote=tuple(wrote), **said
            )
        except DataMLError as err:
            self.log.warning("OpenLineage will not hear what this task did: %s", err)

    def found(self, body: Mapping[str, Any] | None) -> None:
        """Remember what checks found in the subject of this task."""
        self._found = assertions(body or {}) or self._found

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return what the task declares."""
        declared = self.declares()
        names = self._names(declared)
        outputs = tuple(_declared(asset, names) for asset in declared.outputs)
        return self._rendered(replace(self._base(declared, names), outputs=outputs))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return what the task did."""
        del task_instance
        return self._rendered(self._done())

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return what the task did until it failed, and what its gate found."""
        del task_instance
        lineage, declared = self._done(), self.declares()
        if declared.subject is not None and not any(
            self._is_subject(one, declared) for one in lineage.inputs
        ):
            about = _declared(declared.subject, self._names(declared))
            lineage = replace(lineage, inputs=(replace(about, checks=self._found), *lineage.inputs))
        return self._rendered(lineage)

    def _done(self) -> TaskLineage:
        """What was told, and what was declared to be read and is not told of."""
        declared = self.declares()
        base = self._base(declared, self._names(declared))
        told = self._told or TaskLineage()
        known = {_logical(one) for one in told.inputs}
        lineage = told.with_inputs(
            one for one in base.inputs if one.logical not in known or one.logical is None
        )
        return replace(
            lineage,
            kind=base.kind,
            sql=base.sql,
            hands_over=base.hands_over,
            source=base.source,
            inputs=tuple(
                replace(one, checks=self._found) if self._is_subject(one, declared) else one
                for one in lineage.inputs
            ),
        )

    def _is_subject(self, one: DatasetFact, declared: Declared) -> bool:
        if declared.subject is None:
            return False
        about = _declared(declared.subject, self._names(declared))
        return one.name == about.name or (about.logical is not None and _logical(one) == about.logical)

    def _base(self, declared: Declared, names: Names) -> TaskLineage:
        return TaskLineage(
            kind=declared.kind,
            inputs=tuple(_declared(one, names) for one in declared.inputs if not isinstance(one, str)),
            sql=declared.sql,
            hands_over=declared.hands_over,
            source=self._source(),
        )

    def _names(self, declared: Declared) -> Names:
        """Where things are; a connection is looked up once, and that of the ledger not at all once it was open."""
        if self._database is None:
            self._database = ledger_database(self.dataml_conn_id)
        assets = (*declared.inputs, *declared.outputs, declared.subject)
        models = any(isinstance(one, Asset) and facts_of(one).get("kind") == "model" for one in assets)
        if (models or declared.models) and not self._registry_asked:
            self._registry, self._registry_asked = registry_namespace(self.mlflow_conn_id), True
        return Names(self._database, self._registry)

    def _source(self) -> dict[str, str] | None:
        """Where the code of the task's DAG is."""
        has_dag = getattr(self, "has_dag", None)
        dag: Any = self.dag if has_dag is not None and has_dag() else None  # type: ignore[attr-defined]  # BaseOperator's
        path = Path(str(getattr(dag, "fileloc", "") or ""))
        return {"type": "file", "url": path.as_uri(), "path": path.name} if path.is_absolute() else None

    def _rendered(self, lineage: TaskLineage) -> OperatorLineage[Any, Any]:
        from airflow.providers.openlineage import conf
        from airflow.providers.openlineage.extractors import OperatorLineage

        from airflow_dataml.core.facets_rendering import render

        plain = render(lineage, job_namespace=conf.namespace())
        return OperatorLineage(
            inputs=[dataset_object(one, output=False) for one in plain["inputs"]],
            outputs=[dataset_object(one, output=True) for one in plain["outputs"]],
            run_facets=facet_objects("RunFacet", plain["run"]),
            job_facets=facet_objects("JobFacet", plain["job"]),
        )


def file_fact(location: str | LineageName) -> DatasetFact:
    """Return a file, or a table of others, by its path or by its name."""
    name = NAMING.lineage_file(location) if isinstance(location, str) else location
    return DatasetFact(name=name, type="FILE" if name.namespace == "file" else None)


def _declared(asset: Asset | DatasetFact, names: Names) -> DatasetFact:
    if isinstance(asset, DatasetFact):
        return asset
    facts = facts_of(asset)
    return declared_fact(str(facts.get("kind", "dataset")), asset.name, facts, names)


def _logical(one: DatasetFact) -> LineageName | None:
    """The logical name of what was read, also of a version on a branch, whose table has no symlink to it."""
    return NAMING.lineage_logical(one.version.kind, one.version.asset) if one.version else one.logical
