"""The pieces of a contract around its checks: columns, variables and the document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from airflow_dataml.core.contract_extension import EXTENSION, Extension
from airflow_dataml.core.contract_rules import Level, Part, Sql, Validity

if TYPE_CHECKING:
    from airflow_dataml.core.contract_checks import Check


class Variable(Part):
    """A value the caller may give, used in the contract as ``${var.name}``."""

    type: Literal["string", "number"] | None = None
    required: bool | None = None
    default: str | int | float | None = None
    description: str | None = None


class ContractColumn(Validity):
    """A column a contract expects, and what counts as missing and valid in it.

    :param data_type: PostgreSQL type; compared by the schema check alone.
    :param column_expression: SQL that the column's checks read instead of the column.
    """

    name: Sql
    description: str | None = None
    data_type: Sql | None = None
    character_maximum_length: int | None = None
    numeric_precision: int | None = None
    numeric_scale: int | None = None
    datetime_precision: int | None = None
    column_expression: Sql | None = None
    checks: list[Any] = Field(default_factory=list, min_length=1, repr=False)


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """One check of a contract, with the name it keeps over every run.

    :param id: ``columns.<column>.checks.<type>[.<qualifier>]``, as Soda writes paths.
    """

    id: str
    type: str
    column: str | None
    body: Check

    @property
    def name(self) -> str:
        """What the author calls the check, or else what it measures."""
        return self.body.name or self.body.measures(self.column)

    @property
    def expected(self) -> str:
        """What the measured value must be, in words."""
        return self.body.expects()

    @property
    def level(self) -> Level:
        """How serious a miss is."""
        return self.body.level


class Document(Part):
    """The root of a contract, its columns and checks still as written."""

    dataset: str
    description: str | None = None
    filter: Sql | None = None
    variables: dict[str, Variable | None] = Field(default_factory=dict)
    check_attributes: dict[str, Any] = Field(default_factory=dict)
    columns: list[Any]
    checks: list[Any] = Field(default_factory=list)
    extension: Extension = Field(default_factory=Extension, alias=EXTENSION)

    @field_validator("dataset")
    @classmethod
    def _names_a_table(cls, value: str) -> str:
        if len(value.split("/")) < 2 or not all(value.split("/")):
            msg = "must name a data source and a table: <data source>/<database>/<schema>/<table>"
            raise ValueError(msg)
        return value
