"""A trainer and a scorer without torch: the model is one line, and the line is in its file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.training import TrainingResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.core.training import Progress, TrainingJob, TrainingSpec


class LineTrainer:
    """Writes a model that scores ``intercept + slope * km``, clipped to a probability.

    :param lines: intercept and slope of each model trained, in turn.
    """

    def __init__(self, *lines: tuple[float, float]) -> None:
        self._lines = list(lines)
        self.trained: list[TrainingJob] = []
        self.rows: list[int] = []

    def check(self, spec: TrainingSpec) -> None:
        """Everything can be trained."""

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        """Write the next line as a model."""
        self.trained.append(job)
        self.rows.append(job.data.read_text().count("\n") - 1)
        intercept, slope = self._lines.pop(0)
        folder = job.work_dir / "model"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_text(json.dumps([intercept, slope]))
        return TrainingResult(
            artifact_dir=str(folder),
            epochs=1,
            steps=1,
            rows=1,
            metrics={"loss": 0.5},
            seconds=0.1,
            resumed=False,
            weights_digest="0" * 64,
        )


class LineScorer:
    """Scores with a line."""

    def __init__(self, model_dir: Path) -> None:
        self._intercept, self._slope = json.loads((Path(model_dir) / "model.onnx").read_text())

    def score(self, columns: dict[str, Any]) -> Any:
        """Return one probability per row."""
        import numpy as np

        km = np.array([float(v) for v in columns["km"]])
        return np.clip(self._intercept + self._slope * km, 0.01, 0.99)

    def score_csv(self, path: Path, *, block_rows: int = 1000) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the file's columns and scores, in one block."""
        import numpy as np

        with path.open() as file:
            rows = list(csv.DictReader(file))
        columns = {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}
        yield columns, self.score(columns)
