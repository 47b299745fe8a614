"""The peer of the label-free bench, run by NannyML's own interpreter, which has nothing of ours.

PYTHON label_free_peer.py export FOLDER
PYTHON label_free_peer.py estimate FILE CHUNK
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - it exchanges arrays

SETS = {
    "car loan": ("load_synthetic_car_loan_dataset", "repaid", "y_pred_proba"),
    "MA employment": ("load_us_census_ma_employment_data", "employed", "predicted_probability"),
}
PRICES = {"car price": ("load_synthetic_car_price_dataset", "y_true", "y_pred")}
FEATURES = ["car_age", "km_driven", "price_new", "accident_count", "door_count", "fuel", "transmission"]


def export(folder: Path) -> None:
    """Write the datasets that come with NannyML: labels and scores, and of the regression its features."""
    import nannyml  # type: ignore[import-not-found]  # it has an environment of its own
    import pandas as pd  # type: ignore[import-untyped]  # stubs are a package of their own

    pd.options.future.infer_string = False

    for name, (loader, label, score) in (SETS | PRICES).items():
        reference, analysis, targets = getattr(nannyml, loader)()
        analysis = analysis.merge(targets, on="id")
        sides = {"reference": reference, "analysis": analysis}
        arrays = {
            f"{side}_{what}": rows[column].to_numpy(dtype=float)
            for side, rows in sides.items()
            for what, column in (("labels", label), ("scores", score))
        }
        for side, rows in sides.items() if name in PRICES else ():
            read = {column: rows[column].to_numpy() for column in FEATURES}
            arrays |= {
                f"{side}_feature_{column}": values.astype(str if values.dtype == object else float)
                for column, values in read.items()
            }
        np.savez(folder / f"{name}.npz", **arrays)


def estimate(path: Path, chunk: int) -> dict[str, Any]:
    """Fit CBPE on the reference and estimate the area under the curve of every chunk."""
    import nannyml
    import pandas as pd

    held = np.load(path)
    frames = []
    for side in ("reference", "analysis"):
        scores = held[f"{side}_scores"]
        frames.append(pd.DataFrame({"score": scores, "said": (scores >= 0.5).astype(int)}))
    frames[0]["label"] = held["reference_labels"].astype(int)
    began = time.process_time()
    estimator = nannyml.CBPE(
        problem_type="classification_binary",
        y_pred_proba="score",
        y_pred="said",
        y_true="label",
        metrics=["roc_auc"],
        chunk_size=chunk,
    )
    estimator.fit(frames[0])
    found = estimator.estimate(frames[1]).filter(period="analysis").to_df()
    spent = time.process_time() - began
    return {"values": found[("roc_auc", "value")].tolist(), "cpu_s": spent}


def losses(chunk: int) -> dict[str, Any]:
    """Fit DLE on the reference, with all its features, and estimate the root mean squared error of every chunk."""
    import nannyml
    import pandas as pd

    # Its release does not know the text columns of today's pandas.
    pd.options.future.infer_string = False
    reference, analysis, _ = nannyml.load_synthetic_car_price_dataset()
    began = time.process_time()
    estimator = nannyml.DLE(
        feature_column_names=FEATURES, y_pred="y_pred", y_true="y_true", metrics=["rmse"], chunk_size=chunk
    )
    estimator.fit(reference)
    found = estimator.estimate(analysis).filter(period="analysis").to_df()
    spent = time.process_time() - began
    return {"values": found[("rmse", "value")].tolist(), "cpu_s": spent}


def main() -> None:
    """Do what the first argument says."""
    warnings.simplefilter("ignore")
    if sys.argv[1] == "export":
        export(Path(sys.argv[2]))
        return
    path, chunk = Path(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(losses(chunk) if sys.argv[1] == "losses" else estimate(path, chunk)))


if __name__ == "__main__":
    main()
