"""Humility: what happens to a prediction that its model has little ground for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn, as_coded, as_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.features import Column

#: What the predictions say was done: ``abstain`` becomes ``previous`` where the earlier champion answered.
ACTIONS = ("note", "override", "previous", "abstain")


class HumilityRule(BaseModel):
    """A condition on one row, and what is done with its prediction.

    :param name: stands in the predictions beside each row the rule was applied to.
    :param feature: the row's value lies outside the range, or is none of the categories, of the training.
        A missing value does not.
    :param band: lowest and highest score that count as uncertain, both included.
    :param action: ``note`` keeps the score; ``override`` writes ``value``; ``abstain`` takes the score of the
        champion's previous version, or none where there is no such version.
    :param value: the score that ``override`` writes.

    >>> HumilityRule(name="too long", feature="km", action="override", value=0.5).condition
    'km outside of what was trained on'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63)
    feature: str | None = None
    band: tuple[float, float] | None = None
    action: Literal["note", "override", "abstain"] = "note"
    value: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.feature is None) == (self.band is None):
            msg = f"rule {self.name!r} needs either a feature or a band."
            raise ValueError(msg)
        if self.band is not None and not self.band[0] <= self.band[1]:
            msg = f"rule {self.name!r} has the band {self.band}, which no score lies in: give the lower end first."
            raise ValueError(msg)
        if (self.action == "override") != (self.value is not None):
            msg = f"rule {self.name!r} needs a value exactly if its action is override; it is {self.action}."
            raise ValueError(msg)
        return self

    @property
    def condition(self) -> str:
        """When the rule applies, in words."""
        if self.band is not None:
            return f"score within {self.band[0]:g} to {self.band[1]:g}"
        return f"{self.feature} outside of what was trained on"


def rules_from(given: str | Path | Sequence[HumilityRule | Mapping[str, Any]]) -> tuple[HumilityRule, ...]:
    """Read rules: as they are, as mappings, or from a YAML file with a list of them under ``humility``.

    >>> [rule.name for rule in rules_from([{"name": "unsure", "band": [0.4, 0.6]}])]
    ['unsure']

    :raises SpecError: something in them is not understood, or two have one name.
    """
    try:
        found = _in_file(Path(given)) if isinstance(given, str | Path) else given
        rules = tuple(HumilityRule.model_validate(one) for one in found)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"humility rule: {where + ': ' if where else ''}{first['msg']}"
        raise SpecError(msg) from err
    names = [rule.name for rule in rules]
    if len(set(names)) < len(names):
        msg = f"humility rules {names} need names of their own."
        raise SpecError(msg)
    return rules


def _in_file(path: Path) -> Sequence[Any]:
    import yaml

    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as err:
        msg = f"humility rules in {str(path)!r} cannot be read: {err}"
        raise SpecError(msg) from err
    rules = body.get("humility") if isinstance(body, dict) else None
    if not isinstance(rules, list):
        msg = f"{str(path)!r} has no list under 'humility'."
        raise SpecError(msg)
    return rules


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model met in training.

    :param ranges: lowest and highest value of numeric features.
    :param categories: of categorical features.
    """

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def require(self, rules: Sequence[HumilityRule]) -> None:
        """Refuse rules on features that nothing is known of.

        :raises SpecError: there is such a rule.
        """
        for name in (rule.feature for rule in rules if rule.feature is not None):
            if name not in self.ranges and name not in self.categories:
                known = [*self.ranges, *self.categories]
                what = "feature of the champion whose training values are known"
                raise SpecError(str(NotFoundError.from_available(what, name, known)))

    def outside(self, name: str, column: Column) -> Any:
        """Whether each value lies outside of what was seen; one that is missing does not."""
        np = load("numpy", extra="mlflow")
        if name in self.ranges:
            low, high = self.ranges[name]
            numbers = as_numbers(name, column)
            return (numbers < low) | (numbers > high)
        coded = as_coded(column)
        strange = np.array([*(value not in self.categories[name] for value in coded.values), False])
        return strange[coded.codes]


@dataclass(frozen=True, slots=True, eq=False)
class Humbled:
    """Predictions after the rules.

    :param scores: what stands; NaN where there is none.
    :param rules: which rule was applied to each row, if any.
    :param actions: what it did.
    """

    scores: Any
    rules: CodedColumn
    actions: CodedColumn


class Humility:
    """Applies rules to blocks of predictions and counts what they did; the first rule that fits a row wins.

    :param previous: scores of some of a block's rows by the champion's previous version, from the block's columns.
    :param asked_of: which version that is.
    """

    def __init__(
        self,
        rules: Sequence[HumilityRule],
        seen: Seen,
        *,
        previous: Callable[[dict[str, Any]], Any] | None = None,
        asked_of: str | None = None,
    ) -> None:
        seen.require(rules)
        self._rules, self._seen, self._previous = tuple(rules), seen, previous
        self.rows, self.asked_of = 0, asked_of
        self._counts = {rule.name: dict.fromkeys(ACTIONS, 0) for rule in rules}

    def apply(self, columns: Mapping[str, Any], scores: Any) -> Humbled:
        """Judge one block."""
        np = load("numpy", extra="mlflow")
        applied = np.full(len(scores), -1)
        done = np.full(len(scores), -1)
        result = scores.copy()
        for place, rule in enumerate(self._rules):
            rows = np.flatnonzero((applied < 0) & self._fits(rule, columns, scores))
            if not len(rows):
                continue
            applied[rows] = place
            action = self._act(rule, columns, rows, result)
            done[rows] = ACTIONS.index(action)
            self._counts[rule.name][action] += len(rows)
        self.rows += len(scores)
        names = tuple(rule.name for rule in self._rules)
        return Humbled(
            result, CodedColumn(codes=applied, values=names), CodedColumn(codes=done, values=ACTIONS)
        )

    def _fits(self, rule: HumilityRule, columns: Mapping[str, Any], scores: Any) -> Any:
        if rule.band is not None:
            return (scores >= rule.band[0]) & (scores <= rule.band[1])
        return self._seen.outside(str(rule.feature), columns[str(rule.feature)])

    def _act(self, rule: HumilityRule, columns: Mapping[str, Any], rows: Any, result: Any) -> str:
        if rule.action == "override":
            result[rows] = rule.value
        elif rule.action == "abstain":
            if self._previous is not None:
                result[rows] = self._previous({name: taken(column, rows) for name, column in columns.items()})
                return "previous"
            result[rows] = float("nan")
        return rule.action

    def summary(self) -> list[dict[str, Any]]:
        """How many rows each rule was applied to, and what was done with them."""
        return [
            {
                "rule": rule.name,
                "condition": rule.condition,
                "rows": sum(self._counts[rule.name].values()),
                "share": sum(self._counts[rule.name].values()) / self.rows if self.rows else 0.0,
                "actions": {action: n for action, n in self._counts[rule.name].items() if n},
            }
            for rule in self._rules
        ]


def taken(column: Any, rows: Any) -> Any:
    """Some rows of a column of a scan."""
    if isinstance(column, CodedColumn):
        return CodedColumn(codes=column.codes[rows], values=column.values)
    return column[rows]
