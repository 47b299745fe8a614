"""Operators on lineage events: tell of what Airflow does not see, and carry on what was told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml import config
from airflow_dataml.core.errors import GateError, LedgerError, SpecError
from airflow_dataml.hooks.drain import drainer
from airflow_dataml.hooks.lineage import LineageHook
from airflow_dataml.operators.base import DataMLOperator
from airflow_dataml.triggers.drain import LineageDrainTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context


class LineageEmitOperator(DataMLOperator):
    """Tell of a run that Airflow did not make: OpenLineage events of an external job.

    The events are about the run they name, not about this task. They are kept durably, in the ledger or, when
    it does not answer, in the spool of the worker; a retry that tells them again tells nothing new.

    :param events: one OpenLineage event or a list of them, as plain JSON. Templated.
    """

    template_fields: Sequence[str] = ("events",)
    template_fields_renderers = {"events": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(self, *, events: Mapping[str, Any] | Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.events = events

    def execute(self, context: Context) -> dict[str, Any]:
        """Keep the events and say where they are, and what in them nobody can use."""
        del context
        return LineageHook(self.dataml_conn_id).emit(self.events)


class LineageDrainOperator(DataMLOperator):
    """Carry lineage events on: from this host's spool into the ledger, into the graph, and to every backend.

    A backend that does not answer is asked again later and holds up neither the others nor this task.

    Returns ``{"spooled", "projected", "fanned", "delivered", "retried", "dead", "unreachable"}``; the last four
    by backend.

    :param deferrable: drain in the triggerer, round after round, until nothing moves; else one round on the
        worker. The spool emptied is then the triggerer's.
    :param seconds: a deferred drain ends after so long, whatever is left.
    :param on_dead: ``fail`` the task when a backend refused events for good, or ``return`` their numbers.
    """

    def __init__(
        self, *, deferrable: bool = False, seconds: float = 3600.0, on_dead: str = "return", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if on_dead not in ("fail", "return"):
            msg = f"on_dead={on_dead!r} is not known: write 'fail' or 'return'."
            raise SpecError(msg)
        self.deferrable = deferrable
        self.seconds = seconds
        self.on_dead = on_dead

    def execute(self, context: Context) -> dict[str, Any]:
        """Drain once, or hand over to the triggerer."""
        del context
        conn_id = self.dataml_conn_id or config.conn_id()
        if self.deferrable:
            trigger = LineageDrainTrigger(until_empty=True, seconds=self.seconds, dataml_conn_id=conn_id)
            self.defer(
                trigger=trigger, method_name="resume", timeout=timedelta(seconds=self.seconds + _GRACE_S)
            )
        work = drainer(conn_id)
        try:
            return self._conclude(work.round().to_dict())
        finally:
            work.close()

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Conclude what the triggerer did."""
        del context
        said = event if isinstance(event, dict) else {}
        if said.get("status") == "unanswered":
            raise LedgerError(str(said.get("message")))
        if said.get("status") != "done":
            raise SpecError(str(said.get("message", "the triggerer said nothing about the drain.")))
        return self._conclude({name: value for name, value in said.items() if name != "status"})

    def _conclude(self, done: dict[str, Any]) -> dict[str, Any]:
        for backend, why in done["unreachable"].items():
            self.log.warning("Lineage backend %s takes nothing now: %s", backend, why)
        dead = {backend: len(ids) for backend, ids in done["dead"].items()}
        if dead and self.on_dead == "fail":
            told = ", ".join(f"{count} by {backend}" for backend, count in dead.items())
            msg = f"lineage events were refused for good: {told}. `dataml delivery dead` says why, `replay` sends them again."
            raise GateError(msg, done)
        return done


# A deferred drain is told to end by itself; what hangs in a backend is given so much longer.
_GRACE_S = 120.0
