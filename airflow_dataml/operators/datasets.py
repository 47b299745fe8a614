"""Operators that stage, transform and publish datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import WRITE_MODES, Column
from airflow_dataml.core.errors import ContractError, SpecError
from airflow_dataml.operators.base import DataMLOperator, event_facts, ref_of, register, staged_for, view_of
from airflow_dataml.steps.ingest import Target, stage_csv, stage_query
from airflow_dataml.steps.publish import publish_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.core.datasets import WriteMode


class DatasetStageOperator(DataMLOperator):
    """Stage a CSV file: its rows land in a part that no reader sees.

    :param dataset: the managed dataset, from ``dataset(...)``.
    :param path: CSV file with a header line, on this worker's file system. Templated.
    :param contract: Soda contract file whose columns give the names and types. Templated.
    :param mode: what publishing the part will do: ``append``, ``replace``, or ``partition`` (replace
        the batch of the same partition key; the default).
    :param partition_key: the batch; the run's own partition key unless given. Templated.
    """

    template_fields: Sequence[str] = ("path", "contract", "partition_key")

    def __init__(
        self,
        *,
        dataset: Asset,
        path: str,
        contract: str,
        mode: WriteMode = "partition",
        partition_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.path = path
        self.contract = contract
        self.mode = mode
        self.partition_key = partition_key

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the file and return the staged part."""
        self.link(context, self.dataset.name)
        columns = _columns(Contract.from_file(self.contract))
        target = _target(self, context)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            staged = stage_csv(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                target=target,
                path=Path(self.path),
                columns=columns,
            )
        return staged.to_dict()


class DatasetTransformOperator(DataMLOperator):
    """Stage the result of a SQL query over exact versions of managed datasets.

    :param dataset: the dataset the query makes.
    :param sql: a SELECT, or a ``.sql`` file. Each input's name, unqualified, stands for one exact
        version, so the result's lineage is exact. Templated.
    :param inputs: datasets the query reads; a mapping gives them other names in the query, and a
        string ``name@number`` pins a version.
    :param parameters: values for ``%(name)s`` in the query, bound by the driver; ``partition_key`` is
        always there. Templated.
    :param mode: as for ``DatasetStageOperator``.
    :param partition_key: as for ``DatasetStageOperator``. Templated.
    """

    template_fields: Sequence[str] = ("sql", "parameters", "partition_key")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow reads a plain class attribute

    def __init__(
        self,
        *,
        dataset: Asset,
        sql: str,
        inputs: Sequence[Asset | str] | Mapping[str, Asset | str],
        parameters: Mapping[str, Any] | None = None,
        mode: WriteMode = "partition",
        partition_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.sql = sql
        self.inputs = inputs
        self.parameters = parameters
        self.mode = mode
        self.partition_key = partition_key

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the query into a staged part and return it."""
        self.link(context, self.dataset.name)
        target = _target(self, context)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            staged = stage_query(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                target=target,
                query=self.sql,
                inputs=_inputs(self.inputs),
                parameters={"partition_key": target.partition_key, **(self.parameters or {})},
            )
        return staged.to_dict()


class DatasetPublishOperator(DataMLOperator):
    """Publish a staged part: view, version, lineage and audit move in one transaction.

    The asset event carries the version. Fails closed: a part that no passed check speaks for is refused.

    :param dataset: the dataset; it becomes an outlet of the task.
    :param staged: what the stage task returned. Templated.
    :param require_check: whether a passed quality check is required; turn it off only for data no
        contract exists for.
    """

    template_fields: Sequence[str] = ("staged",)

    def __init__(self, *, dataset: Asset, staged: Any, require_check: bool = True, **kwargs: Any) -> None:
        super().__init__(outlets=[dataset, *kwargs.pop("outlets", [])], **kwargs)
        self.dataset = dataset
        self.staged = staged
        self.require_check = require_check

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish and return the version."""
        self.link(context, self.dataset.name)
        with self.ledger() as ledger:
            version = publish_part(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                staged=staged_for(self.dataset, self.staged),
                view=view_of(self.dataset),
                require_check=self.require_check,
            )
        self.link(context, version.asset, version=version.number)
        context["outlet_events"][self.dataset].extra = event_facts(
            version.ref,
            rows=version.rows,
            fingerprint=version.fingerprint,
            partition_key=version.partition_key,
        )
        return {"version": version.ref, "rows": version.rows, "fingerprint": version.fingerprint}


def _target(operator: DatasetStageOperator | DatasetTransformOperator, context: Context) -> Target:
    if operator.mode not in WRITE_MODES:
        msg = f"mode {operator.mode!r} is unknown: write one of {', '.join(WRITE_MODES)}."
        raise SpecError(msg)
    key = operator.partition_key_of(context, operator.partition_key)
    return Target(operator.dataset.name, operator.mode, key)


def _inputs(inputs: Sequence[Asset | str] | Mapping[str, Asset | str]) -> dict[str, str]:
    if isinstance(inputs, dict):
        return {name: ref_of(asset) for name, asset in inputs.items()}
    refs = [ref_of(asset) for asset in inputs]
    return {ref.partition("@")[0]: ref for ref in refs}


def _columns(contract: Contract) -> list[Column]:
    columns = [Column(c.name, c.data_type or "") for c in contract.columns]
    if untyped := [c.name for c in columns if not c.type]:
        msg = (
            f"{contract.source}: columns {', '.join(untyped)} have no data_type, which staging a file needs."
        )
        raise ContractError(msg)
    return columns
