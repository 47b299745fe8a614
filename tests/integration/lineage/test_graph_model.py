from __future__ import annotations

import threading
from random import Random
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.steps.lineage import project_pending
from tests.integration.lineage.graph_model import events_of, graph, history, truth
from tests.lineage_events import put

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


@pytest.mark.parametrize("seed", range(12))
def test_the_graph_is_the_model_whatever_the_order_and_the_batches(ledger: PostgresLedger, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - made-up histories
    attempts = history(random, 25)
    events = [event for attempt in attempts for event in events_of(attempt, random)]
    if seed % 3:
        random.shuffle(events)
    events += random.choices(events, k=5)
    projector = PostgresProjection(ledger.connection)
    while events:
        some = events[: random.randrange(1, 15)]
        del events[: len(some)]
        put(ledger.connection, some)
        if random.random() < 0.8:
            project_pending(projector=projector, batch=random.randrange(1, 20))
    done = project_pending(projector=projector)
    assert done.refused == {}
    found, expected = graph(ledger.connection), truth(attempts)
    assert found.uses == expected.uses
    assert found.versions == expected.versions
    assert found.edges == expected.edges
    assert found.pairs == expected.pairs
    assert found.columns == expected.columns


@pytest.mark.parametrize("seed", [100, 101])
def test_projectors_side_by_side_make_the_same_graph(ledger_dsn: str, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - made-up histories
    attempts = history(random, 40)
    events = [event for attempt in attempts for event in events_of(attempt, random)]
    random.shuffle(events)
    failures: list[BaseException] = []

    def work(mine: list[dict]) -> None:
        try:
            with Connection(ledger_dsn) as connection:
                projector = PostgresProjection(connection)
                for at in range(0, len(mine), 7):
                    put(connection, mine[at : at + 7])
                    project_pending(projector=projector, batch=5)
        except BaseException as err:  # noqa: BLE001 - told by the test below
            failures.append(err)

    threads = [threading.Thread(target=work, args=(events[part::3],)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Connection(ledger_dsn) as connection:
        project_pending(projector=PostgresProjection(connection))
        assert graph(connection) == truth(attempts)
