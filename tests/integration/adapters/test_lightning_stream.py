"""Training data larger than memory: streamed as read whole, and resumed as undisturbed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from tests.integration.adapters.test_lightning import (
    ROWS,
    job,  # noqa: F401 - a fixture
    modules,  # noqa: F401 - a fixture
    spec,
    train,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.core.training import TrainingJob

pytestmark = pytest.mark.slow
TINY_MB = 1
LARGE = 20_000


def write_large(path: Path) -> Path:
    """Write a file of several CSV blocks, which a memory of one MiB does not hold."""
    lines = ["late,flag,distance,carrier,spare"]
    for row in range(LARGE):
        carrier = "ABC"[row % 3] if row < LARGE // 2 else ("", '""', "D", "B")[row % 4]
        flag, distance = "tf"[row % 5 < 2], "" if row % 11 == 0 else (row * 7919 % 1000) / 7
        lines.append(f'{"tf"[row * 31 % 7 < 3]},{flag},{distance},{carrier},"{"a, b" * 25}\n"')
    path.write_text("\n".join(lines) + "\n")
    return path


def both(path: Path, **changes: Any) -> tuple[TrainingData, TrainingData]:
    """Read a file whole and streamed."""
    from airflow_dataml.adapters.lightning.data import load
    from airflow_dataml.adapters.lightning.stream import load_streamed

    return load(path, spec(**changes)), load_streamed(
        path, spec(memory_mb=TINY_MB, **changes), folder=path.parent
    )


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_streamed_file_of_one_block_is_the_file_read_whole(tmp_path: Path, task: str) -> None:
    import torch

    whole, streamed = both(write_rows(tmp_path / "rows.csv"), task=task)
    assert (whole.window, streamed.encoding, streamed.target) == (None, whole.encoding, whole.target)
    assert streamed.labels.tolist() == whole.labels.tolist()
    assert streamed.train_rows == whole.train_rows
    for one, other in zip(streamed.tensors, whole.tensors, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(torch.nan_to_num(one, -1.0), torch.nan_to_num(other, -1.0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.csv"]


def test_blocks_are_merged_to_the_encoding_of_the_whole(tmp_path: Path) -> None:
    import torch

    path = write_large(tmp_path / "rows.csv")
    assert path.stat().st_size > 2 << 20
    whole, streamed = both(path)
    assert streamed.encoding.categorical == whole.encoding.categorical
    for one, other in zip(streamed.encoding.numeric, whole.encoding.numeric, strict=True):
        assert one.missing_fraction == other.missing_fraction
        assert (one.mean, one.std) == pytest.approx((other.mean, other.std), rel=1e-14)
    for one, other in zip(streamed.tensors, whole.tensors, strict=True):
        assert torch.equal(torch.nan_to_num(one, -1.0), torch.nan_to_num(other, -1.0))


def test_one_window_gives_the_weights_of_the_file_read_whole(tmp_path: Path) -> None:
    from airflow_dataml.adapters.lightning.stream import is_streamed
    from airflow_dataml.core.training import TrainingJob

    # Most of the file is a column that is not read, so what is read fits in one window.
    data = write_rows(tmp_path / "rows.csv", spare="a" * 1000)
    whole, streamed = (
        TrainingJob(spec=spec(memory_mb=memory), data=data, work_dir=tmp_path / str(memory))
        for memory in (None, TINY_MB)
    )
    assert (is_streamed(data, whole.spec), is_streamed(data, streamed.spec)) == (False, True)
    one, other = train(whole), train(streamed)
    assert one.weights_digest == other.weights_digest
    assert one.metrics == other.metrics


@pytest.mark.parametrize("size", [1, 2], ids=["alone", "two processes"])
def test_windows_deal_every_row_once_and_by_epoch(size: int) -> None:
    import torch

    from airflow_dataml.adapters.lightning.stream import WindowLoader

    rows = torch.arange(1002.0)
    batches: dict[int, list[list[list[float]]]] = {0: [], 1: []}
    for epoch, seen in batches.items():
        for rank in range(size):
            loader = WindowLoader(
                (rows[:, None], rows[:, None], rows),
                batch_size=64, seed=3, epoch=lambda epoch=epoch: epoch, beside={"weight": rows * 2},
                window=100, release=lambda: None, rank=rank, size=size,
            )  # fmt: skip
            found = list(loader)
            assert all(torch.equal(batch[3]["weight"], batch[0][:, 0] * 2) for batch in found)
            assert all(torch.equal(batch[2], batch[1][:, 0]) for batch in found)
            assert len(found) == len(loader)
            again = [batch[2].tolist() for batch in loader]
            seen.append([batch[2].tolist() for batch in found])
            assert again == seen[-1]
    dealt = [value for rank in batches[0] for batch in rank for value in batch]
    assert sorted(dealt) == rows.tolist()
    assert {len(batch) for rank in batches[0] for batch in rank[:-1]} == {64 // size}
    assert batches[0] != batches[1]


def test_no_row_is_left_alone_in_the_last_batch_of_windows() -> None:
    import torch

    from airflow_dataml.adapters.lightning.stream import WindowLoader

    rows = torch.arange(129.0)
    loader = WindowLoader((rows, rows, rows), batch_size=32, epoch=lambda: 0, window=16, release=lambda: None)
    assert [len(batch[2]) for batch in loader] == [32] * 4


def test_a_killed_streamed_training_resumes_as_if_undisturbed(tmp_path: Path, modules: Path) -> None:  # noqa: F811 - the fixture
    from airflow_dataml.core.training import TrainingJob

    del modules
    (markers := tmp_path / "markers").mkdir()
    asked = spec(
        module="Fragile",
        module_arguments={"markers": str(markers)},
        memory_mb=TINY_MB,
        max_epochs=3,
        batch_size=1024,
    )
    data = write_large(tmp_path / "rows.csv")
    fragile = TrainingJob(spec=asked, data=data, work_dir=tmp_path / "work")
    for _ in ("batch", "end"):
        with pytest.raises(TrainingCrashedError, match="SIGKILL"):
            train(fragile)
    resumed = train(fragile)
    undisturbed = train(replace(fragile, work_dir=tmp_path / "elsewhere"))
    assert (resumed.resumed, undisturbed.resumed) == (True, False)
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.rows == LARGE
    read_whole = train(
        replace(fragile, spec=asked.model_copy(update={"memory_mb": None}), work_dir=tmp_path / "whole")
    )
    assert read_whole.weights_digest != resumed.weights_digest
    assert read_whole.metrics["validation_loss"] == pytest.approx(
        resumed.metrics["validation_loss"], rel=0.05
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("late,flag,distance,carrier\n", r"has 0 rows, at least 10 are needed"),
        ("late,flag,carrier\nt,t,A\n", r"lack columns \['distance'\]; the file has"),
        ("late,flag,distance,carrier\nt,t\n", r"is no CSV with one header"),
        ("late,flag,distance,carrier\n" + "t,t,1,A\n" * 20, r"is 1 in all 18 training rows"),
        ("late,flag,distance,carrier\n" + "t,t,1,A\n,t,1,A\n" * 10, r"is missing or infinite in 10 of 20"),
        ("late,flag,distance,carrier\n" + "0,t,1,A\n2,t,1,A\n" * 10, r"target 'late' holds 2"),
        ("late,flag,distance,carrier\n" + "0,t,far,A\n1,t,1,A\n" * 10, r"'distance' holds 'far'"),
    ],
    ids=["no rows", "no column", "ragged", "constant", "missing", "three classes", "a word"],
)
def test_a_streamed_file_is_refused_as_one_read_whole_is(tmp_path: Path, text: str, message: str) -> None:
    from airflow_dataml.adapters.lightning.stream import load_streamed

    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(TrainingSpecError, match=message):
        load_streamed(path, spec(), folder=tmp_path)


def test_what_decides_is_the_size_of_the_file(tmp_path: Path) -> None:
    from airflow_dataml.adapters.lightning.data import load
    from airflow_dataml.adapters.lightning.stream import is_streamed

    path = write_large(tmp_path / "rows.csv")
    assert not is_streamed(path, spec())
    assert is_streamed(path, spec(memory_mb=TINY_MB))
    assert load(path, spec(memory_mb=TINY_MB)).window is not None
    assert load(write_rows(tmp_path / "few.csv"), spec(memory_mb=TINY_MB)).window is None


def with_datamodule(job: TrainingJob, name: str, **changes: Any) -> TrainingJob:  # noqa: F811 - its parameter
    """The job with a data module of MODULES."""
    return replace(job, spec=spec(datamodule=f"beside_dag:{name}", **changes))


def test_a_data_module_makes_the_batches(job: TrainingJob, modules: Path) -> None:  # noqa: F811 - the fixtures
    del modules
    ours = train(replace(job, work_dir=job.work_dir / "ours"))
    half = train(
        with_datamodule(
            replace(job, work_dir=job.work_dir / "half"), "Rows", datamodule_arguments={"share": 0.5}
        )
    )
    assert (ours.steps, half.steps) == (ours.epochs * 9, half.epochs * 5)
    assert half.rows == ROWS
    own = train(with_datamodule(replace(job, work_dir=job.work_dir / "own"), "OwnValidation", patience=None))
    plain = train(with_datamodule(replace(job, work_dir=job.work_dir / "plain"), "Rows", patience=None))
    assert own.metrics["train_loss"] == plain.metrics["train_loss"]
    assert own.metrics["validation_loss"] != plain.metrics["validation_loss"]


def test_a_killed_training_with_a_data_module_resumes_as_if_undisturbed(
    job: TrainingJob,  # noqa: F811 - the fixture
    modules: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    del modules
    (markers := tmp_path / "markers").mkdir()
    fragile = with_datamodule(
        job, "Rows", module="Fragile", module_arguments={"markers": str(markers), "dropout": 0.3}
    )
    for _ in ("batch", "end"):
        with pytest.raises(TrainingCrashedError, match="SIGKILL"):
            train(fragile)
    resumed = train(fragile)
    undisturbed = train(replace(fragile, work_dir=tmp_path / "elsewhere"))
    assert resumed.resumed
    assert resumed.weights_digest == undisturbed.weights_digest


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("beside_dag:NoLoader", {}, r"'beside_dag:NoLoader' .* has no train_dataloader"),
        ("beside_dag:NotAModule", {}, r"which is no LightningDataModule class"),
        ("beside_dag:Rows", {"shar": 1}, r"does not accept datamodule_arguments \{'shar': 1\}"),
        ("beside_dag:Rowz", {}, r"defines no 'Rowz'\. Did you mean 'Rows'\?"),
        ("nowhere.at_all:Rows", {}, r"datamodule 'nowhere.at_all:Rows' .* is not importable"),
    ],
    ids=["no loader", "another class", "arguments", "no class", "no module"],
)
def test_a_data_module_that_cannot_be_used_is_refused(
    job: TrainingJob,  # noqa: F811 - the fixture
    modules: Path,  # noqa: F811 - the fixture
    name: str,
    arguments: dict[str, Any],
    message: str,
) -> None:
    del modules
    with pytest.raises(TrainingSpecError, match=message):
        train(replace(job, spec=spec(datamodule=name, datamodule_arguments=arguments)))
