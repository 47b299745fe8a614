"""Training, as values: what is asked for, what is handed to a trainer, and what comes back."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import dataclass
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
from airflow_dataml.core.guidance import (
    START_FILE,
    TEACHER_COLUMN,
    WEIGHT_COLUMN,
    Distillation,
    HardRows,
    VersionName,
    is_taught,
)
from airflow_dataml.core.refs import check_name
from airflow_dataml.core.training_result import Progress, TrainingResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

__all__ = ["DEFAULT_MODULE", "Feature", "Progress", "Task", "TrainingJob", "TrainingResult", "TrainingSpec"]

DEFAULT_MODULE = "airflow_dataml.adapters.lightning.tabular:TabularModule"
Task = Literal["binary", "regression", "multiclass"]
# Came after specs were first recorded: at its default it is left out, so that older digests stay what they are.
_LATER = (
    "engine",
    "processes",
    "accelerator",
    "strategy",
    "warm_start",
    "distill",
    "hard_examples",
    "memory_mb",
    "datamodule",
    "datamodule_arguments",
)
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")


class TrainingSpec(BaseModel):
    """What to train: the model, its columns, and how long to try.

    :param model: logical name of the model asset.
    :param module: import path ``package.module:Class`` of a LightningModule; see
        ``adapters/lightning/tabular.py`` for what it must accept and give.
    :param module_arguments: plain values handed to that class as keywords.
    :param features: input columns, in the order the model sees them.
    :param target: the column to predict. It may not be missing in any row.
    :param task: ``binary`` wants 0/1 (or boolean) and scores a probability; ``regression`` any number;
        ``multiclass`` texts or integers, and gives a probability of each class.
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
    :param warm_start: version whose weights to begin with: an alias of the model, or ``name@number``. Names and
        shapes must fit; rows of an embedding follow their category. Without a champion yet, ``champion`` is fresh weights.
    :param distill: teacher whose scores are learnt beside the labels.
    :param hard_examples: rows that count for more.
    :param memory_mb: MiB that the rows may take. A file that would take more is streamed from disk and shuffled by
        windows; ``None`` is 4096. Torch and the network come on top.
    :param datamodule: import path ``package.module:Class`` of a LightningDataModule that makes the batches; see
        ``adapters/lightning/datamodules.py`` for what it must accept and give.
    :param datamodule_arguments: plain values handed to that class as keywords.
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
    warm_start: VersionName | None = None
    distill: Distillation | None = None
    hard_examples: HardRows | None = None
    memory_mb: int | None = Field(default=None, ge=1)
    datamodule: str | None = None
    datamodule_arguments: dict[str, JsonValue] = Field(default_factory=dict)

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

    @field_validator("module", "datamodule")
    @classmethod
    def _import_path(cls, value: str | None) -> str | None:
        if value is not None and not _IMPORT_PATH.match(value):
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
        return {
            k: v
            for k, v in written.items()
            if k not in _LATER or v != fields[k].get_default(call_default_factory=True)
        }

    @model_validator(mode="after")
    def _batches_are_whole(self) -> Self:
        if self.datamodule is None and self.datamodule_arguments:
            msg = "datamodule_arguments are for a datamodule, and there is none; name it or leave them out"
            raise ValueError(msg)
        if self.datamodule is not None and self.beside_columns:
            msg = "a datamodule makes batches without what distill and hard_examples give; leave either out"
            raise ValueError(msg)
        return self

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
        taken = sorted(name for name in {*names, self.target} if name == WEIGHT_COLUMN or is_taught(name))
        if taken:
            msg = f"columns {taken} are names that training itself uses; rename them in the dataset"
            raise ValueError(msg)
        return self

    @property
    def beside_columns(self) -> dict[str, str]:
        """What a module that takes it finds beside the batch, and the column of the training file it is read from.

        Of ``multiclass`` a teacher has one column per class; see ``core.guidance.taught_column``.
        """
        found = {"teacher": TEACHER_COLUMN} if self.distill is not None else {}
        return found | ({"weight": WEIGHT_COLUMN} if self.hard_examples is not None else {})

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

    @property
    def start(self) -> Path | None:
        """File of the weights to begin with, beside the data; the version in the spec says which they are."""
        return self.data.parent / START_FILE if self.spec.warm_start is not None else None

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
