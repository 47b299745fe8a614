"""Permutation importance of any model, by ``sklearn.inspection.permutation_importance``.

The function shuffles a table of places instead of values: which row a value is taken from. So columns stay as
the model reads them, with texts and gaps, and nothing is copied or converted for the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Callable


def permutation_growth(
    *, loss_of: Callable[[Any], float], rows: int, features: int, repeats: int, seed: int
) -> list[list[float]]:
    """Return how much the mean loss grows when a feature is shuffled, ``[features][repeats]``.

    :param loss_of: mean loss where the value of feature ``j`` in row ``i`` is that of row ``place[i, j]``;
        called once, and once for every feature and repeat.
    :raises MissingExtraError: scikit-learn is not installed.
    """
    inspection = load("sklearn.inspection", extra="mlflow")
    np = load("numpy", extra="mlflow")
    place = np.tile(np.arange(rows)[:, None], (1, features))

    def score(_model: object, shuffled: Any, _labels: object) -> float:
        return -loss_of(shuffled)

    found = inspection.permutation_importance(
        _Fitted(), place, place[:, 0], scoring=score, n_repeats=repeats, random_state=seed
    )
    growth: list[list[float]] = found.importances.tolist()
    return growth


class _Fitted:
    """What scikit-learn takes for an estimator; the score alone knows the model."""

    def fit(self, places: Any, labels: Any) -> _Fitted:
        """Stay as it is: the model was trained elsewhere."""
        del places, labels
        return self
