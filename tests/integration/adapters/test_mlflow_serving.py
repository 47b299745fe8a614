"""``mlflow models serve``, really started on a champion of ours: what it answers is what batches get."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.core.training import TrainingJob
from dev.embedded import ensure_database
from tests.integration.adapters.test_lightning import spec, train, write_rows
from tests.integration.adapters.test_mlflow import Migrated

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.slow]
_UP_WITHIN_S = 90.0


@contextlib.contextmanager
def served(model_uri: str, *, tracking_uri: str, log: Path) -> Iterator[str]:
    """Serve a model on a free port of this machine; its processes end with the block, whatever happens in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "--model-uri",
        model_uri,
        "--env-manager",
        "local",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": path,
    }
    with log.open("wb") as said:
        server = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            _wait(server, f"http://127.0.0.1:{port}/ping", log)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until, pause = time.monotonic() + _UP_WITHIN_S, threading.Event()
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), _get(url) as answer:
            if answer.status == 200:
                return
        pause.wait(0.1)
    msg = f"the server did not come up: {log.read_text()[-2000:]}"
    raise RuntimeError(msg)


def _get(request: str | urllib.request.Request) -> Any:
    # No proxy is asked: nothing leaves this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=10)


def ask(url: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - localhost
    with _get(request) as answer:
        return json.loads(answer.read())


def test_a_served_champion_scores_as_batches_do(postgres_server: str, tmp_path: Path) -> None:
    import numpy as np

    store = Migrated(ensure_database(postgres_server, "mlflow_serving"), tmp_path / "artifacts")
    asked = spec()
    result = train(
        TrainingJob(spec=asked, data=write_rows(tmp_path / "rows.csv"), work_dir=tmp_path / "work")
    )
    folder = Path(result.artifact_dir)
    registry = store.registry()
    run = registry.ensure_run(experiment="served", key="k", name="n", params={}, tags={})
    kinds = {kind: [f.name for f in asked.features if f.kind == kind] for kind in ("numeric", "categorical")}
    source = registry.log_model(run_id=run.run_id, model_dir=folder, **kinds)
    version = registry.register(model="ride_served", run_id=run.run_id, source=source, key="k", tags={})
    registry.set_alias(model="ride_served", alias="champion", version=version)

    ours = OnnxScorer.load(folder)
    [(columns, expected), *_] = ours.score_csv(tmp_path / "rows.csv")
    numeric, categorical = ours.encoding.encode(columns)
    known = ~np.isnan(numeric).any(axis=1)
    rows = {"numeric": numeric[known].tolist(), "categorical": categorical[known].tolist()}
    with served("models:/ride_served@champion", tracking_uri=store.uri, log=tmp_path / "server.log") as url:
        scores = ask(url, {"inputs": rows})["predictions"]["score"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(url, {"inputs": {"numeric": rows["numeric"]}})
    assert len(scores) == known.sum() > 100
    assert scores == pytest.approx(expected[known].tolist(), abs=1e-6)
