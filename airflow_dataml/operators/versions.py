"""Operators that move between versions, and that write down those of tables somebody else writes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.assets import facts_of
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import Relation
from airflow_dataml.naming import Names, ledger_database
from airflow_dataml.operators.base import DataMLOperator, branch_of, place_for, register, store_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.rollback import roll_back
from airflow_dataml.steps.snapshot import Observed, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.steps.rollback import RolledBack


class DatasetRollbackOperator(DataMLOperator):
    """Make readers see an earlier version again: pointer, view and audit move in one transaction, no row does.

    The asset event carries the version. Where readers see that version already, nothing moves.

    :param dataset: the dataset; it becomes an outlet of the task.
    :param to: ``name@number``, ``name@time``, or ``previous``: the version that led to the one readers see.
        A retry of ``previous`` does not go back once more. Templated.
    :param reason: why; kept in the audit chain and with the decision. Templated.
    :param branch: roll back on a branch; ``dataml_branch`` of the run's configuration unless given. Templated.
    """

    template_fields: Sequence[str] = ("to", "reason", "branch")

    def __init__(
        self, *, dataset: Asset, reason: str, to: str = "previous", branch: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(outlets=[dataset, *kwargs.pop("outlets", [])], **kwargs)
        self.dataset = dataset
        self.reason = reason
        self.to = to
        self.branch = branch

    def declares(self) -> Declared:
        """Return the dataset."""
        return Declared(kind="RESTORATION", outputs=[self.dataset], subject=self.dataset)

    def execute(self, context: Context) -> dict[str, Any]:
        """Roll back and return the version readers see."""
        self.link(context, self.dataset.name)
        branch = branch_of(context, self.branch)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            found = roll_back(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                place=place_for(ledger, self.dataset, branch=branch),
                to=self.to,
                reason=self.reason,
            )
            self.tell(ledger, wrote=[found.version], change="OVERWRITE", decision=self._decision(found))
        self.announce(context, self.dataset, found.version, branch=branch)
        return found.to_dict()

    def _decision(self, found: RolledBack) -> dict[str, Any]:
        said = {"action": "roll_back", "reasons": [self.reason], "version": found.version.ref}
        return said | {"asset": self.dataset.name}


class DatasetSnapshotOperator(DataMLOperator):
    """Write down what a table is that somebody else writes: fingerprint, schema, profile and freshness.

    Reads the whole table two or three times. Unchanged since the last version, there is no new one, and
    the task is skipped so that nothing that waits for the dataset is started.

    :param dataset: the table, from ``external(...)``; it becomes an outlet of the task.
    :param freshness_column: column whose latest value says how fresh the table is.
    :param copy: keep the rows as well, so that versions can be read and compared row by row; costs their size.
    :param always: write a version even of an unchanged table.
    :param skip_unchanged: skip the task when there is no new version; else it succeeds, and its asset event
        names the version that was known.
    :param conn_id: connection of the system the table is in; the ledger's own database unless given. Its
        rows are streamed into a temporary table there.
    :param sql: what to read instead of the whole table, in that system's SQL; goes with ``conn_id``. Templated.
    :param columns: PostgreSQL types of columns by name, where the driver of ``conn_id`` does not tell.
    """

    template_fields: Sequence[str] = ("sql",)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow reads a plain class attribute

    def __init__(
        self,
        *,
        dataset: Asset,
        freshness_column: str | None = None,
        copy: bool = False,
        always: bool = False,
        skip_unchanged: bool = True,
        conn_id: str | None = None,
        sql: str | None = None,
        columns: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=[dataset, *kwargs.pop("outlets", [])], **kwargs)
        self.dataset = dataset
        self.freshness_column = freshness_column
        self.copy_rows = copy
        self.always = always
        self.skip_unchanged = skip_unchanged
        self.conn_id = conn_id
        self.sql = sql
        self.columns = columns

    def declares(self) -> Declared:
        """Return the table that is looked at."""
        return Declared(kind="OBSERVATION", inputs=[self.dataset], subject=self.dataset, sql=self.sql)

    def _names(self, declared: Declared) -> Names:
        """The table's own database, which is not the ledger's where ``conn_id`` says so."""
        if self.conn_id is None:
            return super()._names(declared)
        return Names(ledger_database(self.conn_id))

    def execute(self, context: Context) -> dict[str, Any]:
        """Observe and return the version the table is."""
        from airflow_dataml.adapters.postgres.observing import PostgresTableObserver

        self.link(context, self.dataset.name)
        table = self._table()
        with self.ledger() as ledger, ExitStack() as stack:
            register(ledger, self.dataset)
            found = take_snapshot(
                ledger=ledger,
                store=ledger.store,
                observer=PostgresTableObserver(ledger.connection, ledger.warehouse),
                identity=self.identity(context),
                observed=Observed(
                    asset=self.dataset.name,
                    source=str(table),
                    rows=self._rows(stack, table),
                    freshness=self.freshness_column,
                    copy=self.copy_rows,
                    always=self.always,
                ),
            )
            self.tell(ledger, read=[found.version])
        self.announce(context, self.dataset, found.version)
        if not found.new and self.skip_unchanged:
            msg = f"{table} is what {found.version.ref} says; there is no new version."
            raise AirflowSkipException(msg)
        return found.to_dict()

    def _table(self) -> Relation:
        facts = facts_of(self.dataset)
        if facts.get("kind") != "external":
            msg = f"asset {self.dataset.name!r} is not an external table: declare it with external({self.dataset.name!r}, table=...)."
            raise SpecError(msg)
        if self.conn_id is None and (self.sql or self.columns):
            msg = f"task {self.task_id!r} has sql or columns and no conn_id: they describe rows of another system. Name a view here instead."
            raise SpecError(msg)
        return Relation.parse(facts["table"])

    def _rows(self, stack: ExitStack, table: Relation) -> Any:
        if self.conn_id is None:
            return None
        from airflow_dataml.hooks.rows import rows_of

        hook = BaseHook.get_hook(self.conn_id)
        query = self.sql or f"SELECT * FROM {table.quoted}"
        return stack.enter_context(rows_of(hook, query, columns=self.columns))
