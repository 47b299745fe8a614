"""Classes on a holdout: the probabilities of two models in one order, whatever classes each of them knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import aligned, codes_of, ordered_classes
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXTRA = "monitoring"
NEVER_LEARNT = "(never learnt)"
_MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class ClassScores:
    """What two models said of the same rows.

    :param classes: those that either model knows, and at the end whatever neither learnt, if there is any.
    :param labels: places among the classes.
    :param challenger: probabilities ``[n, classes]``; so too the opponent's.
    :param unseen: how many rows have classes that the challenger never learnt, and those classes.
    """

    classes: tuple[str, ...]
    labels: Any
    challenger: Any
    opponent: Any
    unseen: dict[str, Any] | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """The classes that either model knows."""
        return self.classes[:-1] if self.classes[-1] == NEVER_LEARNT else self.classes


def in_one_order(
    labels: Sequence[str], challenger: tuple[Any, Sequence[str]], opponent: tuple[Any, Sequence[str]]
) -> ClassScores:
    """Bring labels and the probabilities of both models to the classes that either knows.

    Classes that neither learnt are one more class together, of probability 0: the loss bounds it, and it is never
    what was said.

    :param challenger: probabilities and the classes they are of; so too the opponent.

    >>> found = in_one_order(["b", "z"], ([[0.4, 0.6]] * 2, ("a", "b")), ([[1.0]] * 2, ("b",)))
    >>> found.classes, found.labels.tolist(), found.unseen
    (('a', 'b', '(never learnt)'), [1, 2], {'rows': 1, 'classes': ['z']})
    >>> found.opponent.tolist()
    [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    np = load("numpy", extra=_EXTRA)
    classes = ordered_classes([*challenger[1], *opponent[1]])
    codes = codes_of(labels, classes)
    if (codes < 0).any():
        codes = np.where(codes < 0, len(classes), codes)
        classes = (*classes, NEVER_LEARNT)
    own = codes_of(labels, challenger[1])
    strange = sorted({labels[at] for at in np.flatnonzero(own < 0).tolist()})
    return ClassScores(
        classes,
        codes,
        aligned(challenger[0], challenger[1], classes),
        aligned(opponent[0], opponent[1], classes),
        {"rows": int((own < 0).sum()), "classes": strange[:_MOST_NAMED]} if strange else None,
    )


def repeated(shares: Mapping[str, float], rows: int) -> tuple[Any, tuple[str, ...]]:
    """Return the same probabilities for every row, and their classes."""
    np = load("numpy", extra=_EXTRA)
    return np.tile(list(shares.values()), (rows, 1)), tuple(shares)
