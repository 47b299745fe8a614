"""What every operator of ours shares: identity, ledger, retry policy, link."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from pydantic import BaseModel, ValidationError

from airflow_dataml import config
from airflow_dataml.assets import facts_of
from airflow_dataml.core.datasets import StagedPart
from airflow_dataml.core.errors import PolicyError, SpecError
from airflow_dataml.core.refs import Relation, TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.links import LINK_KEY, LedgerLink, asset_path
from airflow_dataml.retries import RETRY_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


Authored = TypeVar("Authored", bound=BaseModel)


class DataMLOperator(BaseOperator):
    """Base of the operators; not used alone.

    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    operator_extra_links = (LedgerLink(),)

    def __init__(self, *, dataml_conn_id: str | None = None, **kwargs: Any) -> None:
        if "retry_policy" not in (kwargs.get("default_args") or {}):
            kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.dataml_conn_id = dataml_conn_id
        self._open: PostgresLedger | None = None

    @contextmanager
    def ledger(self) -> Iterator[PostgresLedger]:
        """Open the ledger for the length of a block."""
        ledger = DataMLHook(self.dataml_conn_id or config.conn_id()).ledger()
        self._open = ledger
        with ledger:
            yield ledger
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


def register(ledger: PostgresLedger, asset: Asset) -> None:
    """Enter an asset of ours into the catalog, or refresh its entry."""
    facts = facts_of(asset)
    if "kind" not in facts:
        msg = f"asset {asset.name!r} was not made by airflow_dataml: declare it with dataset(...) or model(...)."
        raise SpecError(msg)
    ledger.assets.register(
        name=asset.name,
        kind=facts["kind"],
        uri=asset.uri,
        owner=facts.get("owner"),
        description=facts.get("description"),
        importance=facts.get("importance"),
        tags=facts.get("tags", ()),
        location={"table": facts["table"]} if "table" in facts else {},
    )


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
