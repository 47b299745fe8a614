"""Finding a training module: in the parent without running it, in the child for real."""

from __future__ import annotations

import ast
import inspect
from difflib import get_close_matches
from importlib.abc import InspectLoader
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.imports import import_named
from airflow_dataml.core.environment import find_module
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.warm_start import read_start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytorch_lightning import LightningModule

    from airflow_dataml.core.features import FeatureEncoding
    from airflow_dataml.core.training import TrainingSpec


def module_source(spec: TrainingSpec) -> str:
    """Return the source of the files that hold a spec's module and data module, having run none of it.

    Empty where there is no source to read (a compiled module); the child then is the one to judge.

    :raises TrainingSpecError: a module is not there, does not parse, or has no such class.
    """
    source = _source("module", spec.module, spec.model)
    return source if spec.datamodule is None else source + _source("datamodule", spec.datamodule, spec.model)


def _source(kind: str, import_path: str, model: str) -> str:
    path, _, name = import_path.partition(":")
    said = f"{kind} {import_path!r} of model {model!r}"
    found = find_module(path)
    if found is None:
        msg = f"{said} is not importable: no {path!r} on the import path; put its file beside the DAG or install its package."
        raise TrainingSpecError(msg)
    source = found.loader.get_source(path) if isinstance(found.loader, InspectLoader) else None
    if not source:
        return ""
    try:
        names = _top_level_names(ast.parse(source))
    except SyntaxError as err:
        msg = f"{said} does not parse: {err}"
        raise TrainingSpecError(msg) from err
    if name not in names and "*" not in names:
        close = get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"{said}: {path!r} defines no {name!r}.{hint}"
        raise TrainingSpecError(msg)
    return source


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def load_class(spec: TrainingSpec) -> type[LightningModule]:
    """Import a spec's class; this runs the user's module.

    :raises TrainingSpecError: it cannot be imported, is no LightningModule, or refuses the arguments' names.
    """
    from pytorch_lightning import LightningModule

    said = f"module {spec.module!r} of model {spec.model!r}"
    found = import_named(spec.module, said=said)
    if not (isinstance(found, type) and issubclass(found, LightningModule)):
        msg = f"{said} is {found!r}, which is no LightningModule class."
        raise TrainingSpecError(msg)
    try:
        inspect.signature(found).bind(
            encoding=None,
            task=spec.task,
            learning_rate=spec.learning_rate,
            **_classes(spec, ()),
            **spec.module_arguments,
        )
    except TypeError as err:
        raise TrainingSpecError(_arguments_refused(spec, err)) from err
    return found


def refuse_untaken(cls: type[LightningModule], spec: TrainingSpec) -> None:
    """Refuse a class that would pass over the teacher or the weights a spec asks for."""
    for key in spec.beside_columns:
        if key not in getattr(cls, "takes", ()):
            option = {"teacher": "distill", "weight": "hard_examples"}[key]
            msg = (
                f"module {spec.module!r} of model {spec.model!r} takes no {key}, which {option} gives: leave {option} out, or "
                f"write takes = ({key!r},) in the class and use batch[3][{key!r}] in its training_step."
            )
            raise TrainingSpecError(msg)


def _classes(spec: TrainingSpec, classes: Sequence[str]) -> dict[str, Any]:
    return {"classes": len(classes)} if spec.task == "multiclass" else {}


def begin_with(
    module: LightningModule,
    spec: TrainingSpec,
    encoding: FeatureEncoding,
    *,
    start: Path | None,
    classes: Sequence[str] = (),
) -> None:
    """Give a fresh module the weights of an earlier version; what it knows of the data, its buffers, stays fresh.

    :param start: file of ``core.warm_start``; nothing is done without one.
    :raises TrainingSpecError: a tensor does not fit.
    """
    import torch

    if spec.distill is not None:
        taught: Any = module
        taught.teacher_weight = spec.distill.weight
    if start is None:
        return
    shapes = {name: tensor.detach().cpu().numpy() for name, tensor in module.named_parameters()}
    fitted = read_start(start).fit(shapes, encoding=encoding, classes=tuple(classes), model=spec.model)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            tensor.copy_(torch.from_numpy(fitted[name]))


def build(
    cls: type[LightningModule], spec: TrainingSpec, encoding: FeatureEncoding, classes: Sequence[str] = ()
) -> LightningModule:
    """Make a module with fresh, seeded weights.

    :param classes: what a ``multiclass`` model tells apart.
    """
    from pytorch_lightning import seed_everything

    seed_everything(spec.seed, verbose=False)
    try:
        return cls(
            encoding=encoding,
            task=spec.task,
            learning_rate=spec.learning_rate,
            **_classes(spec, classes),
            **spec.module_arguments,
        )
    except (TypeError, ValueError) as err:
        raise TrainingSpecError(_arguments_refused(spec, err)) from err


def _arguments_refused(spec: TrainingSpec, err: Exception) -> str:
    given = "".join(f", {name}" for name in _classes(spec, ()))
    return (
        f"module {spec.module!r} of model {spec.model!r} does not accept module_arguments "
        f"{spec.module_arguments!r}: {err}; it is called with encoding, task, learning_rate{given} and these."
    )
