"""What scoring costs: in memory against MLflow's pyfunc, and from table to table against COPY alone.

The model is a perceptron of 30-64-64-1, everything on one thread of the CPU. In memory both get the same
float32 matrix; ``columns`` is what a batch costs that comes as thirty columns of doubles, encoding included.

From table to table a part of thirty doubles and an integer key is read, scored, given ids, counted into a
profile and written, as ``score_batch`` does it, while server and client share the cores. Beside it the same
statements alone: COPY of the same columns out, and COPY of the very bytes that were written in, one after
the other. The last number is the fingerprint of the result, which the server reads once more.

    python -m dev.bench.scoring [--rows 1000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.features import FeatureEncoding, NumericEncoding
from airflow_dataml.core.refs import Relation
from airflow_dataml.steps.scoring import SCORE, Panel, ScoringPass
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.core.scans import KeyedBlock

FEATURES = [f"f{i:02}" for i in range(30)]
TABLE, RESULT = Relation("public", "features"), Relation("public", "scores")
COLUMNS = [Column("id", "integer"), *(Column(name, "double precision") for name in FEATURES)]
WRITTEN = [
    COLUMNS[0],
    Column("model_role", "text"),
    Column("model_version", "integer"),
    Column("features_version", "integer"),
    SCORE,
    Column("prediction_id", "uuid"),
]


def write_model(folder: Path) -> Path:
    """A perceptron with random weights, and MLflow's files around it."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random, weights, nodes, last = np.random.default_rng(0), [], [], "numeric"
    for layer, (wide, narrow) in enumerate([(30, 64), (64, 64), (64, 1)]):
        drawn = random.normal(0, wide**-0.5, (wide, narrow)).astype(np.float32)
        weights += [
            numpy_helper.from_array(drawn, f"w{layer}"),
            numpy_helper.from_array(np.zeros(narrow, np.float32), f"b{layer}"),
        ]
        nodes.append(helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [f"g{layer}"]))
        activation, last = ("Relu", f"r{layer}") if layer < 2 else ("Sigmoid", "score")
        nodes.append(helper.make_node(activation, [f"g{layer}"], [last]))
    numeric = helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["rows", 30])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph(nodes, "perceptron", [numeric], [score], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def our_scorer(path: Path) -> OnnxScorer:
    """The scorer as ``OnnxScorer.load`` makes it."""
    from airflow_dataml.adapters.onnx.scorer import _session

    known = (NumericEncoding(name=name, mean=0.0, std=1.0, missing_fraction=0.0) for name in FEATURES)
    return OnnxScorer(
        session=_session(path.read_bytes(), path.parent), encoding=FeatureEncoding(numeric=tuple(known))
    )


def pyfunc(folder: Path, path: Path) -> Any:
    """The same model as MLflow loads it from the files that the registry stores."""
    import mlflow

    from airflow_dataml.adapters.mlflow.package import read_interface, write_package

    interface = read_interface(path, {"numeric": FEATURES})
    write_package(folder, interface=interface, run_id="0" * 32, model_id="m-" + "0" * 32)
    return mlflow.pyfunc.load_model(str(folder))


def per_cpu_second(rows: int, work: Callable[[], object], rounds: int) -> float:
    """Rows per second of this process's CPU time; the median round."""
    spent = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return rows / statistics.median(spent)


def in_memory(folder: Path, rows: int, rounds: int) -> None:
    """Print the three rates, and that both score alike."""
    import numpy as np

    path = write_model(folder)
    scorer, other = our_scorer(path), pyfunc(folder, path)
    numeric = np.random.default_rng(1).random((rows, 30)).astype(np.float32)
    codes = np.zeros((rows, 0), np.int64)
    columns = {name: numeric[:, i].astype(np.float64) for i, name in enumerate(FEATURES)}
    ours, theirs = (
        scorer.score_encoded(numeric, codes),
        other.predict({"numeric": numeric})["score"].reshape(-1),
    )
    rates = {
        "ours, encoded": per_cpu_second(rows, lambda: scorer.score_encoded(numeric, codes), rounds),
        "ours, columns": per_cpu_second(rows, lambda: scorer.score(columns), rounds),
        "pyfunc": per_cpu_second(rows, lambda: other.predict({"numeric": numeric}), rounds),
    }
    for name, rate in rates.items():
        print(f"in memory, {name:15} {rate / 1e6:6.2f} M rows per CPU-second")
    print(f"largest difference {np.abs(ours - theirs).max():.1e}")


def prepare(db: Connection, rows: int) -> Part:
    """A part of thirty doubles; the profile says that none is null, as a profile of a staged part does."""
    numbers = ", ".join(f"hashint4extended(g, {i}) / 1e19 AS {name}" for i, name in enumerate(FEATURES))
    db.execute(
        f"CREATE TABLE {TABLE.quoted} AS SELECT g AS id, {numbers.replace('1e19', '1e19::float8')} FROM generate_series(1, {rows}) g"
    )
    db.execute(f"VACUUM ANALYZE {TABLE.quoted}")
    profile = {"rows": rows, "columns": {name: {"nulls": 0} for name in FEATURES}}
    return Part(1, "features", str(TABLE), tuple(COLUMNS), Fingerprint(rows, 0, 0), profile=profile)


def through(db: Connection, part: Part, scorer: OnnxScorer, keep: list[KeyedBlock] | None = None) -> float:
    """Table to table once; seconds."""
    warehouse = PostgresWarehouse(db)
    features = [{"name": name, "kind": "numeric"} for name in FEATURES]
    version: Any = SimpleNamespace(number=1, facts={"spec": {"features": features}})
    panel = Panel({"champion": scorer}, {"champion": version})
    job = ScoringPass(panel, features_version=1, seed=bytes(8), tally=warehouse.tally(SCORE, (0.0, 1.0)))

    def kept(blocks: Iterator[KeyedBlock]) -> Iterator[KeyedBlock]:
        for block in blocks:
            if keep is not None:
                keep.append(block)
            yield block

    db.execute(f"DROP TABLE IF EXISTS {RESULT.quoted}")
    before = time.perf_counter()
    with db.transaction():
        warehouse.create_table(RESULT, WRITTEN)
        with warehouse.scan([part], COLUMNS, panel.plan(["id"])) as scanned:
            warehouse.copy_keyed(RESULT, WRITTEN, kept(job.blocks(scanned)))
        job.tally.profile()
    return time.perf_counter() - before


def copy_out(db: Connection) -> float:
    """The same columns out, looked at by nobody; seconds."""
    names = ", ".join([*FEATURES, "id"])
    before = time.perf_counter()
    with (
        db.raw.cursor() as cursor,
        cursor.copy(f"COPY (SELECT {names} FROM {TABLE.quoted}) TO STDOUT (FORMAT binary)") as copy,
    ):
        for _ in copy:
            pass
    return time.perf_counter() - before


def copy_in(db: Connection, blocks: list[bytes]) -> float:
    """The same bytes in; seconds."""
    db.execute(f"DROP TABLE IF EXISTS {RESULT.quoted}")
    names = ", ".join(c.name for c in WRITTEN)
    before = time.perf_counter()
    with db.transaction():
        PostgresWarehouse(db).create_table(RESULT, WRITTEN)
        with (
            db.raw.cursor() as cursor,
            cursor.copy(f"COPY {RESULT.quoted} ({names}) FROM STDIN (FORMAT binary)") as copy,
        ):
            for block in blocks:
                copy.write(block)
    return time.perf_counter() - before


def written(db: Connection) -> list[bytes]:
    """The result as it went in, in blocks of the same size."""
    blocks, block = [], bytearray()
    names = ", ".join(c.name for c in WRITTEN)
    with (
        db.raw.cursor() as cursor,
        cursor.copy(f"COPY (SELECT {names} FROM {RESULT.quoted}) TO STDOUT (FORMAT binary)") as copy,
    ):
        for row in copy:
            block += row
            if len(block) > 1 << 20:
                blocks.append(bytes(block))
                block.clear()
    return [*blocks, bytes(block)]


def peak_mib() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table_to_table(folder: Path, rows: int, rounds: int) -> None:
    """Print both rates, their ratio, and what the pass added to the memory."""
    scorer = our_scorer(write_model(folder))
    with embedded_postgres(folder / "postgres") as server:
        db = Connection(ensure_database(server, "scoring"))
        part = prepare(db, rows)
        through(db, part, scorer)
        first = peak_mib()
        taken = statistics.median(through(db, part, scorer) for _ in range(rounds))
        last = peak_mib()
        before = time.perf_counter()
        PostgresWarehouse(db).fingerprint(RESULT)
        fingerprint = time.perf_counter() - before
        blocks = written(db)
        out = statistics.median(copy_out(db) for _ in range(rounds))
        into = statistics.median(copy_in(db, blocks) for _ in range(rounds))
        db.close()
    print(f"table to table   {rows / taken / 1e3:8.0f} k rows/s ({taken:.2f} s)")
    print(f"COPY out + in    {rows / (out + into) / 1e3:8.0f} k rows/s ({out:.2f} s + {into:.2f} s)")
    print(
        f"ratio            {(out + into) / taken:8.0%}; with the fingerprint {(out + into) / (taken + fingerprint):.0%} ({fingerprint:.2f} s)"
    )
    print(f"peak memory      {last:8.0f} MiB after {rounds + 1} passes, {first:.0f} MiB after one of them")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table_to_table(Path(folder), arguments.rows, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        in_memory(Path(folder), min(arguments.rows, 1_000_000), arguments.rounds)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
