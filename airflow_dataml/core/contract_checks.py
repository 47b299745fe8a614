"""The checks of Soda's contract language, as values; one class per check type.

The keys are those that soda-core 4.28 reads *and honours* without its closed extensions. A key that it
would read and ignore (a ``filter`` under ``metric``, a ``threshold`` under ``schema``) is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from airflow_dataml.core.contract_rules import (
    CountThreshold,
    FreshnessThreshold,
    Level,
    Missing,
    Part,
    Sql,
    Threshold,
    Validity,
)


class Check(Part):
    """What every check may say.

    :param name: what people call the check; shown in reports.
    :param qualifier: tells two checks of one type on one column apart.
    """

    type: ClassVar[str]
    default: ClassVar[str] = ""
    name: Sql | None = None
    qualifier: str | int | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)

    @property
    def thresholds(self) -> Threshold | None:
        """The threshold as written, if the type has one."""
        return getattr(self, "threshold", None)

    @property
    def unit(self) -> str:
        """Unit of the measured value, empty for plain numbers."""
        return ""

    @property
    def level(self) -> Level:
        """How serious a miss of the first comparison is."""
        return self.thresholds.level if self.thresholds is not None else "fail"

    def measures(self, column: str | None) -> str:
        """Name what is measured."""
        return f"{self.type}({column})" if column else self.type

    def expects(self) -> str:
        """Say what the measured value must be."""
        given = self.thresholds
        text = f"{self._compares()} {self.unit}".rstrip()
        if given is None or given.additional is None:
            return text
        return (
            f"{text} ({given.level}), {given.additional.describe()} {self.unit}".rstrip()
            + f" ({given.additional.level})"
        )

    def _compares(self) -> str:
        return (self.thresholds.describe() if self.thresholds is not None else "") or self.default

    @model_validator(mode="after")
    def _has_a_comparison(self) -> Self:
        if "threshold" in type(self).model_fields and not self._compares():
            msg = "needs a threshold with one comparison, such as 'threshold: {must_be_greater_than: 0}'"
            raise ValueError(msg)
        return self


class OwnSql(Check):
    """A check whose measure the contract writes itself."""

    expression: Sql | None = None
    query: Sql | None = None

    def measures(self, column: str | None) -> str:
        """Name the qualifier, or else begin to quote the SQL."""
        sql = " ".join((self.expression or self.query or getattr(self, "keys_query", None) or "").split())
        return f"{self.type}({self.qualifier or (sql if len(sql) <= 60 else f'{sql[:57]}...')})"


class RowFilter(Part):
    """A condition on the rows a check looks at.

    :param filter: SQL of the condition.
    :param store_failed_rows: read by Soda Cloud alone.
    """

    filter: Sql | None = None
    store_failed_rows: bool = False


class _Counting(Check):
    threshold: CountThreshold | None = None

    @property
    def unit(self) -> str:
        return "%" if self.threshold is not None and self.threshold.metric == "percent" else ""


class MissingCheck(Missing, RowFilter, _Counting):
    """How many values are missing."""

    type: ClassVar[str] = "missing"
    default: ClassVar[str] = "= 0"
    column_expression: Sql | None = None


class InvalidCheck(Validity, RowFilter, _Counting):
    """How many values are there but not valid."""

    type: ClassVar[str] = "invalid"
    default: ClassVar[str] = "= 0"
    column_expression: Sql | None = None


class ColumnDuplicateCheck(Missing, RowFilter, _Counting):
    """How many values of a column repeat another."""

    type: ClassVar[str] = "duplicate"
    default: ClassVar[str] = "= 0"
    column_expression: Sql | None = None


class DuplicateCheck(RowFilter, _Counting):
    """How many rows repeat another in these columns together."""

    type: ClassVar[str] = "duplicate"
    default: ClassVar[str] = "= 0"
    columns: Annotated[list[Sql], Field(min_length=1)]

    def measures(self, column: str | None) -> str:
        """Name the columns that make a row."""
        return f"duplicate({', '.join(self.columns)})"


class RowCountCheck(RowFilter, Check):
    """How many rows there are."""

    type: ClassVar[str] = "row_count"
    default: ClassVar[str] = "> 0"
    threshold: Threshold | None = None


class SchemaCheck(Check):
    """Whether the columns are those of the contract, in name, type and order."""

    type: ClassVar[str] = "schema"
    default: ClassVar[str] = "as in the contract"
    allow_extra_columns: bool = False
    allow_other_column_order: bool = False


class AggregateCheck(Validity, RowFilter, Check):
    """An aggregate of a column's valid values."""

    type: ClassVar[str] = "aggregate"
    function: Literal["avg", "min", "max", "sum", "avg_length", "min_length", "max_length"]
    threshold: Threshold
    column_expression: Sql | None = None

    def measures(self, column: str | None) -> str:
        """Name the function and what it is applied to."""
        return f"{self.function}({column})"


class MetricCheck(OwnSql):
    """A number the contract computes itself."""

    type: ClassVar[str] = "metric"
    threshold: Threshold

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if (self.expression is None) == (self.query is None):
            msg = "needs exactly one of expression, query"
            raise ValueError(msg)
        return self


class FreshnessCheck(RowFilter, Check):
    """How old the newest row is."""

    type: ClassVar[str] = "freshness"
    column: Sql
    threshold: FreshnessThreshold
    column_expression: Sql | None = None
    now_variable: str | None = None

    @property
    def unit(self) -> str:
        """The threshold's unit, in the plural."""
        return f"{self.threshold.unit}s"

    def measures(self, column: str | None) -> str:
        """Name the column that holds the time."""
        return f"freshness({self.column})"


class FailedRowsCheck(RowFilter, OwnSql, _Counting):
    """How many rows meet a condition no row should meet."""

    type: ClassVar[str] = "failed_rows"
    default: ClassVar[str] = "= 0"
    keys_query: Sql | None = None
    rows_tested_query: Sql | None = None
    key_column_mapping: dict[str, str] | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        forms = [name for name in ("expression", "query", "keys_query") if getattr(self, name) is not None]
        if len(forms) != 1:
            msg = "needs exactly one of expression, query, keys_query"
            raise ValueError(msg)
        if forms == ["expression"] and (self.rows_tested_query or self.key_column_mapping):
            msg = "rows_tested_query and key_column_mapping go with query or keys_query, not with expression"
            raise ValueError(msg)
        if forms != ["expression"] and self.filter is not None:
            msg = "filter goes with expression; put the condition into the query"
            raise ValueError(msg)
        if forms != ["expression"] and self.unit == "%" and self.rows_tested_query is None:
            msg = "metric percent with a query needs rows_tested_query, the number of rows that 100 % means"
            raise ValueError(msg)
        return self


COLUMN_CHECKS: dict[str, type[Check]] = {
    model.type: model
    for model in (
        MissingCheck,
        InvalidCheck,
        ColumnDuplicateCheck,
        AggregateCheck,
        MetricCheck,
        FailedRowsCheck,
    )
}
DATASET_CHECKS: dict[str, type[Check]] = {
    model.type: model
    for model in (SchemaCheck, RowCountCheck, FreshnessCheck, DuplicateCheck, MetricCheck, FailedRowsCheck)
}
