"""Studies in PostgreSQL: kept whole, guarded, and proposed from as before a kill."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.adapters.optuna import OptunaStudies
from airflow_dataml.core.errors import BackendError, ConnectionSpecError
from airflow_dataml.core.tuning import TuningSpec

if TYPE_CHECKING:
    from airflow_dataml.core.tuning_trials import Study, Trial

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
    "batch_size": {"low": 32, "high": 512, "step": 32},
    "module_arguments.dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
    "module_arguments.hidden": [[8], [16, 8], None, "wide"],
}
TRAINING = {"model": "m", "task": "binary", "target": "late", "features": [{"name": "km"}]}


def spec(**said: Any) -> TuningSpec:
    """A spec over every kind of parameter."""
    return TuningSpec.from_mapping({"training": TRAINING, "space": SPACE, "trials": 40} | said)


@pytest.fixture
def studies(postgres_dsn: str) -> OptunaStudies:
    """Studies in a fresh database."""
    found = OptunaStudies(postgres_dsn)
    found.check()
    return found


def objective(trial: Trial) -> float:
    return -abs(trial.params["learning_rate"] - 0.01) - trial.params["module_arguments.dropout"]


def go_on(study: Study, count: int) -> list[Trial]:
    """Do some trials."""
    done = []
    for _ in range(count):
        trial = study.ask()
        study.report(1, 0.5 - objective(trial))
        ended = trial.ended("complete", metric=objective(trial), metrics={"auc": 0.5}, epochs=1, seconds=0.1)
        study.tell(ended)
        done.append(ended)
    return done


def test_of_two_tasks_that_come_first_the_second_waits_for_the_first(postgres_dsn: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with (
        ThreadPoolExecutor(1) as tasks,
        psycopg.connect(postgres_dsn, autocommit=True) as watch,
        psycopg.connect(postgres_dsn) as first,
    ):
        first.execute("SELECT pg_advisory_xact_lock(hashtextextended('dataml.optuna/optuna', 0))")
        first.execute("CREATE SCHEMA optuna")
        second = tasks.submit(OptunaStudies(postgres_dsn).check)
        while not second.done() and watch.execute(waiting).fetchone() == (0,):
            pass
        first.commit()
        assert second.result(60) is None


def test_what_was_told_is_read_back(studies: OptunaStudies) -> None:
    wanted = spec()
    with studies.open("s", spec=wanted, shard=0, shards=1) as study:
        first = study.ask({"learning_rate": 0.02, "module_arguments.hidden": [16, 8]})
        assert (first.number, first.params["learning_rate"]) == (0, 0.02)
        assert first.params["module_arguments.hidden"] == [16, 8]
        study.report(1, 0.7)
        study.report(2, 0.6)
        study.tell(
            first.ended(
                "complete", metric=0.8, latency_ms=1.5, rows=9, metrics={"auc": 0.8}, epochs=2, seconds=3.0
            )
        )
        second = study.ask()
        study.tell(second.ended("failed", why='it said "no" - ä'))
        kept = study.trials()
    assert kept == studies.read("s")
    assert [trial.state for trial in kept] == ["complete", "failed"]
    assert (kept[0].losses, kept[0].latency_ms, kept[0].params) == ({1: 0.7, 2: 0.6}, 1.5, first.params)
    assert kept[1].why == 'it said "no" - ä'
    assert studies.read("nothing") == ()


def test_plain_optuna_reads_the_study(studies: OptunaStudies, postgres_dsn: str) -> None:
    import optuna

    with studies.open("s", spec=spec(), shard=0, shards=1) as study:
        done = go_on(study, 12)
    options = {"creator": lambda: psycopg.connect(postgres_dsn, options="-csearch_path=optuna")}
    storage = optuna.storages.RDBStorage("postgresql+psycopg://", engine_kwargs=options)
    found = optuna.load_study(storage=storage, study_name="s")
    assert found.best_value == max(trial.metric or 0 for trial in done)
    assert found.trials[3].intermediate_values == {1: 0.5 - objective(done[3])}
    storage.remove_session()
    storage.engine.dispose()


def test_a_study_taken_up_again_proposes_what_it_would_have(studies: OptunaStudies) -> None:
    wanted = spec(seed=5)
    with studies.open("whole", spec=wanted, shard=0, shards=1) as study:
        undisturbed = go_on(study, 24)
    resumed: list[Trial] = []
    for count in (1, 8, 3, 12):
        with studies.open("in parts", spec=wanted, shard=0, shards=1) as study:
            assert study.take_up() is None
            resumed += go_on(study, count)
    assert [trial.params for trial in resumed] == [trial.params for trial in undisturbed]
    with studies.open("other seed", spec=spec(seed=6), shard=0, shards=1) as study:
        assert [t.params for t in go_on(study, 3)] != [t.params for t in undisturbed[:3]]


def test_the_trial_that_was_running_is_the_same_one_again(studies: OptunaStudies) -> None:
    with studies.open("s", spec=spec(), shard=0, shards=2) as study:
        begun = study.ask()
    for tries in (2, 3):
        with studies.open("s", spec=spec(), shard=0, shards=2) as study:
            again = study.take_up()
            assert again is not None
            assert (again.number, again.params, again.tries) == (begun.number, begun.params, tries)
    with studies.open("s", spec=spec(), shard=1, shards=2) as study:
        assert study.take_up() is None  # it is not this shard's
        assert study.ask().number == 1
    with studies.open("s", spec=spec(), shard=0, shards=2) as study:
        taken = study.take_up()
        assert taken is not None
        study.tell(taken.ended("complete", metric=0.5))
        assert study.ask().number == 2
    assert [trial.state for trial in studies.read("s")] == ["complete", "running", "running"]


def test_worse_than_the_median_is_pruned(studies: OptunaStudies) -> None:
    with studies.open("s", spec=spec(prune=True), shard=0, shards=1) as study:
        for loss in (0.5, 0.5, 0.4, 0.6, 0.5):
            trial = study.ask()
            assert study.report(1, loss)
            assert study.report(2, loss)
            study.tell(trial.ended("complete", metric=1 - loss))
    with studies.open("s", spec=spec(prune=True), shard=0, shards=1) as study:
        good, bad = study.ask(), None
        assert study.report(1, 0.9)  # the first epoch is too early to say
        assert study.report(2, 0.45)
        study.tell(good.ended("complete", metric=0.55))
        bad = study.ask()
        study.report(1, 0.9)
        assert not study.report(2, 0.9)
        study.tell(bad.ended("pruned", why="w"))
    assert [t.state for t in studies.read("s")][-2:] == ["complete", "pruned"]


@pytest.mark.parametrize("objective_", ["latency", "both"], ids=str)
def test_latency_is_an_objective(studies: OptunaStudies, objective_: str) -> None:
    said = {"objective": objective_} | ({"bound": 0.1} if objective_ == "latency" else {})
    with studies.open(objective_, spec=spec(**said), shard=0, shards=1) as study:
        for _ in range(14):
            trial = study.ask()
            assert study.report(1, 0.5)
            state = "pruned" if objective_ == "latency" and trial.number % 5 == 0 else "complete"
            study.tell(trial.ended(state, metric=0.5, latency_ms=trial.params["batch_size"]))  # type: ignore[arg-type]
    assert len(studies.read(objective_)) == 14


def work(dsn: str, shard: int) -> None:
    """One shard of three, in a process of its own."""
    studies = OptunaStudies(dsn)
    studies.check()
    with studies.open("shared", spec=spec(), shard=shard, shards=3) as study:
        go_on(study, 12)


@pytest.mark.slow
def test_shards_in_processes_share_a_study(postgres_dsn: str) -> None:
    # They make the tables too, all at once.
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=work, args=(postgres_dsn, shard)) for shard in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    trials = OptunaStudies(postgres_dsn).read("shared")
    assert [trial.number for trial in trials] == list(range(36))
    assert [sum(t.shard == shard for t in trials) for shard in range(3)] == [12, 12, 12]
    assert len({str(trial.params) for trial in trials}) > 30


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("CREATE TABLE s.dag (); CREATE TABLE s.task_instance ()", "schema 's' holds Airflow's metadata"),
        ("CREATE TABLE s.experiments (); CREATE TABLE s.runs ()", "schema 's' holds MLflow's tables"),
        ("CREATE TABLE s.customers ()", r"schema 's' already holds \['customers'\], which are not Optuna's"),
        (
            "CREATE TABLE s.studies (); CREATE TABLE s.trials (); CREATE TABLE s.version_info ();"
            "CREATE TABLE s.alembic_version AS SELECT 'd2f4e1b3c5a7' AS version_num",
            r"was migrated \(revision 'd2f4e1b3c5a7'\) by another program or a newer Optuna",
        ),
        (
            "CREATE TABLE s.studies (); CREATE TABLE s.trials (); CREATE TABLE s.version_info ();"
            "CREATE TABLE s.alembic_version AS SELECT 'v2.6.0.a' AS version_num",
            "was made by an older Optuna .*run 'optuna storage upgrade'",
        ),
    ],
    ids=["Airflow", "MLflow", "somebody", "another revision", "an older revision"],
)
def test_a_schema_of_others_is_refused_before_any_write(
    postgres_dsn: str, statements: str, message: str
) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 's'"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA s")
        connection.execute(statements.encode())
        before = connection.execute(tables).fetchone()
        with pytest.raises(ConnectionSpecError, match=message):
            OptunaStudies(postgres_dsn, schema="s").check()
        assert connection.execute(tables).fetchone() == before


def test_tables_whose_maker_was_killed_are_finished(studies: OptunaStudies, postgres_dsn: str) -> None:
    with studies.open("s", spec=spec(), shard=0, shards=1) as study:
        done = go_on(study, 1)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE optuna.alembic_version")
        studies.check()
        assert connection.execute("SELECT count(*) FROM optuna.alembic_version").fetchone() == (1,)
    assert [trial.params for trial in studies.read("s")] == [trial.params for trial in done]


def test_other_words_for_trouble(postgres_dsn: str) -> None:
    with pytest.raises(ConnectionSpecError, match="schema 'Op tuna' is not usable"):
        OptunaStudies(postgres_dsn, schema="Op tuna")
    hidden = OptunaStudies("postgresql://u:hunter2@localhost:1/nothing")
    with pytest.raises(BackendError, match="did not answer") as caught:
        hidden.check()
    assert "hunter2" not in f"{caught.value}{hidden!r}"
