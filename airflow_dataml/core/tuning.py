"""Tuning, as values: which settings to try, what is better, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.training import TrainingSpec

Objective = Literal["accuracy", "latency", "both"]
Direction = Literal["maximize", "minimize"]
# What may be searched besides module arguments; other fields would change what is measured.
TUNABLE = ("learning_rate", "batch_size", "max_epochs", "patience")
ARGUMENT = "module_arguments."
DIRECTIONS: dict[str, Direction] = {
    "auc": "maximize",
    "accuracy": "maximize",
    "f1_macro": "maximize",
    "roc_auc_ovr": "maximize",
    "r2": "maximize",
    "log_loss": "minimize",
    "brier": "minimize",
    "rmse": "minimize",
    "mae": "minimize",
    "validation_loss": "minimize",
}
METRIC_OF_TASK = {"binary": "auc", "regression": "rmse", "multiclass": "log_loss"}
_FEWEST_CHOICES = 2


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, both included; whole ones where both bounds are whole.

    :param log: draw evenly over orders of magnitude; both bounds must be above 0.
    :param step: distance of the numbers from each other; not together with ``log``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            msg = f"low {self.low} is not below high {self.high}"
            raise ValueError(msg)
        if self.log and (self.low <= 0 or self.step is not None):
            msg = f"log wants low above 0 and no step (received low {self.low}, step {self.step})"
            raise ValueError(msg)
        return self

    @property
    def whole(self) -> bool:
        """Whether the numbers are whole."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 1))

    def has(self, value: object) -> bool:
        """Whether a value is one of these."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and (not self.whole or isinstance(value, int))

    def corners(self) -> tuple[JsonValue, ...]:
        """The values that the training spec must accept for it to accept all."""
        return (self.low, self.high)


class Choice(BaseModel):
    """One of several plain values, such as lists of layer widths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: tuple[JsonValue, ...] = Field(min_length=_FEWEST_CHOICES)

    def has(self, value: object) -> bool:
        """Whether a value is one of these."""
        return value in self.choices

    def corners(self) -> tuple[JsonValue, ...]:
        """The values that the training spec must accept for it to accept all."""
        return self.choices


def _choice_of(value: object) -> object:
    return {"choices": value} if isinstance(value, list | tuple) else value


Parameter = Annotated[Range | Choice, BeforeValidator(_choice_of)]


class SearchSpace(BaseModel):
    """Which settings of a training spec may vary, and how.

    :param parameters: ``learning_rate``, ``batch_size``, ``max_epochs``, ``patience`` or
        ``module_arguments.<name>``; to each a ``Range`` or a list of choices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: dict[str, Parameter] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_tunable(self) -> Self:
        for name in self.parameters:
            if name not in TUNABLE and not name.removeprefix(ARGUMENT).isidentifier():
                msg = f"{name!r} cannot be searched: write one of {', '.join(TUNABLE)}, or {ARGUMENT}<name>"
                raise ValueError(msg)
            if name not in TUNABLE and not name.startswith(ARGUMENT):
                msg = f"{name!r} cannot be searched: an argument of the module is written {ARGUMENT}{name}"
                raise ValueError(msg)
        return self

    def apply(self, spec: TrainingSpec, values: dict[str, Any]) -> TrainingSpec:
        """Return a spec with the values of one trial.

        :raises TrainingSpecError: the spec does not take such a value.
        """
        arguments = {k.removeprefix(ARGUMENT): v for k, v in values.items() if k.startswith(ARGUMENT)}
        fields: dict[str, Any] = {k: v for k, v in values.items() if k in TUNABLE}
        if arguments:
            fields["module_arguments"] = spec.module_arguments | arguments
        return TrainingSpec.from_mapping(
            spec.model_dump(mode="json") | fields, source=f"of {spec.model} with {values}"
        )

    def own_values(self, spec: TrainingSpec) -> dict[str, Any]:
        """Return what a spec itself says, where it says something that is in the space."""
        said = {ARGUMENT + key: value for key, value in spec.module_arguments.items()}
        said |= {name: getattr(spec, name) for name in TUNABLE}
        return {
            name: said[name]
            for name, parameter in self.parameters.items()
            if name in said and parameter.has(said[name])
        }


class TuningSpec(BaseModel):
    """What to tune, towards what, and with which budget.

    :param training: the spec whose settings vary; its own settings are tried first.
    :param space: what varies, see ``SearchSpace``.
    :param objective: ``accuracy`` is the metric on the validation rows; ``latency`` the time the exported
        model needs for a block of real rows; ``both`` looks for the trials that no other one beats in both.
    :param metric: of the validation rows; ``auc`` (binary) and ``rmse`` (regression) unless given.
    :param bound: with ``latency``, the worst metric a chosen trial may have; a faster and worse one is pruned.
    :param trials: how many trials, over all shards and tries.
    :param seconds: no trial is begun once this shard's trials have taken so long together; the one that runs
        then is finished. At least one of ``trials`` and ``seconds`` is needed.
    :param prune: end a trial whose validation loss is worse than the median of earlier ones at that epoch; for
        ``accuracy`` only.
    :param seed: equal seeds, spaces and results give equal trials, also after a kill.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: TrainingSpec
    space: SearchSpace
    objective: Objective = "accuracy"
    metric: str = ""
    bound: float | None = Field(default=None, allow_inf_nan=False)
    trials: int | None = Field(default=None, ge=1, le=100_000)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    prune: bool = False
    seed: int = Field(default=0, ge=0, lt=2**31)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a spec from a YAML file; its ``training`` may be the name of a file beside it."""
        import yaml

        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as err:
            msg = f"tuning spec {str(path)!r} cannot be read ({err.strerror}); give the path of a YAML file."
            raise TrainingSpecError(msg) from err
        except (yaml.YAMLError, UnicodeDecodeError) as err:
            msg = f"tuning spec {str(path)!r} is not YAML: {err}"
            raise TrainingSpecError(msg) from err
        if isinstance(values, dict) and isinstance(values.get("training"), str):
            values["training"] = TrainingSpec.from_yaml(Path(path).parent / values["training"])
        return cls.from_mapping(values, source=str(path))

    @classmethod
    def from_mapping(cls, values: object, *, source: str = "given as a mapping") -> Self:
        """Read a spec from plain values.

        :param source: where the values were written; error messages begin with it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as err:
            found = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'as a whole'}: {one['msg'].removeprefix('Value error, ')}"
                for one in err.errors(include_url=False)
            )
            msg = f"tuning spec {source!r}: {found}"
            raise TrainingSpecError(msg) from err

    @model_validator(mode="before")
    @classmethod
    def _written_shortly(cls, values: Any, info: ValidationInfo) -> Any:
        """Take a space as its parameters, and know the usual metric."""
        del info
        if not isinstance(values, dict):
            return values
        space, training = values.get("space"), values.get("training")
        if isinstance(space, dict) and "parameters" not in space:
            values = values | {"space": {"parameters": space}}
        if not values.get("metric") and training is not None:
            task = training.get("task") if isinstance(training, dict) else getattr(training, "task", None)
            values = values | {"metric": METRIC_OF_TASK.get(str(task), "validation_loss")}
        return values

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.metric not in DIRECTIONS:
            msg = f"metric {self.metric!r} is not known: write one of {', '.join(DIRECTIONS)}"
            raise ValueError(msg)
        if self.trials is None and self.seconds is None:
            msg = "there is no budget: give trials, seconds, or both"
            raise ValueError(msg)
        if self.prune and self.objective != "accuracy":
            msg = f"prune compares validation losses, which say nothing of {self.objective}: leave it out"
            raise ValueError(msg)
        if (self.bound is not None) != (self.objective == "latency"):
            msg = (
                f"objective latency alone would choose the emptiest model: give bound, the worst {self.metric} it may have"
                if self.bound is None
                else f"bound is for objective latency, and objective is {self.objective}: leave it out"
            )
            raise ValueError(msg)
        for name, parameter in self.space.parameters.items():
            for value in parameter.corners():
                self.space.apply(self.training, {name: value})
        return self

    @property
    def direction(self) -> Direction:
        """Which values of the metric are better."""
        return DIRECTIONS[self.metric]

    @property
    def exports(self) -> bool:
        """Whether trials are exported, which costs each some seconds; their latency is then measured."""
        return self.objective != "accuracy"

    def within_bound(self, metric: float) -> bool:
        """Whether a trial with this metric may be chosen."""
        if self.bound is None:
            return True
        return metric >= self.bound if self.direction == "maximize" else metric <= self.bound


def share_of(trials: int | None, *, shard: int, shards: int) -> int | None:
    """Return how many of the trials are one shard's.

    >>> [share_of(7, shard=shard, shards=3) for shard in range(3)]
    [3, 2, 2]
    """
    return None if trials is None else trials // shards + (shard < trials % shards)
