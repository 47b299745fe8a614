"""What a process does with a lineage event: into the ledger, else into the spool; nothing else is waited for.

Runs in task processes, in children the OpenLineage provider forks off them, in the scheduler's pool, and in
programs that know nothing of Airflow. So it imports little, and Airflow only where Airflow is.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.dsn import ConnectionFields, parse_connection
from airflow_dataml.core.attempts import Attempt
from airflow_dataml.core.errors import DataMLError, GateError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.spool import EventSpool
    from airflow_dataml.core.recorded import Recorded

log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 2
# A ledger that took the connection and says no more is left after so long; the event is in the spool by then.
ANSWER_TIMEOUT_S = 1.5
DSN_VARIABLE = "DATAML_LEDGER_DSN"
DEFAULT_CONN_ID = "dataml_default"
# A long-lived process asks Airflow again after so long, so that a changed connection is noticed.
ADDRESS_S = 300.0
# Events that go along from the spool with one emission: what a task may be delayed by. Each lot is committed by
# itself, so that large ones get on, too, however little fits into the time.
LOT = 20
LOTS = 10
# Of PostgreSQL's answers, by SQLSTATE: the event will not be taken however often it is sent.
_REFUSED = ("22", "23", "54")


@dataclass(slots=True)
class Known:
    """What this process, or the one it was forked from, found out before.

    :param task: the task instance this process runs.
    :param addresses: by connection: keyword arguments of a libpq driver, and until when they are believed.
    """

    task: dict[str, Any] | None = None
    addresses: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict, repr=False)


known = Known()


def keep(events: Sequence[Recorded], *, conn_id: str | None, spool: EventSpool) -> str:
    """Keep events durably and say where: ``ledger`` or ``spool``.

    The ledger is given two seconds to connect and little more to answer. When it does not, the spool of this
    host takes the events, and the ledger is not asked for a moment. What the spool holds goes along with the
    next events the ledger takes.

    :raises LedgerError: neither took them.
    """
    if not spool.is_down():
        attempt = Attempt(CONNECT_TIMEOUT_S + ANSWER_TIMEOUT_S)
        try:
            attempt.run(lambda: _write(events, conn_id, spool, attempt))
        except Exception as err:  # noqa: BLE001 - drivers and secrets backends raise anything; the spool is there for it
            log.warning("Lineage goes to the spool %s: %s", spool.folder, _plain(err))
            spool.note_down()
        else:
            return "ledger"
    for event in events:
        spool.put(event)
    return "spool"


def task_known() -> dict[str, Any] | None:
    """Return the task instance of this process: as our listener was told, else as its environment says."""
    if known.task is not None:
        return dict(known.task)
    env = os.environ
    names = ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_TASK_ID")
    if not all(env.get(name) for name in names):
        return None
    said: dict[str, Any] = dict(
        zip(("dag_id", "run_id", "task_id"), (env[name] for name in names), strict=True)
    )
    if (number := env.get("AIRFLOW_CTX_TRY_NUMBER", "")).isdigit():
        said["try_number"] = int(number)
    return said | _bound()


def note_task(ti: Any) -> None:
    """Remember which task instance this process runs; children forked from now on know it too."""
    index = getattr(ti, "map_index", None)
    known.task = {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if index is None else index,
        "try_number": getattr(ti, "try_number", None),
        "ti_id": str(ti.id) if getattr(ti, "id", None) else None,
    }


def prepare(conn_id: str | None) -> None:
    """Load and look up what an event needs, so that children forked from now on need not.

    :raises DataMLError: the ledger's connection leads nowhere.
    """
    import airflow_dataml.adapters.postgres.events
    import airflow_dataml.adapters.spool
    import airflow_dataml.core.openlineage
    import airflow_dataml.core.recorded  # noqa: F401 - to have it loaded

    driver()
    address(conn_id)


def address(conn_id: str | None) -> dict[str, Any]:
    """Return where the ledger is, as keyword arguments of a libpq driver; the password is among them.

    ``DATAML_LEDGER_DSN`` comes first, then ``AIRFLOW_CONN_<ID>``, then what Airflow knows, where this is one of
    its processes. A child forked off a task process never asks: the socket to the supervisor is its parent's.

    :raises DataMLError: none of them leads to a database.
    """
    if dsn := os.environ.get(DSN_VARIABLE):
        return {"dsn": dsn}
    name = conn_id or _option("conn_id") or DEFAULT_CONN_ID
    found, until = known.addresses.get(name, ({}, 0.0))
    if until > time.monotonic() or (found and _is_forked_emitter()):
        return found
    if text := os.environ.get(f"AIRFLOW_CONN_{name.upper()}"):
        found = parse_connection(name, text).keywords()
    else:
        found = _ask_airflow(name)
    known.addresses[name] = (found, time.monotonic() + ADDRESS_S)
    return found


def default_spool() -> EventSpool:
    """Return the spool of this host: ``[dataml] spool_dir``, else a folder in Airflow's home."""
    from airflow_dataml.adapters.spool import EventSpool

    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return EventSpool(Path(_option("spool_dir") or home / "dataml" / "spool").expanduser())


def driver() -> Any:
    """Return a libpq driver: the one that is loaded, else the one that loads in a sixth of the time."""
    if "psycopg" not in sys.modules:
        try:
            import psycopg2
        except ImportError:
            pass
        else:
            return psycopg2
    import psycopg

    return psycopg


def _write(events: Sequence[Recorded], conn_id: str | None, spool: EventSpool, attempt: Attempt) -> None:
    where, libpq = address(conn_id), driver()
    dsn, keywords = where.get("dsn", ""), {name: one for name, one in where.items() if name != "dsn"}
    db = libpq.connect(
        dsn,
        **keywords,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="airflow-dataml lineage",
        **_IMPATIENT,
    )
    try:
        db.autocommit = True
        attempt.cancel_by(lambda: _cancel(db, libpq))

        def insert(batch: Sequence[Recorded]) -> None:
            # A connection that took longer than anybody waited is not used.
            if attempt.was_left:
                msg = "nobody waits for the ledger any more"
                raise LedgerError(msg)
            _insert(db, libpq, batch)

        try:
            spool.drain(insert, limit=LOT, rounds=LOTS)
        except OSError as err:
            log.warning("The spool %s cannot be drained: %s", spool.folder, err)
        insert(events)
    finally:
        db.close()
    spool.note_up()


# A server that is gone is noticed in seconds.
_IMPATIENT = {"tcp_user_timeout": 3000, "keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 2}


def _cancel(db: Any, libpq: Any) -> None:
    with suppress(libpq.Error):
        db.cancel()


def _insert(db: Any, libpq: Any, events: Sequence[Recorded]) -> None:
    from airflow_dataml.adapters.postgres.events import INSERT, as_parameters

    try:
        with db.cursor() as cursor:
            cursor.execute(INSERT, as_parameters(events))
    except libpq.Error as err:
        state = str(getattr(err, "sqlstate", None) or getattr(err, "pgcode", None) or "")
        if state.startswith(_REFUSED):
            msg = f"the ledger refused a lineage event: {_plain(err)}"
            raise GateError(msg) from err
        msg = f"the ledger did not take a lineage event: {_plain(err)}"
        raise LedgerError(msg) from err


def _ask_airflow(name: str) -> dict[str, Any]:
    if "airflow" not in sys.modules:
        msg = f"there is no Airflow here to ask for connection {name!r}: set {DSN_VARIABLE} or AIRFLOW_CONN_{name.upper()}."
        raise LedgerError(msg)
    if _is_forked_emitter():
        msg = (
            f"connection {name!r} is neither in the environment nor did the task's process find it, and a forked one may "
            "not ask: define it, and see that the dataml plugin is loaded."
        )
        raise LedgerError(msg)
    from airflow.sdk import BaseHook

    conn = BaseHook.get_connection(name)
    return fields_of(name, conn).keywords()


def fields_of(name: str, conn: Any) -> ConnectionFields:
    """Return what one of Airflow's connections says."""
    return ConnectionFields(
        conn_id=name,
        conn_type=str(conn.conn_type),
        host=conn.host,
        port=conn.port,
        database=conn.schema,
        login=conn.login,
        password=conn.password,
        extra=conn.extra_dejson,
    )


def _is_forked_emitter() -> bool:
    """Say whether the OpenLineage provider forked this process off a task's."""
    try:
        from setproctitle import getproctitle
    except ImportError:
        return False
    return " - OpenLineage - " in getproctitle()


def _option(name: str) -> str:
    """Return an option of ``[dataml]``; outside Airflow only its environment is read."""
    if value := os.environ.get(f"AIRFLOW__DATAML__{name.upper()}"):
        return value
    if "airflow" not in sys.modules:
        return ""
    from airflow.sdk import conf

    return str(conf.get("dataml", name, fallback="") or "")


def _bound() -> dict[str, Any]:
    """Return what Airflow bound to the log of this process: the task instance's own id and place in a mapping."""
    structlog = sys.modules.get("structlog")
    bound = structlog.contextvars.get_contextvars() if structlog is not None else {}
    index = bound.get("map_index")
    found: dict[str, Any] = {"map_index": index if isinstance(index, int) else -1}
    return found | ({"ti_id": str(bound["ti_id"])} if bound.get("ti_id") else {})


def _plain(err: BaseException) -> str:
    """Return an error in one line; drivers do not repeat passwords, other errors are named by their class."""
    if isinstance(err, DataMLError) or type(err).__module__.partition(".")[0] in ("psycopg", "psycopg2"):
        return str(err).strip().split("\n")[0]
    return type(err).__name__
