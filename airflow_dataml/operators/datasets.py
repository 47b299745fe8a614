"""Operators that stage, transform and publish datasets."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.sqlglot import parser_if_installed
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import ContractError
from airflow_dataml.core.facets import assertions
from airflow_dataml.core.facets_naming import LineageName
from airflow_dataml.operators.base import DataMLOperator, place_for, ref_of, register, staged_for, store_of
from airflow_dataml.operators.facets import Declared, file_fact
from airflow_dataml.operators.staging import StagingOperator
from airflow_dataml.steps.ingest import stage_csv, stage_parquet, stage_query
from airflow_dataml.steps.publish import publish_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.core.facets import DatasetFact


class DatasetStageOperator(StagingOperator):
    """Stage a file: its rows land in a part that no reader sees.

    :param path: CSV file with a header line, or a Parquet file (``.parquet``, extra ``delta``), on this
        worker's file system. Templated.
    :param contract: Soda contract file whose columns give the names and types. Templated.

    The other parameters are those of ``StagingOperator``.
    """

    template_fields: Sequence[str] = ("path", "contract", "partition_key", "branch")

    def __init__(self, *, path: str, contract: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.contract = contract

    def declares(self) -> Declared:
        """Return the file."""
        return Declared(kind="INGESTION", inputs=[self._file()], subject=self.dataset, hands_over=True)

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the file and return the staged part."""
        self.link(context, self.dataset.name)
        columns = _columns(Contract.from_file(self.contract))
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            stage = stage_parquet if Path(self.path).suffix == ".parquet" else stage_csv
            staged = stage(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                target=self.target(ledger, context),
                path=Path(self.path),
                columns=columns,
            )
        return replace(staged, origins=(self._file().name,)).to_dict()

    def _file(self) -> DatasetFact:
        return file_fact(os.path.abspath(self.path))


class DatasetTransformOperator(StagingOperator):
    """Stage the result of a SQL query over exact versions of managed datasets.

    :param sql: a SELECT, or a ``.sql`` file. Each input's name, unqualified, stands for one exact
        version, so the result's lineage is exact. Templated.
    :param inputs: datasets the query reads; a mapping gives them other names in the query, and a string
        pins a version: ``name@number``, ``name@alias`` or ``name@time``.
    :param parameters: values for ``%(name)s`` in the query, bound by the driver; ``partition_key`` is
        always there. Templated.

    The other parameters are those of ``StagingOperator``.
    """

    template_fields: Sequence[str] = ("sql", "parameters", "partition_key", "branch")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow reads a plain class attribute

    def __init__(
        self,
        *,
        sql: str,
        inputs: Sequence[Asset | str] | Mapping[str, Asset | str],
        parameters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.inputs = inputs
        self.parameters = parameters

    def declares(self) -> Declared:
        """Return the datasets that the query reads."""
        inputs = list(self.inputs.values() if isinstance(self.inputs, dict) else self.inputs)
        sql = self.sql if isinstance(self.sql, str) else None
        return Declared(kind="TRANSFORMATION", inputs=inputs, subject=self.dataset, sql=sql, hands_over=True)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the query into a staged part and return it."""
        self.link(context, self.dataset.name)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            target = self.target(ledger, context)
            staged = stage_query(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                target=target,
                query=self.sql,
                inputs=_inputs(self.inputs),
                parameters={"partition_key": target.partition_key, **(self.parameters or {})},
                parser=parser_if_installed(),
            )
            self.tell(ledger, read=staged.inputs)
        return staged.to_dict()


class DatasetPublishOperator(DataMLOperator):
    """Publish a staged part: view, version, lineage and audit move in one transaction.

    The asset event carries the version. Fails closed: a part that no passed check speaks for is refused.

    :param dataset: the dataset; it becomes an outlet of the task.
    :param staged: what the stage task returned. Templated.
    :param require_check: whether a passed quality check is required; turn it off only for data no
        contract exists for.
    :param allow_breaking: publish though columns readers know are gone or of another type. Without it,
        such a batch is refused and the refusal names who reads the dataset.
    """

    template_fields: Sequence[str] = ("staged",)

    def __init__(
        self,
        *,
        dataset: Asset,
        staged: Any,
        require_check: bool = True,
        allow_breaking: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=[dataset, *kwargs.pop("outlets", [])], **kwargs)
        self.dataset = dataset
        self.staged = staged
        self.require_check = require_check
        self.allow_breaking = allow_breaking

    def declares(self) -> Declared:
        """Return the dataset, and the files its rows came from."""
        handed = self.staged if isinstance(self.staged, dict) else {}
        files = [file_fact(LineageName(*origin)) for origin in handed.get("origins", ())]
        outputs = [] if handed.get("branch") else [self.dataset]
        return Declared(kind="PUBLICATION", inputs=files, outputs=outputs, subject=self.dataset)

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish and return the version."""
        self.link(context, self.dataset.name)
        staged = staged_for(self.dataset, self.staged)
        with self.ledger() as ledger:
            version = publish_part(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                staged=staged,
                place=place_for(ledger, self.dataset, branch=staged.branch),
                require_check=self.require_check,
                allow_breaking=self.allow_breaking,
            )
            part_id = version.facts.get("part_id", staged.part_id)
            report = ledger.reports.latest(asset=staged.asset, kind="check", part_id=part_id)
            body = report.body if report else {}
            checks, masked = assertions(body), body.get("mask", ())
            self.tell(ledger, read=staged.inputs, wrote=[version], checks=checks, masked=masked)
        self.announce(context, self.dataset, version, branch=staged.branch, report=report)
        return {"version": version.ref, "rows": version.rows, "fingerprint": version.fingerprint}


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
