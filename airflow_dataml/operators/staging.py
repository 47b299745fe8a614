"""What every operator that stages rows shares, and those that take rows from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_dataml.core.datasets import WRITE_MODES
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Arrow, MergeSpec
from airflow_dataml.operators.base import (
    DataMLOperator,
    branch_of,
    layout_of,
    location_of,
    register,
    store_of,
)
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.far import tables_of
from airflow_dataml.steps.ingest import Target, stage_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, WriteMode
    from airflow_dataml.core.stores import Source


class StagingOperator(DataMLOperator):
    """Base of the operators whose rows land in a part that no reader sees; not used alone.

    :param dataset: the managed dataset, from ``dataset(...)``.
    :param mode: what publishing the part will do: ``append``, ``replace``, ``partition`` (replace the
        batch of the same partition key; the default), or ``merge`` (insert, update and delete by key;
        every part that holds a touched key is written anew, so its cost grows with those parts).
    :param keys: columns a merge matches rows by; the layout's keys unless given.
    :param delete_flag: boolean column of the batch that asks a merge to delete the row; not kept.
    :param partition_key: the batch; the run's own partition key unless given. Templated.
    :param branch: write for a branch instead of for everybody; ``dataml_branch`` of the run's
        configuration unless given. Templated.
    """

    def __init__(
        self,
        *,
        dataset: Asset,
        mode: WriteMode = "partition",
        keys: Sequence[str] = (),
        delete_flag: str | None = None,
        partition_key: str | None = None,
        branch: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.mode = mode
        self.keys = keys
        self.delete_flag = delete_flag
        self.partition_key = partition_key
        self.branch = branch

    def declares(self) -> Declared:
        """Return that rows come in, from where nobody says."""
        return Declared(kind="INGESTION", subject=self.dataset, hands_over=True)

    def target(self, ledger: PostgresLedger, context: Context) -> Target:
        """Return what this task writes for.

        :raises SpecError: the mode is unknown, or a merge has no keys.
        """
        if self.mode not in WRITE_MODES:
            msg = f"mode {self.mode!r} is unknown: write one of {', '.join(WRITE_MODES)}."
            raise SpecError(msg)
        layout = layout_of(ledger, self.dataset)
        keys = tuple(self.keys) or layout.keys
        if self.mode == "merge" and not keys:
            msg = f"task {self.task_id!r} merges into {self.dataset.name!r} and no keys are given: write keys=[...], or layout={{'keys': [...]}} at the dataset."
            raise SpecError(msg)
        return Target(
            asset=self.dataset.name,
            mode=self.mode,
            layout=layout,
            partition_key=self.partition_key_of(context, self.partition_key),
            merge=MergeSpec(keys, self.delete_flag) if self.mode == "merge" else None,
            location=location_of(self.dataset),
            branch=branch_of(context, self.branch),
        )

    def stage(self, context: Context, source: Source, *, origin: str, **what: Any) -> StagedPart:
        """Stage rows that no file's stamp tells apart: a retry adopts them, a cleared task reads anew."""
        identity = self.identity(context)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            return stage_source(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=identity,
                target=self.target(ledger, context),
                source=source,
                digest=digest_of(origin=origin, asked=identity.max_tries, **what),
                origin=origin,
            )


class DatasetLoadOperator(StagingOperator):
    """Stage the rows of a query on any other connection; one batch of them is in memory at a time.

    :param conn_id: connection of a system that Airflow has a common-sql hook for. Templated.
    :param sql: a SELECT in that system's SQL, or a ``.sql`` file. Templated.
    :param columns: PostgreSQL types of columns by name, where the driver does not tell or tells too little.

    The other parameters are those of ``StagingOperator``.
    """

    template_fields: Sequence[str] = ("conn_id", "sql", "partition_key", "branch")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow reads a plain class attribute

    def __init__(
        self, *, conn_id: str, sql: str, columns: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.sql = sql
        self.columns = columns

    def declares(self) -> Declared:
        """Return the tables that the query names."""
        tables = tables_of(self.conn_id, self.sql)
        return Declared(kind="INGESTION", inputs=tables, subject=self.dataset, sql=self.sql, hands_over=True)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the query there, and return the staged part."""
        from airflow_dataml.hooks.rows import rows_of

        self.link(context, self.dataset.name)
        with rows_of(BaseHook.get_hook(self.conn_id), self.sql, columns=self.columns) as rows:
            origin = f"connection {self.conn_id!r}"
            staged = self.stage(context, rows, origin=origin, sql=self.sql, columns=self.columns)
        return replace(staged, origins=tuple(one.name for one in tables_of(self.conn_id, self.sql))).to_dict()


def arrow_source(value: Any) -> Arrow:
    """Return a source of rows from anything that speaks Arrow's stream protocol.

    :param value: a ``pyarrow.Table`` or reader, or a dataframe of pandas, polars, duckdb ...
    :raises SpecError: it does not speak Arrow.
    """
    from airflow_dataml.core.extras import load

    pyarrow = load("pyarrow", extra="delta")
    if not hasattr(value, "__arrow_c_stream__"):
        msg = f"rows were given as {type(value).__name__}, which does not speak Arrow: return an Arrow table, an Arrow reader or a dataframe."
        raise SpecError(msg)
    return Arrow(pyarrow.RecordBatchReader.from_stream(value))
