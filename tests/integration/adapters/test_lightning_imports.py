"""Modules and data modules of users whose files cannot be imported."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.lightning.datamodules import load_datamodule
from airflow_dataml.adapters.lightning.modules import load_class
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.training import TrainingJob
from tests.integration.adapters.test_lightning import spec, train, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Beside = Callable[[str], str]


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Beside:
    """Writes a file beside a DAG, under a name that nobody imported yet; returns the path of its class."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(line: str) -> str:
        name = f"beside_{uuid.uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(f"{line}\n\n\nclass Mine:\n    pass\n")
        return f"{name}:Mine"

    return write


@pytest.mark.parametrize("kind", ["module", "datamodule"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nowhere()", "NameError: name 'nowhere' is not defined"),
        ("int('ten')", "ValueError: invalid literal"),
        ("len(1)", "TypeError: object of type 'int'"),
        ("{}['batch_size']", "KeyError: 'batch_size'"),
        ("1 / 0", "ZeroDivisionError"),
        ("assert False, 'needs a GPU'", "AssertionError: needs a GPU"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("del undefined", "NameError: name 'undefined' is not defined"),
    ],
    ids=["name", "value", "type", "key", "arithmetic", "assertion", "import", "deleted"],
)
def test_a_file_with_a_mistake_is_refused_with_it(beside: Beside, kind: str, line: str, message: str) -> None:
    named = beside(line)
    load = {"module": load_class, "datamodule": load_datamodule}[kind]
    with pytest.raises(
        TrainingSpecError,
        match=f"{kind} '{named}' of model 'flight_delay' cannot be imported: {message}",
    ):
        load(spec().model_copy(update={kind: named}))


@pytest.mark.parametrize("kind", ["module", "datamodule"])
def test_what_is_no_mistake_of_the_file_is_left_as_it_is(beside: Beside, kind: str) -> None:
    load = {"module": load_class, "datamodule": load_datamodule}[kind]
    with pytest.raises(OSError, match="the disk is gone"):
        load(spec().model_copy(update={kind: beside("raise OSError('the disk is gone')")}))


@pytest.mark.slow
def test_the_training_process_tells_it_as_a_mistake_of_the_spec(beside: Beside, tmp_path: Path) -> None:
    job = TrainingJob(spec=spec(), data=write_rows(tmp_path / "rows.csv"), work_dir=tmp_path / "work")
    with pytest.raises(
        TrainingSpecError, match=r"datamodule .* cannot be imported: NameError: name 'nowhere'"
    ):
        train(replace(job, spec=spec(datamodule=beside("nowhere()"))))
