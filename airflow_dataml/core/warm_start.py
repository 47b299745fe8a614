"""Weights to begin a training with: kept in a file that loading runs nothing of, and fitted by name and shape."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_dataml.core.classes import named_few
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import FeatureEncoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

__all__ = ["Start", "read_start", "write_start"]

_ABOUT = "about"
_TENSOR = "tensor:"
# How the exported graph names a module inside the one that scores.
_INSIDE = "module."
_EMBEDDING = re.compile(r"(?:.*\.)?embeddings\.(\d+)\.weight\Z")


@dataclass(frozen=True, slots=True)
class Start:
    """The weights of a version, and what its categories were.

    :param version: as ``name@number``, for messages.
    :param encoding: of the version; ``None`` where nobody trained it here.
    :param classes: that it tells apart, in order; none where it gives one score.
    """

    version: str
    encoding: FeatureEncoding | None
    weights: Mapping[str, Array] = field(repr=False)
    classes: tuple[str, ...] = ()

    def fit(
        self,
        shapes: Mapping[str, Array],
        *,
        encoding: FeatureEncoding,
        model: str,
        classes: tuple[str, ...] = (),
    ) -> dict[str, Array]:
        """Return the weights for a fresh module; embedding rows follow their category, new ones stay fresh.

        :param shapes: the fresh weights by name, first layer first.
        :param encoding: of the rows that are trained on now; its vocabulary may be another.
        :param classes: of the same rows; they must be the version's.
        :raises TrainingSpecError: names the first tensor that does not fit, and what to do.
        """
        before = self._encoding(encoding, model, next(iter(shapes), ""))
        if classes != self.classes:
            why = f"it tells the classes {named_few(self.classes)} apart, and the rows have {named_few(classes)}"
            self._refuse(model, why, "use a version with the same classes")
        fitted: dict[str, Array] = {}
        for name, fresh in shapes.items():
            stored = self.weights.get(name)
            if stored is None:
                self._refuse(
                    model, f"tensor {name!r} is not among its weights", "use the module it was trained with"
                )
            place = self._column(name, stored, fresh, before, encoding)
            if place is not None and stored.shape[1:] == fresh.shape[1:]:
                vocabularies = before.categorical[place].vocabulary, encoding.categorical[place].vocabulary
                fitted[name] = _by_category(stored, fresh, *vocabularies)
            elif stored.shape != fresh.shape:
                remedy = "give module_arguments that make equal shapes"
                if place is not None:
                    widths = [
                        self.weights[name.replace(f".{place}.", f".{i}.")].shape[1]
                        for i in range(len(before.categorical))
                    ]
                    remedy = f"write module_arguments: {{embedding_width: {widths}}}"
                self._refuse(
                    model, f"tensor {name!r} has shape {stored.shape} there and {fresh.shape} here", remedy
                )
            else:
                fitted[name] = stored.astype(fresh.dtype)
        return fitted

    def _encoding(self, now: FeatureEncoding, model: str, first: str) -> FeatureEncoding:
        if self.encoding is None:
            self._refuse(
                model, "which inputs it reads was not stored with it", "use a version that was trained here"
            )
        for kind in ("numeric", "categorical"):
            then_names, names = ([c.name for c in getattr(e, kind)] for e in (self.encoding, now))
            if then_names != names:
                self._refuse(
                    model,
                    f"its {kind} features are {then_names} and the spec has {names}, so tensor {first!r} would read other columns",
                    "use the same features in the same order",
                )
        return self.encoding

    def _column(
        self, name: str, stored: Array, fresh: Array, before: FeatureEncoding, now: FeatureEncoding
    ) -> int | None:
        """Return which categorical column a tensor has one row per value of, if it is such a tensor."""
        found = _EMBEDDING.match(name)
        place = int(found[1]) if found else len(now.categorical)
        if place >= len(now.categorical) or stored.ndim != 2 or fresh.ndim != 2:
            return None
        sizes = (len(e.categorical[place].vocabulary) + 1 for e in (before, now))
        return place if tuple(sizes) == (stored.shape[0], fresh.shape[0]) else None

    def _refuse(self, model: str, why: str, remedy: str) -> NoReturn:
        msg = f"model {model!r} cannot begin with the weights of {self.version}: {why}; {remedy}, or leave warm_start out."
        raise TrainingSpecError(msg)


def _by_category(stored: Array, fresh: Array, then: tuple[str, ...], now: tuple[str, ...]) -> Array:
    rows = fresh.copy()
    rows[0] = stored[0]
    place_of = {value: place for place, value in enumerate(then, start=1)}
    for place, value in enumerate(now, start=1):
        if value in place_of:
            rows[place] = stored[place_of[value]]
    return rows


def write_start(
    path: Path, *, version: str, weights: Mapping[str, Any], encoding: object, classes: Sequence[str] = ()
) -> None:
    """Write the weights of a version; about their size.

    :param weights: by name, as an exported graph has them.
    :param encoding: a ``FeatureEncoding`` as plain JSON values, or ``None``.
    :param classes: that the version tells apart, in order.
    """
    import numpy as np

    plain = {
        f"{_TENSOR}{name.removeprefix(_INSIDE)}": array
        for name, array in weights.items()
        if np.asarray(array).dtype.kind in "fiub"
    }
    about = np.array(json.dumps({"version": version, "encoding": encoding, "classes": list(classes)}))
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_ABOUT: about, **plain})
    beside.replace(path)


def read_start(path: Path) -> Start:
    """Read what :func:`write_start` wrote; refuses anything that would have to be executed."""
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(str(stored[_ABOUT]))
        weights = {
            name.removeprefix(_TENSOR): stored[name] for name in stored.files if name.startswith(_TENSOR)
        }
    encoding = about["encoding"]
    read = encoding and FeatureEncoding.model_validate(encoding)
    return Start(about["version"], read, weights, tuple(about.get("classes", ())))
