"""The rules of Soda's contract language: what a measured number and a single value must be."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

VARIABLE = re.compile(r"\$\{ *([a-z]+)\.([a-zA-Z_][a-zA-Z_0-9]*) *\}")
Level = Literal["fail", "warn"]
COMPARISONS = {
    "must_be": "= {}",
    "must_not_be": "!= {}",
    "must_be_greater_than": "> {}",
    "must_be_greater_than_or_equal": ">= {}",
    "must_be_less_than": "< {}",
    "must_be_less_than_or_equal": "<= {}",
}
_BOUNDS = {
    "greater_than": "> {}",
    "greater_than_or_equal": ">= {}",
    "less_than": "< {}",
    "less_than_or_equal": "<= {}",
}


def _number(value: object) -> object:
    if isinstance(value, str) and VARIABLE.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = "must be a number or a ${var.name}"
        raise ValueError(msg)
    return value


def _scalar(value: object) -> object:
    if value is None or not isinstance(value, str | int | float | date):
        msg = "must be a text, a number, true, false or a date; a null is 'missing', not a value"
        raise ValueError(msg)
    return value


Number: TypeAlias = Annotated[Any, BeforeValidator(_number)]
Values: TypeAlias = Annotated[list[Annotated[Any, BeforeValidator(_scalar)]], Field(min_length=1)]
Sql: TypeAlias = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A piece of a contract: frozen, and no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class Range(Part):
    """Two bounds: one from below, one from above."""

    greater_than: Number = None
    greater_than_or_equal: Number = None
    less_than: Number = None
    less_than_or_equal: Number = None

    @model_validator(mode="after")
    def _has_two_bounds(self) -> Self:
        below, above = ("greater_than", "greater_than_or_equal"), ("less_than", "less_than_or_equal")
        if any(
            len([name for name in pair if getattr(self, name) is not None]) != 1 for pair in (below, above)
        ):
            msg = f"needs exactly one of {', '.join(below)} and one of {', '.join(above)}"
            raise ValueError(msg)
        return self

    @property
    def bounds(self) -> tuple[Any, Any]:
        """The bound from below and the bound from above."""
        low = self.greater_than if self.greater_than is not None else self.greater_than_or_equal
        return low, self.less_than if self.less_than is not None else self.less_than_or_equal

    def describe(self, joint: str) -> str:
        """Write the range as words."""
        return joint.join(
            text.format(getattr(self, name))
            for name, text in _BOUNDS.items()
            if getattr(self, name) is not None
        )


class Comparison(Part):
    """What a measured value is compared with, and how serious a miss is."""

    must_be: Number = None
    must_not_be: Number = None
    must_be_greater_than: Number = None
    must_be_greater_than_or_equal: Number = None
    must_be_less_than: Number = None
    must_be_less_than_or_equal: Number = None
    must_be_between: Range | None = None
    must_be_not_between: Range | None = None
    level: Level = "fail"

    @property
    def comparisons(self) -> tuple[str, ...]:
        """The comparison keys that are set."""
        names = (*COMPARISONS, "must_be_between", "must_be_not_between")
        return tuple(name for name in names if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _compares_once(self) -> Self:
        if len(self.comparisons) > 1:
            msg = f"holds {len(self.comparisons)} comparisons ({', '.join(self.comparisons)}); write exactly one"
            raise ValueError(msg)
        for name, wrong in (("must_be_between", 1), ("must_be_not_between", -1)):
            given = getattr(self, name)
            low, high = given.bounds if given is not None else ("", "")
            if not isinstance(low, str) and not isinstance(high, str) and (low - high) * wrong >= 0:
                relation = "below" if wrong == 1 else "above"
                msg = (
                    f"{name}: the greater_than bound ({low}) must lie {relation} the less_than bound ({high})"
                )
                raise ValueError(msg)
        return self

    def describe(self) -> str:
        """Write the comparison as words, empty where there is none.

        >>> Comparison(must_be_between=Range(greater_than=900, less_than=1200)).describe()
        '> 900 and < 1200'
        """
        for name, text in COMPARISONS.items():
            if getattr(self, name) is not None:
                return text.format(getattr(self, name))
        if self.must_be_between is not None:
            return self.must_be_between.describe(" and ")
        return self.must_be_not_between.describe(" or ") if self.must_be_not_between is not None else ""


class Threshold(Comparison):
    """The comparison of a check, and perhaps a second one of the other level."""

    additional: Comparison | None = None

    @model_validator(mode="after")
    def _second_differs(self) -> Self:
        if self.additional is None:
            return self
        if not self.comparisons or not self.additional.comparisons:
            msg = "a threshold with 'additional' needs one comparison itself and one inside 'additional'"
            raise ValueError(msg)
        if self.level == self.additional.level:
            msg = f"the threshold and its 'additional' are both of level {self.level!r}; make one of them 'warn'"
            raise ValueError(msg)
        return self


class CountThreshold(Threshold):
    """A threshold on a count or a percentage of rows."""

    metric: Literal["count", "percent"] = "count"


class FreshnessThreshold(Threshold):
    """A threshold on an age."""

    unit: Literal["minute", "hour", "day"] = "hour"


class Format(Part):
    """A named regular expression, in the database's own flavour."""

    regex: Sql
    name: Sql


class ReferenceData(Part):
    """The column of another dataset that holds every valid value."""

    dataset: Sql
    column: Sql


class Missing(Part):
    """What counts as missing, besides NULL."""

    missing_values: Values | None = None
    missing_format: Format | None = None


class Validity(Missing):
    """What counts as valid; a missing value is neither valid nor invalid."""

    valid_values: Values | None = None
    invalid_values: Values | None = None
    valid_format: Format | None = None
    invalid_format: Format | None = None
    valid_min: Number = None
    valid_max: Number = None
    valid_length: int | None = None
    valid_min_length: int | None = None
    valid_max_length: int | None = None
    valid_reference_data: ReferenceData | None = None

    @property
    def defines_validity(self) -> bool:
        """Whether any key says what is valid."""
        own = set(Validity.model_fields) - set(Missing.model_fields)
        return any(getattr(self, name) is not None for name in own)

    @property
    def defines_missing(self) -> bool:
        """Whether any key says what is missing."""
        return self.missing_values is not None or self.missing_format is not None
