"""How good scores are, on the validation rows of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.classes import class_log_losses

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from airflow_dataml.core.training import Task

    Floats = npt.NDArray[np.float64]


def measure(task: Task, labels: Floats, scores: Floats) -> dict[str, float]:
    """Return the usual metrics; one that the rows cannot say (AUC of a single class) is left out.

    :param scores: ``[n]``; of ``multiclass`` the probabilities ``[n, classes]``, with labels that are places in them.

    >>> import numpy as np
    >>> measure("binary", np.array([0.0, 1.0]), np.array([0.25, 0.75]))["accuracy"]
    1.0
    """
    if task == "multiclass":
        return _classes(labels, scores)
    return _binary(labels, scores) if task == "binary" else _regression(labels, scores)


def _binary(labels: Floats, scores: Floats) -> dict[str, float]:
    import numpy as np

    # The smallest probability float32 tells from 0 near 1; log(0) would drown the mean.
    bounded = np.clip(scores, 1e-7, 1 - 1e-7)
    found = {
        "log_loss": float(-np.mean(labels * np.log(bounded) + (1 - labels) * np.log1p(-bounded))),
        "brier": float(np.mean((scores - labels) ** 2)),
        "accuracy": float(np.mean((scores >= 0.5) == (labels == 1))),
        "positive_rate": float(labels.mean()),
    }
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives and negatives:
        found["auc"] = _rank_sum(labels, scores, positives) / (positives * negatives)
    return found


def _classes(labels: Floats, scores: Floats) -> dict[str, float]:
    import numpy as np

    truth, said = labels.astype(np.int64), scores.argmax(axis=1)
    count, shares = scores.shape[1], []
    right = np.bincount(truth[truth == said], minlength=count)
    mentioned = np.bincount(truth, minlength=count) + np.bincount(said, minlength=count)
    for place in range(count):
        own = (truth == place).astype(np.float64)
        positives = int(own.sum())
        others = len(own) - positives
        if positives and others:
            shares.append(_rank_sum(own, scores[:, place], positives) / (positives * others))
    found = {
        "log_loss": float(class_log_losses(truth, scores).mean()),
        "accuracy": float(np.mean(truth == said)),
        # Of the classes that are there or were said, as scikit-learn has it.
        "f1_macro": float((2 * right[mentioned > 0] / mentioned[mentioned > 0]).mean()),
    }
    return found | ({"roc_auc_ovr": float(np.mean(shares))} if shares else {})


def _rank_sum(labels: Floats, scores: Floats, positives: int) -> float:
    """Mann-Whitney U of the positives, ties counted half."""
    import numpy as np

    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle_ranks = ends - (counts - 1) / 2
    return float(middle_ranks[inverse][labels == 1].sum() - positives * (positives + 1) / 2)


def _regression(labels: Floats, scores: Floats) -> dict[str, float]:
    import numpy as np

    errors = scores - labels
    found = {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.mean(np.abs(errors)))}
    spread = float(labels.var())
    if spread > 0:
        found["r2"] = 1 - float(np.mean(errors**2)) / spread
    return found
