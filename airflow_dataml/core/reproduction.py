"""A model trained a second time: what is equal bit by bit, and by how much the rest differs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Verdict = Literal["pass", "fail", "unknown"]
# Differences beyond these are counted, not listed.
LISTED = 100
SHOWN = 200
# Say which release wrote the file, not what it computes.
_NOT_PREPROCESSING = ("versions", "onnx_sha256", "weights_digest")


class WeightsReader(Protocol):
    """Reads the numbers of a stored model, running no code it brings."""

    def __call__(self, model_dir: Path) -> Mapping[str, Any]:
        """Return every tensor by its name, as NumPy arrays."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not what it was; ``None`` stands for one that is not there."""

    what: str
    then: Any
    now: Any

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """A tensor that is not bit-equal.

    :param values: how many numbers it holds, then.
    :param different: how many of them have other bits.
    :param max_abs: largest absolute difference; ``None`` where the two cannot be subtracted.
    :param why: what keeps them from being compared number by number, if anything does.
    """

    name: str
    values: int
    different: int
    max_abs: float | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsComparison:
    """The weights of both trainings.

    :param tensors: how many there were, and ``values`` numbers in them.
    :param digest_then: of the trained weights before export, as the ledger has it.
    """

    tensors: int
    values: int
    digest_then: str | None
    digest_now: str
    different: tuple[TensorDifference, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every bit is what it was."""
        return not self.different and self.digest_then in (None, self.digest_now)

    @property
    def max_abs(self) -> float | None:
        """Largest absolute difference of any number."""
        return max((one.max_abs for one in self.different if one.max_abs is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; the tensors that differ most first."""
        worst = sorted(self.different, key=lambda one: (one.max_abs is not None, -(one.max_abs or 0.0)))
        return {
            "equal": self.equal,
            "tensors": self.tensors,
            "values": self.values,
            "different_tensors": len(self.different),
            "different_values": sum(one.different for one in self.different),
            "max_abs_difference": self.max_abs,
            "digest_then": self.digest_then,
            "digest_now": self.digest_now,
            "different": [one.to_dict() for one in worst[:LISTED]],
        }


@dataclass(frozen=True, slots=True)
class ScoresComparison:
    """The scores of both models on the same rows.

    :param rows_of: ``holdout`` or ``train``.
    :param different: rows whose score has other bits.
    :param max_abs: largest absolute difference; ``None`` where one of the two is no number.
    """

    rows_of: str
    rows: int
    different: int
    max_abs: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "rows_of": self.rows_of,
            "rows": self.rows,
            "different": self.different,
            "max_abs_difference": self.max_abs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of training a model version again.

    :param environment: what differs from the environment it was trained in; ``None`` where that was not recorded.
    :param refused: why it could not be trained again; then nothing was compared.
    :param notes: what else may explain a difference.
    """

    version: str
    environment: tuple[Difference, ...] | None
    weights: WeightsComparison | None = None
    metadata: tuple[Difference, ...] = ()
    scores: ScoresComparison | None = None
    refused: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """``pass`` is bit-equal, ``fail`` different, ``unknown`` could not be trained again."""
        if self.weights is None or self.scores is None:
            return "unknown"
        equal = self.weights.equal and not self.metadata and not self.scores.different
        return "pass" if equal else "fail"

    @property
    def summary(self) -> str:
        """What came of it in one sentence."""
        beside = "" if self.environment is not None else "; what it was trained with was not recorded"
        if self.weights is None or self.scores is None:
            return f"could not be trained again: {self.refused}{beside}"
        rows = f"the scores of {self.scores.rows:,} {self.scores.rows_of} rows"
        if self.verdict == "pass":
            return f"bit-equal: {self.weights.tensors} tensors of {self.weights.values:,} values, preprocessing and {rows}{beside}"
        environment = ", ".join(one.what for one in self.environment or ())
        beside += f"; changed since: {environment}" if environment else ""
        return f"different: {', '.join(self._different(self.weights, self.scores))}{beside}"

    def _different(self, weights: WeightsComparison, scores: ScoresComparison) -> list[str]:
        told = []
        if weights.different:
            changed = sum(one.different for one in weights.different)
            told.append(
                f"{len(weights.different)} of {weights.tensors} tensors ({changed:,} of {weights.values:,} values"
                f"{_apart(weights.max_abs)})"
            )
        elif not weights.equal:
            told.append("the weights before export")
        if self.metadata:
            told.append(f"preprocessing ({', '.join(one.what for one in self.metadata[:5])})")
        if scores.different:
            told.append(
                f"{scores.different:,} of {scores.rows:,} scores of {scores.rows_of} rows{_apart(scores.max_abs)}"
            )
        return told

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "version": self.version,
            "bit_equal": None if self.verdict == "unknown" else self.verdict == "pass",
            "summary": self.summary,
            "environment_recorded": self.environment is not None,
            "environment_differences": [one.to_dict() for one in self.environment or ()],
            "weights": self.weights.to_dict() if self.weights else None,
            "metadata_differences": [one.to_dict() for one in self.metadata[:LISTED]],
            "scores": self.scores.to_dict() if self.scores else None,
            "refused": self.refused,
            "notes": list(self.notes),
        }


def _apart(difference: float | None) -> str:
    return "" if difference is None else f", at most {difference:.3g} apart"


def differences(
    then: Mapping[str, Any], now: Mapping[str, Any], *, under: str = ""
) -> tuple[Difference, ...]:
    """Return the facts that differ between two trees of plain values, by their path.

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    (Difference(what='a.c', then=2, now=3),)
    """
    found: list[Difference] = []
    for key in dict.fromkeys((*then, *now)):
        path = f"{under}.{key}" if under else str(key)
        one, other = _tree(then.get(key)), _tree(now.get(key))
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, under=path)
        elif one != other:
            found.append(Difference(path, _brief(one), _brief(other)))
    return tuple(found)


def _tree(value: Any) -> Any:
    """Return a list of named things as a mapping, so that a difference is told of one of them."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
        return {str(one["name"]): one for one in value}
    return value


def _brief(value: Any) -> Any:
    text = str(value)
    return value if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def metadata_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what differs in how columns become inputs and outputs become scores."""
    return differences(
        *({k: v for k, v in one.items() if k not in _NOT_PREPROCESSING} for one in (then, now))
    )


def compare_weights(
    then: Mapping[str, Any], now: Mapping[str, Any], *, digest_then: str | None, digest_now: str
) -> WeightsComparison:
    """Compare tensors bit by bit; both sets are in memory, and each pair is read twice.

    :param then: arrays by name.
    """
    found = (_compare_tensor(name, then.get(name), now.get(name)) for name in dict.fromkeys((*then, *now)))
    return WeightsComparison(
        tensors=len(then),
        values=sum(int(array.size) for array in then.values()),
        digest_then=digest_then,
        digest_now=digest_now,
        different=tuple(one for one in found if one is not None),
    )


def _compare_tensor(name: str, then: Any, now: Any) -> TensorDifference | None:
    if then is None or now is None:
        size = int((now if then is None else then).size)
        return TensorDifference(name, size, size, why="only now" if then is None else "only then")
    if (then.shape, then.dtype) != (now.shape, now.dtype):
        why = f"{then.dtype}{list(then.shape)} then, {now.dtype}{list(now.shape)} now"
        return TensorDifference(name, int(then.size), int(then.size), why=why)
    different = _other_bits(then, now)
    if not different:
        return None
    return TensorDifference(name, int(then.size), different, _largest(then, now))


def compare_scores(blocks: Iterable[tuple[Any, Any]], *, rows_of: str) -> ScoresComparison:
    """Compare scores of the same rows, block by block.

    :param blocks: scores then and now, as arrays of one length.
    """
    rows, different = 0, 0
    largest: float | None = 0.0
    for then, now in blocks:
        rows += len(then)
        different += _other_bits(then, now)
        apart = _largest(then, now) if len(then) else 0.0
        largest = None if largest is None or apart is None else max(largest, apart)
    return ScoresComparison(rows_of, rows, different, largest)


def _other_bits(then: Any, now: Any) -> int:
    """Count values whose bytes differ: 0.0 is not -0.0, and a NaN is itself."""
    import numpy as np

    if not then.size:
        return 0
    one, other = (np.frombuffer(a.tobytes(), dtype=np.uint8).reshape(a.size, -1) for a in (then, now))
    return int((one != other).any(axis=1).sum())


def _largest(then: Any, now: Any) -> float | None:
    import numpy as np

    with np.errstate(invalid="ignore"):
        apart = float(np.max(np.abs(then.astype(np.float64) - now.astype(np.float64))))
    return apart if math.isfinite(apart) else None
