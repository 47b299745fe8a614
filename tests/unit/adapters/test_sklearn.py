"""Places are shuffled as scikit-learn would shuffle the values."""

from __future__ import annotations

from airflow_dataml.adapters.sklearn import permutation_growth


def line():
    """An estimator: twice the first column less the second; the third is noise."""
    import numpy as np
    from sklearn.base import BaseEstimator

    class Line(BaseEstimator):
        def fit(self, values, labels):
            return self

        def predict(self, values):
            return values @ np.array([2.0, -1.0, 0.0])

    return Line()


def test_it_is_what_scikit_learn_finds_on_the_values():
    import numpy as np
    from sklearn.inspection import permutation_importance

    draw, model = np.random.default_rng(3), line()
    values = draw.normal(size=(200, 3))
    labels = model.predict(values) + draw.normal(size=200) / 10
    asked = []

    def loss_of(place):
        asked.append(place)
        shuffled = np.column_stack([values[place[:, at], at] for at in range(3)])
        return float(((labels - model.predict(shuffled)) ** 2).mean())

    found = permutation_growth(loss_of=loss_of, rows=200, features=3, repeats=4, seed=11)
    wanted = permutation_importance(
        model, values, labels, scoring="neg_mean_squared_error", n_repeats=4, random_state=11
    )
    assert np.allclose(found, wanted.importances)
    assert np.array(found).shape == (3, 4)
    assert len(asked) == 1 + 3 * 4


def test_the_same_seed_shuffles_the_same_way():
    def loss_of(place):
        return float(place[0].sum())

    runs = [permutation_growth(loss_of=loss_of, rows=50, features=2, repeats=3, seed=s) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
