"""A drainer put together from connection string, backends and spool; needs no Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.steps.drain import Drainer

PROJECTED = 500

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.delivery import BackendSpec, LineageBackend


def drainer_of(*, dsn: str, specs: Sequence[BackendSpec], spool: Path | None) -> Drainer:
    """Return a drainer.

    :param specs: backends with what their connections say.
    :param spool: the spool to empty, where there is one.
    :raises SpecError: a backend does not understand its configuration.
    """
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.adapters.spool import EventSpool

    return Drainer(
        open_ledger=lambda: PostgresLedger.connect(dsn),
        backends=_opened(specs),
        spool=EventSpool(spool) if spool else None,
        project=projection(),
    )


def _opened(specs: Sequence[BackendSpec]) -> tuple[LineageBackend, ...]:
    if not specs:
        return ()
    from airflow_dataml.adapters.openlineage import open_backends

    return open_backends(specs)


def projection(batch: int = PROJECTED) -> Callable[[Any], int]:
    """Return what brings events into the graph, one batch of them at a time, and says how many it looked at.

    SQL in them is read again with the catalog's schemas where the extra ``lineage`` is installed.

    :param batch: events of one transaction.
    """
    from airflow_dataml.adapters.postgres.lineage_projector import projector
    from airflow_dataml.adapters.sqlglot import parser_if_installed

    # One for all batches: it keeps what it has read.
    parser = parser_if_installed()

    def project(ledger: PostgresLedger) -> int:
        done = projector(ledger.connection, parser=parser).project(limit=batch)
        # Those that were refused too: a batch of nothing else is not the end of what waits.
        return done.stored + len(done.refused)

    return project
