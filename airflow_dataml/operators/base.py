"""What every operator of ours shares: identity, ledger, retry policy, link."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from airflow.sdk import BaseHook, BaseOperator
from pydantic import BaseModel, ValidationError

from airflow_dataml import config
from airflow_dataml.assets import entry_of, facts_of
from airflow_dataml.core.datasets import StagedPart
from airflow_dataml.core.errors import GateError, PolicyError, SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import Relation, TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.core.scores import event_quality
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.links import LINK_KEY, LedgerLink, LineageLink, asset_path
from airflow_dataml.naming import Database
from airflow_dataml.operators.facets import LineageTelling
from airflow_dataml.retries import RETRY_POLICY
from airflow_dataml.steps.branches import location_on
from airflow_dataml.steps.publish import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow.sdk import Asset, BaseOperatorLink
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.stores import DatasetStore, Place


Authored = TypeVar("Authored", bound=BaseModel)


class Spec(Protocol):
    """What a person may write in a DAG, or in a file beside it."""

    @classmethod
    def from_mapping(cls, values: object) -> Self:
        """Read plain values."""

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a file."""


Written = TypeVar("Written", bound=Spec)


class DataMLOperator(LineageTelling, BaseOperator):
    """Base of the operators; not used alone.

    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    operator_extra_links: tuple[BaseOperatorLink, ...] = (LedgerLink(), LineageLink())

    def __init__(self, *, dataml_conn_id: str | None = None, **kwargs: Any) -> None:
        if "retry_policy" not in (kwargs.get("default_args") or {}):
            kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.dataml_conn_id = dataml_conn_id
        self._open: PostgresLedger | None = None

    @contextmanager
    def ledger(self) -> Iterator[PostgresLedger]:
        """Open the ledger for the length of a block; what a gate refuses in it is evidence for lineage too."""
        from airflow_dataml.adapters.postgres.ledger import PostgresLedger

        dsn = DataMLHook(self.dataml_conn_id or config.conn_id()).dsn()
        self._database = Database.of(dsn)
        ledger = PostgresLedger.connect(dsn)
        self._open = ledger
        with ledger:
            try:
                yield ledger
            except GateError as err:
                self.found(err.report)
                raise
        self._open = None

    def on_kill(self) -> None:
        """Cancel the statement that runs in the database; its transaction rolls back."""
        if self._open is not None:
            self._open.connection.cancel()

    def identity(self, context: Context) -> RunIdentity:
        """Return who is writing, as Airflow says."""
        return identity_of(context)

    def partition_key_of(self, context: Context, given: str | None) -> str | None:
        """Return the batch this run is about: what was given, else the run's own partition key."""
        return given or getattr(context["dag_run"], "partition_key", None)

    def require_partition_key(self, context: Context, given: str | None) -> str:
        """Return the batch this run is about, or refuse."""
        key = self.partition_key_of(context, given)
        if not key:
            msg = f"task {self.task_id!r} works on one batch and this run has no partition key: trigger the DAG with one."
            raise SpecError(msg)
        return key

    def announce(
        self,
        context: Context,
        asset: Asset,
        version: Version,
        *,
        branch: str | None = None,
        report: Report | None = None,
    ) -> None:
        """Let the asset's event carry a version; on a branch there is no event, for nobody else may act on it.

        :param report: what its checks found; the event carries their summary under Airflow's own key too.
        """
        self.link(context, version.asset, version=version.number)
        if branch is not None:
            # Airflow reads the outlets of this very task object once it has succeeded.
            self.outlets = [outlet for outlet in self.outlets if outlet != asset]
            return
        context["outlet_events"][asset].extra = event_facts(
            version.ref,
            rows=version.rows,
            fingerprint=version.fingerprint,
            partition_key=version.partition_key,
        ) | (event_quality(report) if report else {})

    def link(
        self, context: Context, name: str, *, version: int | None = None, report: int | None = None
    ) -> None:
        """Point the task's link at what it is about, so that a failed task has one too; then at what it wrote."""
        context["ti"].xcom_push(key=LINK_KEY, value=asset_path(name, version=version, report=report))


def identity_of(context: Context, *, suffix: str = "") -> RunIdentity:
    """Return who is writing, as Airflow says.

    :param suffix: set apart what is written about a task from what the task itself writes.
    """
    ti: Any = context["ti"]
    dag_run = context.get("dag_run")
    map_index = ti.map_index if ti.map_index is not None else -1
    return RunIdentity(
        task=TaskKey(ti.dag_id, ti.run_id, ti.task_id + suffix, map_index),
        try_number=ti.try_number,
        partition_key=getattr(dag_run, "partition_key", None),
        ti_id=str(ti.id),
        max_tries=getattr(ti, "max_tries", None),
        code_version=getattr(dag_run, "bundle_version", None),
        environment={"triggered_by": person}
        if (person := getattr(dag_run, "triggering_user_name", None))
        else {},
    )


def authored(kind: type[Authored], value: Authored | Mapping[str, Any] | None) -> Authored:
    """Return a policy or window as it was written in the DAG: an instance, its fields, or nothing for the defaults.

    :raises PolicyError: a field is unknown or out of bounds.
    """
    if isinstance(value, kind):
        return value
    try:
        return kind.model_validate(value or {})
    except ValidationError as err:
        msg = f"{kind.__name__} was written as {value!r}: {err}"
        raise PolicyError(msg) from err


def spec_of(kind: type[Written], written: str | Written | Mapping[str, Any]) -> Written:
    """Return a spec as it was written in the DAG: the path of a YAML file, its fields, or the spec itself."""
    if isinstance(written, kind):
        return written
    return kind.from_mapping(dict(written)) if isinstance(written, Mapping) else kind.from_yaml(str(written))


def register(ledger: PostgresLedger, asset: Asset) -> None:
    """Enter an asset of ours into the catalog, or refresh its entry."""
    ledger.assets.enter(entry_of(asset))


def layout_of(ledger: PostgresLedger, asset: Asset) -> Layout:
    """Return what a dataset's parts and view shall have; as adopted, where the DAG says nothing."""
    declared = facts_of(asset)
    return Layout.from_location(
        declared if "layout" in declared else ledger.assets.get(asset.name)["location"]
    )


def location_of(asset: Asset) -> str:
    """Return what readers of a dataset name: its view, or the uri of its Delta table."""
    return str(facts_of(asset).get("uri") or view_of(asset))


def store_of(ledger: PostgresLedger, asset: Asset) -> DatasetStore:
    """Return the store that keeps a dataset's rows."""
    facts = facts_of(asset)
    if facts.get("store") != "delta":
        return ledger.store
    from airflow_dataml.adapters.delta import delta_store

    options: dict[str, str] = {}
    if conn_id := facts.get("storage_conn_id"):
        extra = BaseHook.get_connection(conn_id).extra_dejson
        options = {str(key): str(value) for key, value in extra.items()}
    return delta_store(ledger, options)


def place_for(ledger: PostgresLedger, asset: Asset, *, branch: str | None = None) -> Place:
    """Return where readers of a dataset find it, on a branch or for everybody."""
    location = location_of(asset)
    if branch is not None:
        location = location_on(ledger, branch, location, store=facts_of(asset).get("store", "postgres"))
    return place_of(ledger, asset.name, location, layout_of(ledger, asset), branch=branch)


def branch_of(context: Context, given: str | None) -> str | None:
    """Return the branch a task writes to: what was given, else ``dataml_branch`` of the run's configuration."""
    conf = getattr(context["dag_run"], "conf", None) or {}
    return given or conf.get("dataml_branch") or None


def refuse_branch(context: Context, what: str) -> None:
    """Refuse, in a run on a branch, what would be everybody's.

    :raises SpecError: the run's configuration has a ``dataml_branch``.
    """
    if branch := branch_of(context, None):
        msg = f"{what} would be everybody's, for models have no branches, and this run is on branch {branch!r}: merge the branch and run this without dataml_branch."
        raise SpecError(msg)


def view_of(asset: Asset) -> Relation:
    """Return the view readers query for a managed dataset."""
    table = facts_of(asset).get("table")
    if not table:
        msg = f"asset {asset.name!r} is not a managed dataset: declare it with dataset({asset.name!r}, table=...)."
        raise SpecError(msg)
    return Relation.parse(table)


def ref_of(asset: Asset | str) -> str:
    """Return an asset as a version reference; a string is one already."""
    return asset if isinstance(asset, str) else asset.name


def staged_for(asset: Asset, value: Any) -> StagedPart:
    """Return what a stage task handed over, or refuse what was staged for another dataset."""
    staged = StagedPart.from_dict(value)
    if staged.asset != asset.name:
        msg = f"a part of {staged.asset!r} was handed over as one of {asset.name!r}: pass the output of its own stage task."
        raise SpecError(msg)
    return staged


def event_facts(ref: str, **facts: Any) -> dict[str, Any]:
    """Return what an asset event carries: enough to follow it into the ledger."""
    return {"dataml": {"version": ref} | {k: v for k, v in facts.items() if v is not None}}
