"""Impact: what a proposed change of a dataset would do to the models that are made from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.schemas import ChangeClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.core.contract_changes import ContractDiff
    from airflow_dataml.core.schemas import SchemaDiff
    from airflow_dataml.core.statistics import Interval

Method = Literal["replayed", "explanation"]
EVERYTHING = "*"


class ImpactPolicy(BaseModel):
    """How much worse a model in use may become.

    :param tolerance: growth of the mean loss that is borne, as a share of the loss as it is.
    :param confidence: of the interval of the growth.
    :param max_rows: rows of the pinned holdout that are scored with and without what changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance: float = Field(0.01, ge=0)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    max_rows: int = Field(20_000, ge=50)


@dataclass(frozen=True, slots=True)
class Proposed:
    """One column that would not be what it was."""

    column: str
    what: str


class ColumnGraph(Protocol):
    """Finds what is made from a column."""

    def made_from(self, asset: str, column: str) -> Iterable[tuple[str, str]]:
        """Return assets and their columns, by name; ``*`` where it decides which rows there are."""

    def made_unseen(self, assets: Sequence[str]) -> Iterable[str]:
        """Return the assets that are made from some in a way of which no columns are known."""


@dataclass(frozen=True, slots=True)
class AffectedFeature:
    """A feature of a model that a changed column goes into.

    :param share: of the model's whole importance, where it was explained.
    """

    feature: str
    columns: tuple[str, ...]
    share: float | None = None


@dataclass(frozen=True, slots=True)
class AffectedModel:
    """A model in use, and what it would lose.

    :param in_use: the aliases that stand at the version.
    :param loss: mean loss on the holdout as it is.
    :param growth: of the mean loss where the features say nothing; ``None`` where it could not be predicted.
    :param method: ``replayed``, its holdout was scored without them; ``explanation``, the sum of what each alone is worth.
    :param decided: whether a changed column decides which rows there are at all.
    :param unseen: whether its data are made in a way of which no columns are known, so that it may rest on anything.
    """

    version: str
    in_use: tuple[str, ...]
    features: tuple[AffectedFeature, ...]
    loss: float | None = None
    growth: Interval | None = None
    method: Method | None = None
    decided: bool = False
    unseen: bool = False

    def verdict(self, policy: ImpactPolicy) -> str:
        """``fail`` where it surely becomes worse than is borne, ``warn`` where it may, ``unknown`` where nobody can say."""
        if self.growth is None or self.loss is None or self.unseen:
            return "unknown"
        if not math.isfinite(self.growth.low + self.growth.high):
            return "unknown"
        borne = policy.tolerance * self.loss
        if self.growth.low > borne:
            return "fail"
        return "warn" if self.growth.high > borne or self.decided else "pass"

    @property
    def said(self) -> str:
        """In words."""
        names = ", ".join(one.feature for one in self.features) or "which rows there are"
        if self.unseen:
            return f"{self.version} is made from it in a way of which no columns are known"
        if self.growth is None or self.loss is None:
            return f"{self.version} rests on {names}; what that is worth could not be measured"
        share = self.growth.estimate / self.loss if self.loss else 0.0
        return (
            f"{self.version} without {names}: loss {self.loss:.4f} {self.growth.estimate:+.4f} "
            f"[{self.growth.low:+.4f}, {self.growth.high:+.4f}] ({share:+.1%})"
        )


@dataclass(frozen=True, slots=True)
class ImpactFound:
    """What a proposed change reaches."""

    dataset: str
    proposed: tuple[Proposed, ...]
    harmless: tuple[str, ...]
    reached: tuple[str, ...]
    models: tuple[AffectedModel, ...]
    policy: ImpactPolicy

    @property
    def verdict(self) -> str:
        """The worst of the models' verdicts; ``pass`` where none in use is reached."""
        found = {model.verdict(self.policy) for model in self.models}
        return next((one for one in ("fail", "unknown", "warn") if one in found), "pass")

    @property
    def summary(self) -> str:
        """In one sentence."""
        if not self.proposed:
            return "nothing changes that readers would notice"
        what = "; ".join(one.what for one in self.proposed)
        if not self.models:
            return f"{what}: no model in use is reached"
        return f"{what}: {'; '.join(model.said for model in self.models)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "dataset": self.dataset,
            "proposed": [asdict(one) for one in self.proposed],
            "harmless": list(self.harmless),
            "reached": list(self.reached),
            "models": [
                asdict(model)
                | {
                    "growth": model.growth.to_dict() if model.growth else None,
                    "verdict": model.verdict(self.policy),
                    "said": model.said,
                }
                for model in self.models
            ],
            "policy": self.policy.model_dump(mode="json"),
            "summary": self.summary,
        }

    def markdown(self) -> str:
        """The same for a pull request."""
        lines = [f"**{self.dataset}**: {self.summary if not self.models else self.verdict}", ""]
        lines += [f"- {one.what}" for one in self.proposed]
        if self.models:
            lines += [
                "",
                "| Model | In use | Features | Loss | Growth | Verdict |",
                "|---|---|---|---|---|---|",
            ]
        for model in self.models:
            names = ", ".join(
                f"{one.feature} ({one.share:.0%})" if one.share is not None else one.feature
                for one in model.features
            )
            growth = model.growth
            told = (
                f"{growth.estimate:+.4f} [{growth.low:+.4f}, {growth.high:+.4f}]"
                if growth
                else "not measured"
            )
            loss = f"{model.loss:.4f}" if model.loss is not None else "-"
            cells = [
                model.version,
                ", ".join(model.in_use),
                names or "which rows",
                loss,
                told,
                model.verdict(self.policy),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def proposed_by_schema(diff: SchemaDiff) -> tuple[tuple[Proposed, ...], tuple[str, ...]]:
    """Return what readers of a schema would not survive, and what they would.

    >>> from airflow_dataml.core.datasets import Column
    >>> from airflow_dataml.core.schemas import diff_schemas
    >>> proposed_by_schema(diff_schemas([Column("a", "bigint")], [Column("b", "text")]))
    ((Proposed(column='a', what='a bigint is gone'),), ('b text is new',))
    """
    broken = tuple(Proposed(one.column, one.sentence) for one in diff.breaking)
    rest = tuple(one.sentence for one in diff.changes if one.change is not ChangeClass.BREAKING)
    return broken, rest


def proposed_by_contract(diff: ContractDiff) -> tuple[tuple[Proposed, ...], tuple[str, ...]]:
    """Return what a contract promises readers no longer, and the changes that take back no promise.

    What is promised of the whole dataset, and not of a column, is about which rows there are: ``*``.
    """
    broken, rest = [], []
    for change in diff.changes:
        where = change.place.split(".")
        if change.consumers is not ChangeClass.BREAKING:
            rest.append(change.what)
        elif where[0] == "columns" and len(where) > 1:
            broken.append(Proposed(where[1], f"{where[1]}: {change.what}"))
        else:
            broken.append(Proposed(EVERYTHING, f"{change.place}: {change.what}"))
    return tuple(broken), tuple(rest)


def proposed_by_name(columns: Sequence[str]) -> tuple[Proposed, ...]:
    """Return columns that would be gone."""
    return tuple(Proposed(name, f"{name} is gone") for name in columns)
