"""What a training costs beside the same network trained by hand.

One network, 30-64-64-1 with ReLU, one data set, 80,000 rows to train on and 20,000 to validate on, 15
epochs of batches of 512, AdamW, one thread. Every way runs in a process of its own; its imports are
measured apart. Ways alternate over the rounds and the best round of each counts.

``whole task`` is what the operator's child does: interpreter, imports, CSV, training, checkpoints,
measures, both exports; beside it Lightning by hand with slicing loader, imports and the same CSV.

    python -m dev.bench.training [--rounds 3] [--minute]

``--minute`` trains as many epochs as take about a minute, and compares wall clock: the share that the
platform adds to a run of ordinary length.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning import LightningTrainer
from airflow_dataml.adapters.lightning.trainer import child_environment
from airflow_dataml.core.features import Feature
from airflow_dataml.core.training import TrainingJob, TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, TRAINED, WIDTH, BATCH = 100_000, 80_000, 30, 512
NAMES = tuple(f"x{place}" for place in range(WIDTH))
WAYS = ("raw torch, sliced", "Lightning, DataLoader", "Lightning, sliced", "ours")


def spec(epochs: int) -> TrainingSpec:
    """The training that is measured, in the platform's words."""
    return TrainingSpec(
        model="bench",
        features=tuple(Feature(name=name, kind="numeric") for name in NAMES),
        target="y",
        task="binary",
        max_epochs=epochs,
        batch_size=BATCH,
        patience=None,
        validation_fraction=1 - TRAINED / ROWS,
        module_arguments={"hidden": [64, 64]},
    )


def write_rows(path: Path) -> None:
    """Write the data set as the export of a dataset version would."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    random = np.random.default_rng(7)
    values = random.standard_normal((ROWS, WIDTH))
    logit = values @ random.standard_normal(WIDTH) / math.sqrt(WIDTH) + np.sin(values[:, 0] * 2)
    label = (random.random(ROWS) < 1 / (1 + np.exp(-logit))).astype("int8")
    columns = {name: values[:, place].round(6) for place, name in enumerate(NAMES)}
    csv.write_csv(pa.table(columns | {"y": label}), path)


def by_hand(way: str, data: Path, epochs: int, folder: Path) -> dict[str, float]:
    """Train one way in this process; seconds of CPU for imports, reading, and training."""
    began = time.process_time()
    import torch
    from torch import nn

    if way != "raw torch, sliced":
        import pytorch_lightning  # noqa: F401 - its import is what is timed
    torch.set_num_threads(1)
    imported = time.process_time()
    features, target = _read(data)
    read, wall = time.process_time(), time.monotonic()
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    if way == "raw torch, sliced":
        _raw(network, features, target, epochs)
    elif way == "ours":
        _ours(data, epochs, folder)
    else:
        _lightning(network, features, target, epochs, sliced=way == "Lightning, sliced", folder=folder)
    trained = time.process_time()
    return {
        "import": imported - began,
        "read": read - imported,
        "train": trained - read,
        "wall": time.monotonic() - wall,
    }


def _read(data: Path) -> tuple[Any, Any]:
    import numpy as np
    import torch
    from pyarrow import csv

    table = csv.read_csv(data)
    columns = [table.column(name).to_numpy().astype("float32") for name in NAMES]
    target = table.column("y").to_numpy().astype("float32")
    return torch.from_numpy(np.stack(columns, axis=1)), torch.from_numpy(target)


def _raw(network: Any, features: Any, target: Any, epochs: int) -> None:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as loss_of

    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    for epoch in range(epochs):
        order = torch.randperm(TRAINED, generator=torch.Generator().manual_seed(epoch))
        for start in range(0, TRAINED, BATCH):
            rows = order[start : start + BATCH]
            loss = loss_of(network(features[rows]).squeeze(1), target[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.inference_mode():
            loss_of(network(features[TRAINED:]).squeeze(1), target[TRAINED:])


def _lightning(network: Any, features: Any, target: Any, epochs: int, *, sliced: bool, folder: Path) -> None:
    import warnings

    import torch
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.callbacks import ModelCheckpoint
    from torch.nn.functional import binary_cross_entropy_with_logits as loss_of
    from torch.utils.data import DataLoader, TensorDataset

    from airflow_dataml.adapters.lightning.data import SlicingLoader

    warnings.filterwarnings("ignore")

    class ByHand(LightningModule):
        """What a user would write."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def _loss(self, batch: Any) -> Any:
            return loss_of(self.network(batch[0]).squeeze(1), batch[-1])

        def training_step(self, batch: Any, _: int) -> Any:
            return self._loss(batch)

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("validation_loss", self._loss(batch), batch_size=len(batch[-1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=1e-4)

    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=[ModelCheckpoint(folder / "hand", monitor="validation_loss", save_last=True)],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if sliced:
        empty = torch.zeros(ROWS, 0)
        rows = (features[:TRAINED], empty[:TRAINED], target[:TRAINED])
        later = (features[TRAINED:], empty[TRAINED:], target[TRAINED:])
        first: Any = SlicingLoader(rows, batch_size=BATCH, epoch=lambda: trainer.current_epoch)
        second: Any = SlicingLoader(later, batch_size=8192)
    else:
        first = DataLoader(
            TensorDataset(features[:TRAINED], target[:TRAINED]), batch_size=BATCH, shuffle=True
        )
        second = DataLoader(TensorDataset(features[TRAINED:], target[TRAINED:]), batch_size=8192)
    trainer.fit(ByHand(), first, second)


def _ours(data: Path, epochs: int, folder: Path) -> None:
    import warnings

    from airflow_dataml.adapters.lightning import data as training_data
    from airflow_dataml.adapters.lightning import modules
    from airflow_dataml.adapters.lightning.fit import fit
    from airflow_dataml.adapters.lightning.ranks import Ranks

    warnings.filterwarnings("ignore")
    asked = spec(epochs)
    rows = training_data.load(data, asked)
    module = modules.build(modules.load_class(asked), asked, rows.encoding)
    fit(module, rows, asked, folder=folder / "ours", on_progress=lambda progress: None, ranks=Ranks())


def whole_task(data: Path, epochs: int, folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of what the operator runs, its child process included."""
    before, began = os.times(), time.monotonic()
    job = TrainingJob(spec=spec(epochs), data=data, work_dir=folder)
    LightningTrainer().train(job, on_progress=lambda progress: None)
    return _cpu_since(before), time.monotonic() - began


def in_process_of_its_own(way: str, data: Path, epochs: int) -> tuple[dict[str, float], float, float]:
    """One way's own figures, then CPU and wall seconds of its whole process."""
    before, began = os.times(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "dev.bench.training", "--way", way, "--data", str(data), "--epochs", str(epochs), "--folder", folder],
            stdout=subprocess.PIPE, text=True, check=True, env=child_environment(os.environ, threads=1),
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]), _cpu_since(before), time.monotonic() - began


def _cpu_since(before: os.times_result) -> float:
    now = os.times()
    return sum(now[:4]) - sum(before[:4])


def report(rounds: int, epochs: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-training-") as place:
        data = Path(place) / "rows.csv"
        write_rows(data)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        processes: dict[str, list[tuple[float, float]]] = {"Lightning, sliced": [], "whole task": []}
        for turn in range(rounds):
            for way in WAYS:
                figures, cpu, wall = in_process_of_its_own(way, data, epochs)
                found[way].append(figures)
                if way in processes:
                    processes[way].append((cpu, wall))
            processes["whole task"].append(whole_task(data, epochs, Path(place) / f"task{turn}"))
    best = {way: min(several, key=lambda one: one["train"]) for way, several in found.items()}
    floor = best["raw torch, sliced"]["train"]
    print(f"{TRAINED:,} rows x {WIDTH}, {epochs} epochs, one thread, best of {rounds}; CPU seconds")
    print(f"{'':26}{'import':>8}{'train':>8}{'x raw':>8}")
    for way, one in best.items():
        print(f"{way:26}{one['import']:8.2f}{one['train']:8.2f}{one['train'] / floor:7.2f}x")
    print("the whole process: CPU s, wall s")
    for way, several in processes.items():
        cpu, wall = min(several)
        print(f"{way:26}{cpu:8.2f}{wall:8.2f}")


def minute(rounds: int) -> None:
    """Print what the platform adds to a run of about a minute."""
    with tempfile.TemporaryDirectory(prefix="bench-training-") as place:
        data = Path(place) / "rows.csv"
        write_rows(data)
        once = in_process_of_its_own("Lightning, sliced", data, 15)[0]["wall"]
        epochs = math.ceil(60 / (once / 15))
        hand, ours = [], []
        for turn in range(rounds):
            hand.append(in_process_of_its_own("Lightning, sliced", data, epochs)[2])
            ours.append(whole_task(data, epochs, Path(place) / f"task{turn}")[1])
    print(
        f"{epochs} epochs: Lightning by hand {min(hand):.1f} s, ours {min(ours):.1f} s wall: {min(ours) / min(hand) - 1:+.1%}"
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--minute", action="store_true")
    for internal in ("--way", "--data", "--folder"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        train: Callable[..., dict[str, float]] = by_hand
        print(json.dumps(train(options.way, Path(options.data), options.epochs, Path(options.folder))))
    elif options.minute:
        minute(options.rounds)
    else:
        report(options.rounds, options.epochs)


if __name__ == "__main__":
    main()
