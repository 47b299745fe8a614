"""Which evidence a model must have, by how much depends on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

Control = Literal["evaluation", "explanation", "owner", "description", "intended use", "approval"]
Importance = Literal["critical", "high", "moderate", "low"]

_REMEDIES: dict[Control, str] = {
    "evaluation": "measure this version with ModelEvaluateOperator",
    "explanation": "explain this version with ModelExplainOperator",
    "owner": "name who answers for the model: owner= of model(), or its entry in the catalog",
    "description": "say in a line what the model does: description= of model(), or its entry in the catalog",
    "intended use": "write what the model is for, and what not: documentation= of model(), or its entry in the catalog",
    "approval": "have a person approve this version",
}
_BASE: tuple[Control, ...] = ("owner", "description", "evaluation")
_HIGH: tuple[Control, ...] = (*_BASE, "intended use", "explanation")


class ControlPolicy(BaseModel):
    """What must be there before a model's card passes, per importance of the model.

    :param unset: the importance of a model whose catalog entry says none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    critical: tuple[Control, ...] = (*_HIGH, "approval")
    high: tuple[Control, ...] = _HIGH
    moderate: tuple[Control, ...] = _BASE
    low: tuple[Control, ...] = ("owner",)
    unset: Importance = "moderate"

    def required(self, importance: str | None) -> tuple[Control, ...]:
        """The controls of an importance.

        >>> ControlPolicy().required("low")
        ('owner',)
        """
        by_importance: dict[str, tuple[Control, ...]] = {
            "critical": self.critical,
            "high": self.high,
            "moderate": self.moderate,
            "low": self.low,
        }
        return by_importance[importance if importance in by_importance else self.unset]


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One control of one model version.

    :param remedy: what to do where it is missing.
    """

    control: str
    present: bool
    remedy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of a model version, and which of them are missing.

    :param importance: what was gone by; ``assumed`` where the catalog says none.
    """

    importance: str
    assumed: bool
    results: tuple[ControlResult, ...]

    @property
    def missing(self) -> tuple[ControlResult, ...]:
        """What is required and not there."""
        return tuple(one for one in self.results if not one.present)

    @property
    def verdict(self) -> Literal["pass", "fail"]:
        """``fail`` where anything is missing."""
        return "fail" if self.missing else "pass"

    @property
    def summary(self) -> str:
        """What is missing and what to do, in one line."""
        if not self.missing:
            return f"everything a model of {self.importance} importance needs is there"
        todo = "; ".join(f"no {one.control}: {one.remedy}" for one in self.missing)
        return f"a model of {self.importance} importance needs more: {todo}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "importance": self.importance,
            "assumed": self.assumed,
            "verdict": self.verdict,
            "results": [one.to_dict() for one in self.results],
        }


def judge_controls(
    *, asset: Mapping[str, Any], evidence: Mapping[str, bool], policy: ControlPolicy
) -> Controls:
    """Look which required controls a model version has.

    :param asset: the catalog entry of the model.
    :param evidence: whether there is an ``evaluation``, an ``explanation`` and an ``approval`` of the version.

    >>> found = judge_controls(asset={"importance": "low"}, evidence={}, policy=ControlPolicy())
    >>> found.verdict, [one.control for one in found.missing]
    ('fail', ['owner'])
    """
    said = {
        "owner": bool(asset.get("owner")),
        "description": bool(asset.get("description")),
        "intended use": bool(str(asset.get("documentation") or "").strip()),
    }
    there = said | dict(evidence)
    importance = asset.get("importance")
    results = tuple(
        ControlResult(name, there.get(name, False), None if there.get(name) else _REMEDIES[name])
        for name in policy.required(importance)
    )
    return Controls(str(importance or policy.unset), not importance, results)
