"""Aliases of a model: moved in the ledger, and queued for the registry that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import TaskRun

MLFLOW_TOPIC = "mlflow"
CHAMPION, PREVIOUS = "champion", "previous"
# What is asked of a version before it is champion; it is over once it is.
_WAITING = ("candidate", "challenger")


def move_aliases(
    ledger: Ledger, run: TaskRun, *, model: str, moves: Mapping[str, Version | None], report_id: int
) -> None:
    """Point aliases of a model at versions, or remove them; the caller holds the model's lock.

    :param moves: the version of each alias; ``None`` removes it.
    :param report_id: the decision they move for.
    """
    for name, target in moves.items():
        ledger.versions.move_alias(
            asset=model,
            name=name,
            version_id=target.version_id if target else None,
            run=run,
            report_id=report_id,
        )
        ledger.outbox.add(
            key=f"{run.fact(model)}/{name}",
            topic=MLFLOW_TOPIC,
            ordering_key=f"{model}/{name}",
            payload={
                "model": model,
                "alias": name,
                "version": target.facts["registry"]["version"] if target else None,
            },
        )


def succession(ledger: Ledger, version: Version, champion: Version | None) -> dict[str, Version | None]:
    """Return the moves that make a version champion, the one it replaces ``previous``, and end its waiting."""
    moves: dict[str, Version | None] = {CHAMPION: version}
    if champion is not None:
        moves[PREVIOUS] = champion
    for name in _WAITING:
        held = ledger.versions.alias(version.asset, name)
        if held is not None and held.version_id == version.version_id:
            moves[name] = None
    return moves
