"""Training, as values: what is asked for, what is handed to a trainer, and what comes back."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from airflow_dataml.core.engines import Accelerator, Engine, check_processes, check_strategy
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import Feature
from airflow_dataml.core.refs import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

__all__ = ["DEFAULT_MODULE", "Feature", "Progress", "Task", "TrainingJob", "TrainingResult", "TrainingSpec"]

DEFAULT_MODULE = "airflow_dataml.adapters.lightning.tabular:TabularModule"
Task = Literal["binary", "regression"]
# Came after specs were first recorded: at its default it is left out, so that older digests stay what they are.
_LATER = ("engine", "processes", "accelerator", "strategy")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")


class TrainingSpec(BaseModel):
    """What to train: the model, its columns, and how long to try.

    :param model: logical name of the model asset.
    :param module: import path ``package.module:Class`` of a LightningModule; see
        ``adapters/lightning/tabular.py`` for what it must accept and give.
    :param module_arguments: plain values handed to that class as keywords.
    :param features: input columns, in the order the model sees them.
    :param target: the column to predict. It may not be missing in any row.
    :param task: ``binary`` wants 0/1 (or boolean) and scores a probability; ``regression`` any number.
    :param seed: same seed, data, spec and threads give bit-equal weights on one machine.
    :param max_epochs: passes over the training rows; the upper bound of the cost.
    :param batch_size: rows per optimiser step.
    :param learning_rate: step size of the optimiser.
    :param patience: epochs without a better validation loss after which training stops; ``None``
        always runs ``max_epochs``. Either way the weights of the best epoch are the ones kept.
    :param validation_fraction: share of rows, the last of the time-ordered data, kept to validate on.
    :param threads: CPU threads of one process; another number gives slightly other weights.
    :param max_seconds: budget of one try, looked at after each epoch: training ends early with the
        best weights so far. How many epochs fit then depends on the machine.
    :param engine: ``local``, a process beside the task; ``torchrun``, several of them; ``ray``, a job of a Ray
        cluster; ``kubernetes``, a manifest to apply. The last two reach the work folder under the same path.
    :param processes: processes of one training, on one machine. They deal each batch out among them, so that
        ``batch_size`` stays the rows of a step.
    :param accelerator: ``auto`` takes GPUs where enough are found, one per process, else the CPU.
    :param strategy: ``auto``; Lightning's own launchers are refused, with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    module: str = DEFAULT_MODULE
    module_arguments: dict[str, JsonValue] = Field(default_factory=dict)
    features: tuple[Feature, ...] = Field(min_length=1)
    target: str = Field(min_length=1, max_length=63)
    task: Task
    seed: int = Field(default=0, ge=0, lt=2**31)
    max_epochs: int = Field(default=10, ge=1, le=100_000)
    batch_size: int = Field(default=512, ge=1, le=1_000_000)
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    patience: int | None = Field(default=3, ge=1)
    validation_fraction: float = Field(default=0.1, gt=0, le=0.5)
    threads: int = Field(default=1, ge=1, le=256)
    max_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    engine: Engine = "local"
    processes: int = Field(default=1, ge=1, le=256)
    accelerator: Accelerator = "auto"
    strategy: Literal["auto"] = "auto"

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a spec from a YAML file, or say which key of which file is wrong."""
        import yaml

        try:
            with Path(path).open(encoding="utf-8") as file:
                values = yaml.safe_load(file)
        except OSError as err:
            msg = (
                f"training spec {str(path)!r} cannot be read ({err.strerror}); give the path of a YAML file."
            )
            raise TrainingSpecError(msg) from err
        except (yaml.YAMLError, UnicodeDecodeError) as err:
            msg = f"training spec {str(path)!r} is not YAML: {err}"
            raise TrainingSpecError(msg) from err
        return cls.from_mapping(values, source=str(path))

    @classmethod
    def from_mapping(cls, values: object, *, source: str = "given as a mapping") -> Self:
        """Read a spec from plain values.

        :param source: where the values were written; error messages begin with it.
        """
        if not isinstance(values, dict):
            msg = f"training spec {source!r} holds {type(values).__name__}, not keys and values; begin with 'model: <name>'."
            raise TrainingSpecError(msg)
        try:
            return cls.model_validate(values)
        except ValidationError as err:
            problems = "; ".join(
                _explain(detail, cls.model_fields) for detail in err.errors(include_url=False)
            )
            msg = f"training spec {source!r}: {problems}"
            raise TrainingSpecError(msg) from err

    @field_validator("model")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        return check_name(value, what="model name")

    @field_validator("module")
    @classmethod
    def _import_path(cls, value: str) -> str:
        if not _IMPORT_PATH.match(value):
            msg = "write the import path of a class as package.module:Class"
            raise ValueError(msg)
        return value

    @field_validator("strategy", mode="before")
    @classmethod
    def _known_strategy(cls, value: object) -> object:
        return check_strategy(value)

    @model_validator(mode="after")
    def _engine_can(self) -> Self:
        check_processes(engine=self.engine, processes=self.processes, batch_size=self.batch_size)
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        written: dict[str, Any] = handler(self)
        return {k: v for k, v in written.items() if k not in _LATER or v != fields[k].default}

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> Self:
        names = [feature.name for feature in self.features]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            msg = f"features {repeated} are listed more than once; list each column once"
            raise ValueError(msg)
        if self.target in names:
            msg = f"target {self.target!r} is also a feature, so the model would read the answer; remove one of them"
            raise ValueError(msg)
        return self

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The columns a training file must have: features in order, then the target."""
        return (*(feature.name for feature in self.features), self.target)


def _explain(detail: ErrorDetails, fields: Mapping[str, object]) -> str:
    key = ".".join(map(str, detail["loc"])) or "as a whole"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(detail["loc"][-1]), fields, n=1)
        return f"key {key!r} is not known" + (f", did you mean {close[0]!r}?" if close else "")
    message = detail["msg"].removeprefix("Value error, ")
    received = "" if isinstance(detail["input"], dict) else f" (received {detail['input']!r})"
    return f"key {key!r}: {message}{received}" if detail["loc"] else message


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training, ready to run.

    :param data: CSV as ``COPY .. CSV HEADER`` writes it: a header, an empty unquoted field is missing.
        It has every column of ``spec.required_columns``, in any order, oldest row first. Rows that tie
        in time need a second sort key, otherwise a retry reads other data and starts afresh.
    :param work_dir: folder for checkpoints and outputs. Equal over the retries of one task, so that
        a retry resumes; holds a few times the size of the model.
    """

    spec: TrainingSpec
    data: Path
    work_dir: Path

    def fingerprint(self) -> str:
        """Hash of spec and data, reading the whole file once; only equal jobs share checkpoints."""
        digest = hashlib.sha256(json.dumps(self.spec.model_dump(mode="json"), sort_keys=True).encode())
        try:
            with self.data.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as err:
            msg = f"training data {str(self.data)!r} cannot be read ({err.strerror}); export the dataset version first."
            raise TrainingSpecError(msg) from err
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a finished training left behind.

    :param artifact_dir: folder with ``model.onnx``, ``model.pt2`` and ``metadata.json``.
    :param epochs: whole passes done, over all tries.
    :param steps: optimiser steps done, over all tries.
    :param rows: rows read, training and validation together.
    :param metrics: measured on the validation rows with the kept weights.
    :param seconds: wall clock of the try that finished.
    :param resumed: whether that try began from a checkpoint of an earlier one.
    :param weights_digest: SHA-256 over names, shapes and bytes of the kept weights.
    :param device: what it ran on, as Lightning names it: ``cpu`` or ``cuda``.
    """

    artifact_dir: str
    epochs: int
    steps: int
    rows: int
    metrics: dict[str, float]
    seconds: float
    resumed: bool
    weights_digest: str
    device: str = "cpu"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training is.

    :param epoch: the epoch now running, from 1.
    :param loss: mean training loss of this epoch so far; ``None`` if the module reports none.
    :param validation_loss: of the latest finished epoch; ``None`` during the first.
    :param rows_per_second: training rows per wall-clock second in this try.
    :param eta_seconds: time left if all ``max_epochs`` are needed.
    """

    epoch: int
    max_epochs: int
    step: int
    loss: float | None
    validation_loss: float | None
    rows_per_second: float
    eta_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**values)
