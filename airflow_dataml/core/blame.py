"""Blame: which version change explains that a model drifted or decayed, or that none does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SignKind = Literal["values", "missing", "type", "gone", "rows", "uniqueness"]
ChangeKind = Literal["new batch", "rewritten batch", "new content", "other query"]
Outcome = Literal["confirmed", "not confirmed", "no data cause found"]
# Evidence speaks as a report's verdict does: a data cause is a failure, none of them is none.
VERDICTS: dict[Outcome, str] = {
    "confirmed": "fail",
    "not confirmed": "unknown",
    "no data cause found": "pass",
}

LEAST_ROWS, MOST_ROWS = 100, 1_000_000


class BlamePolicy(BaseModel):
    """When a version change counts as the cause of an incident.

    :param tolerance: PSI of a source's column that is borne, where its own past does not move more.
    :param level: share of false signs among all signs of one version (Benjamini-Hochberg).
    :param share: part of the lost quality, or of the shift of the predictions, that reverting a change must
        surely bring back to confirm it.
    :param confidence: of the intervals of that part.
    :param history: how many earlier versions of a source say what is usual for it.
    :param depth: steps from the features that are walked up.
    :param rows: rows of the batch, and of the reference, that are scored again.
    :param min_rows: below this many rows nothing is tested or scored again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance: float = Field(0.1, ge=0, le=5)
    level: float = Field(0.01, gt=0, lt=0.5)
    share: float = Field(0.3, gt=0, lt=1)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    history: int = Field(12, ge=1, le=500)
    depth: int = Field(20, ge=1, le=100)
    rows: int = Field(5000, ge=LEAST_ROWS, le=MOST_ROWS)
    min_rows: int = Field(50, ge=2)


@dataclass(frozen=True, slots=True)
class Sign:
    """Something of a version's new rows that is unlike the rows before.

    :param column: of the source; ``None`` where it is about whole rows.
    :param size: PSI of values and missing rates; the ratio now to before of row counts and uniqueness.
    :param usual: the largest size among its earlier parts, where it is known.
    :param p_value: of the test that it is beyond what is usual; 0 where nothing is uncertain.
    """

    column: str | None
    kind: SignKind
    size: float
    usual: float | None = None
    p_value: float = 0.0

    @property
    def text(self) -> str:
        """The sign as a sentence.

        >>> Sign("temp", "values", 2.61, usual=0.04).text
        'values of temp moved: PSI 2.61, at most 0.04 before'
        """
        before = f", at most {self.usual:.2g} before" if self.usual is not None else ""
        return {
            "values": f"values of {self.column} moved: PSI {self.size:.3g}{before}",
            "missing": f"missing rate of {self.column} moved: PSI {self.size:.3g}{before}",
            "type": f"{self.column} is of another type",
            "gone": f"{self.column} is gone",
            "rows": f"{self.size:.0%} of the rows there were before",
            "uniqueness": f"{self.column} named a row, and now has {self.size:.0%} as many values as rows",
        }[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"text": self.text}


@dataclass(frozen=True, slots=True)
class Replay:
    """The model scored once more with a change reverted.

    :param how: ``earlier rows`` or ``earlier query``, the data made again without the change; ``mapped values``,
        its values brought back to how they were distributed and the rows it spoilt left out.
    :param what: what was reverted, in words.
    :param measure: ``loss`` with labels, else ``predictions``: their distance from the reference's.
    :param share: part of the growth that is gone with the change; 1 is all of it.
    :param before: the measure on the reference rows.
    :param now: on the batch as it is.
    :param reverted: on the batch with the change reverted.
    """

    how: str
    what: str
    measure: str
    share: float
    low: float
    high: float
    before: float
    now: float
    reverted: float
    rows: int

    @property
    def text(self) -> str:
        """The replay as a sentence.

        >>> found = dict(how="mapped values", what="values of temp mapped back", measure="loss", rows=5000)
        >>> Replay(share=0.8, low=0.7, high=0.9, before=0.2, now=0.7, reverted=0.3, **found).text
        'undone (values of temp mapped back), the loss is 0.3, not 0.7, and was 0.2: 80% [70%, 90%] explained'
        """
        name = "loss" if self.measure == "loss" else "distance of the predictions"
        share = f"{self.share:.0%} [{self.low:.0%}, {self.high:.0%}]" if self.high > 0 else "nothing"
        sizes = f"is {self.reverted:.3g}, not {self.now:.3g}, and was {self.before:.3g}"
        return f"undone ({self.what}), the {name} {sizes}: {share} explained"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A version of a dataset that differs from what the model was well with.

    :param version: as ``name@number``.
    :param at: when it was written.
    :param depth: steps up from the features; 0 is the features themselves.
    :param columns: columns the model reads that are made from it.
    :param why_not: why it could not be replayed; ``None`` where it was, or nothing asked for it.
    :param tested: whether showing no sign speaks for it. Without a past nothing is usual, and rows that were written
        anew or made by another query can be wrong in what no single column shows.
    """

    asset: str
    version: str
    version_id: int
    part_id: int
    batch: str | None
    change: ChangeKind
    at: str
    depth: int
    columns: tuple[str, ...]
    signs: tuple[Sign, ...] = ()
    replay: Replay | None = None
    why_not: str | None = None
    tested: bool = True

    def confirmed(self, policy: BlamePolicy) -> bool:
        """Whether reverting it surely brings back enough."""
        return self.replay is not None and self.replay.low >= policy.share

    def possible(self, policy: BlamePolicy) -> bool:
        """Whether it may still be the cause: a replay left it open, or there is none and no test ruled it out."""
        if self.replay is None:
            return bool(self.signs) or not self.tested
        return self.replay.high >= policy.share

    @property
    def strength(self) -> float:
        """Evidence without a replay: the largest of its signs, in units of what is usual."""
        return max((_strength(sign) for sign in self.signs), default=0.0)

    def with_replay(self, replay: Replay | None, why_not: str | None = None) -> Suspect:
        """Return it with what scoring once more has shown."""
        return replace(self, replay=replay, why_not=why_not)

    @property
    def text(self) -> str:
        """The suspect as a sentence.

        >>> moved = Sign("visib", "values", 0.24, usual=0.05)
        >>> Suspect(
        ...     asset="weather", version="weather@4", version_id=9, part_id=4, batch="2013-12", change="new batch",
        ...     at="2013-12-31", depth=1, columns=("visib",), signs=(moved,), why_not="it is gone",
        ... ).text
        'weather@4 (new batch): values of visib moved: PSI 0.24, at most 0.05 before; not undone: it is gone'
        """
        untold = "no column moved by itself" if self.tested else "no test could rule it out"
        said = [sign.text for sign in self.signs] or [untold]
        if self.replay is not None:
            said.append(self.replay.text)
        elif self.why_not:
            said.append(f"not undone: {self.why_not}")
        return f"{self.version} ({self.change}): {'; '.join(said)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {
            "columns": list(self.columns),
            "signs": [sign.to_dict() for sign in self.signs],
            "strength": self.strength,
        }

    def line(self, policy: BlamePolicy) -> dict[str, Any]:
        """What an incident remembers of it: plain words and numbers."""
        found: dict[str, Any] = {
            "version": self.version,
            "batch": self.batch,
            "change": self.change,
            "confirmed": self.confirmed(policy),
            "evidence": "; ".join(sign.text for sign in self.signs[:3]) or None,
        }
        if self.replay is not None:
            found |= {
                "explains": f"{self.replay.share:.0%} of the {self.replay.measure}",
                "interval": f"{self.replay.low:.0%} to {self.replay.high:.0%}",
                "replayed_by": self.replay.how,
            }
        elif self.why_not:
            found["not_replayed"] = self.why_not
        return {name: value for name, value in found.items() if value is not None}


def _strength(sign: Sign) -> float:
    if sign.kind in ("type", "gone"):
        return 100.0
    if sign.kind in ("rows", "uniqueness"):
        return abs(sign.size - 1) * 10
    return sign.size / max(sign.usual or 0.0, 0.05)


def rank(suspects: Iterable[Suspect], policy: BlamePolicy) -> tuple[Suspect, ...]:
    """Order suspects: confirmed first, then by the share they explain, then by evidence, then the nearest origin.

    One whose replay rules it out stands behind those that could not be replayed.
    """

    def key(suspect: Suspect) -> tuple[bool, bool, float, float, int, str]:
        share = suspect.replay.share if suspect.replay else 0.0
        ruled_out = suspect.replay is not None and not suspect.possible(policy)
        return (
            not suspect.confirmed(policy),
            ruled_out,
            -share,
            -suspect.strength,
            -suspect.depth,
            suspect.version,
        )

    return tuple(sorted(suspects, key=key))


def outcome_of(ranked: Sequence[Suspect], policy: BlamePolicy) -> Outcome:
    """What a ranking comes to.

    Every change was ruled out, by its replay or by a test that found no sign: what is left is that the world
    itself is another, which no data repair mends. A change that could not be tested is not ruled out.
    """
    if ranked and ranked[0].confirmed(policy):
        return "confirmed"
    if any(suspect.possible(policy) for suspect in ranked):
        return "not confirmed"
    return "no data cause found"


def summary_of(ranked: Sequence[Suspect], outcome: Outcome) -> str:
    """A ranking as a sentence."""
    first = ranked[0] if ranked else None
    if first is None or outcome == "no data cause found":
        looked = (
            f"{len(ranked)} version changes upstream were looked at" if ranked else "nothing upstream changed"
        )
        return (
            f"no data cause found: {looked}, and none explains it; what the model learnt may no longer hold"
        )
    untold = "no column moved by itself" if first.tested else "it could not be ruled out by a test"
    evidence = first.signs[0].text if first.signs else untold
    if outcome == "confirmed" and first.replay is not None:
        return (
            f"{first.version} ({first.change}) explains {first.replay.share:.0%} "
            f"[{first.replay.low:.0%}, {first.replay.high:.0%}] of the {first.replay.measure}: {evidence}"
        )
    return f"{first.version} ({first.change}) is suspected and not confirmed: {evidence}"
