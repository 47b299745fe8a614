"""Commands on the delivery of lineage: drain it, look at it, mend it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.connection import resolve_dsn, use_airflow
from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Group, Output, never, positive
from airflow_dataml.cli.tables import table
from airflow_dataml.core.delivery import Credentials, parse_backends, with_credentials
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.delivery import BackendSpec
    from airflow_dataml.core.drained import Drained

BACKENDS_VARIABLE = "AIRFLOW__DATAML__LINEAGE_BACKENDS"
SPOOL_VARIABLE = "AIRFLOW__DATAML__SPOOL_DIR"
_KIND = "lineage backend"
_REASON = 160
_WAITING = {
    "unprojected": "not in the graph yet",
    "unfanned": "not on the way to the backends yet",
    "refused": "kept, and refused by the graph",
}


def drain(_: object, args: argparse.Namespace) -> Output:
    """Carry lineage events on, once or until told to stop; exit 1 when some were refused for good."""
    from airflow_dataml.draining import drainer_of

    specs = backends_of(os.environ)
    work = drainer_of(dsn=resolve_dsn(args.conn_id), specs=specs, spool=_spool(args.spool, os.environ))
    if not args.loop:
        # One round says at its end what it met, and need not say it while it goes on.
        logging.getLogger("airflow_dataml").addHandler(logging.NullHandler())
    try:
        done = _loop(work, args.pause) if args.loop else work.round()
    finally:
        work.close()
    data, text = done.to_dict(), _told(done)
    if not specs:
        text += "\nNo backend is configured in [dataml] lineage_backends; the ledger keeps the events."
    if args.aliases or args.mlflow_conn_id:
        data["aliases"] = _aliases(args)
        text += f"\n{data['aliases']:,} alias changes to MLflow."
    return Output(data, text, FAILED if done.dead else OK)


def backends(ledger: PostgresLedger, _: argparse.Namespace) -> Output:
    """List the backends with their lag; exit 1 when one is behind for an hour or has dead letters."""
    found = ledger.delivery.backends()
    rows = (
        [
            b["name"], b["kind"], b["target"], b["state"], b["pending"], _age(b["lag_s"]), b["dead"],
            b["last_delivered_at"], (b["last_error"] or "")[:80],
        ]
        for b in found
    )  # fmt: skip
    heads = ("name", "kind", "target", "state", "pending", "lag", "dead", "last delivered", "last error")
    waiting = ledger.delivery.unsettled()
    text = table(
        heads, rows, empty="No backend is known; configure [dataml] lineage_backends and drain once."
    )
    text += "".join(
        f"\n\n{_events(waiting[name])} {words}." for name, words in _WAITING.items() if waiting[name]
    )
    bad = any(b["dead"] or (b["lag_s"] or 0) > 3600 for b in found if b["state"] == "active")
    return Output({"backends": found, **waiting}, text, FAILED if bad else OK)


def dead(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List dead letters, oldest first, with the reason."""
    known = [one["name"] for one in ledger.delivery.backends()]
    if args.backend and args.backend not in known:
        raise NotFoundError.from_available(_KIND, args.backend, known)
    found = ledger.delivery.dead(backend=args.backend, after=args.after, limit=args.limit)
    rows = (
        [d["backend"], d["event_id"], d["event_type"], d["job_name"], d["attempts"], d["last_error"]]
        for d in found
    )
    heads = ("backend", "event", "type", "job", "attempts", "reason")
    nothing = f"{args.backend} refused nothing." if args.backend else "No backend refused anything."
    return Output(found, table(heads, rows, empty=nothing))


def replay(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Send dead letters again, and with --since also what the backend has had, or never got."""
    with ledger.transaction():
        count = ledger.delivery.replay(args.backend, event_id=args.event)
        if args.since:
            count += ledger.delivery.backfill(args.backend, since=_moment(args.since))
        _audit(ledger, "replay", args.backend, {"events": count, "event": args.event, "since": args.since})
    return Output(
        {"backend": args.backend, "events": count}, f"{_events(count)} for {args.backend} to have again."
    )


def pause(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Send a backend nothing; events wait for it."""
    return _state(ledger, args.backend, "paused")


def resume(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Let a backend have what waits for it, at once."""
    return _state(ledger, args.backend, "active")


def purge(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Delete events that the graph and every backend have had for so many days."""
    count = ledger.delivery.purge(days=args.days)
    _audit(ledger, "purge", "lineage", {"events": count, "days": args.days})
    return Output({"purged": count}, f"Purged {_events(count)} older than {args.days:g} days.")


def backends_of(env: Mapping[str, str]) -> tuple[BackendSpec, ...]:
    """Return the configured backends: from the environment at once, through Airflow when they are not there."""
    if BACKENDS_VARIABLE not in env:
        use_airflow()
        from airflow_dataml.hooks.drain import configured_backends

        return configured_backends()
    return tuple(_resolved(spec, env) for spec in parse_backends(env[BACKENDS_VARIABLE]))


def _resolved(spec: BackendSpec, env: Mapping[str, str]) -> BackendSpec:
    if spec.conn_id is None:
        return spec
    if text := env.get(f"AIRFLOW_CONN_{spec.conn_id.upper()}"):
        from airflow_dataml.adapters.postgres.dsn import parse_connection

        found = parse_connection(spec.conn_id, text)
        scheme = found.database or (found.conn_type if found.conn_type in ("http", "https") else None)
        return with_credentials(
            spec, Credentials(found.host, found.port, scheme, found.login, found.password, found.extra)
        )
    use_airflow()
    from airflow_dataml.hooks.drain import resolved

    return resolved(spec)


def _aliases(args: argparse.Namespace) -> int:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.cli.administration import drain as drain_aliases

    with PostgresLedger.connect(resolve_dsn(args.conn_id)) as ledger:
        return int(drain_aliases(ledger, args).data["delivered"])


def _spool(given: str | None, env: Mapping[str, str]) -> Path:
    if given or env.get(SPOOL_VARIABLE):
        return Path(given or env[SPOOL_VARIABLE]).expanduser()
    return Path(env.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "dataml" / "spool"


def _loop(work: Any, pause_s: float) -> Drained:
    from airflow_dataml.core.drained import Drained

    stop, sums = threading.Event(), [Drained()]

    def told(news: Drained) -> None:
        sums[0] = sums[0].plus(news)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work.run(stop, pause=pause_s, on_news=told)
    return sums[0].plus(work.take())


def _told(done: Drained) -> str:
    lines = [
        f"{done.spooled:,} from the spool, {done.projected:,} into the graph, {done.fanned:,} new to backends."
    ]
    lines += [f"{count:,} delivered to {name}." for name, count in sorted(done.delivered.items())]
    lines += [
        f"{len(ids):,} REFUSED by {name}; `dataml delivery dead` says why."
        for name, ids in sorted(done.dead.items())
    ]
    lines += [f"{name} takes nothing now: {why[:_REASON]}" for name, why in sorted(done.unreachable.items())]
    return "\n".join(lines)


def _state(ledger: PostgresLedger, backend: str, state: str) -> Output:
    with ledger.transaction():
        ledger.delivery.set_state(backend, state)
        _audit(ledger, state, backend, {})
    return Output({"backend": backend, "state": state}, f"{backend} is {state}.")


def _audit(ledger: PostgresLedger, action: str, subject: str, detail: dict[str, Any]) -> None:
    run = ledger.runs.begin(
        cli_identity(f"delivery.{action}"), input_digest=digest_of(subject=subject, **detail)
    )
    ledger.audit.add(action=f"delivery.{action}", subject=subject, run=run, detail=detail)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as err:
        msg = f"--since {text!r} is no time: write it as 2026-11-23T10:00+00:00."
        raise SpecError(msg) from err
    return found if found.tzinfo else found.astimezone()


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


def _days(text: str) -> float:
    number = float(text)
    if number < 0:
        raise ValueError
    return number


_BACKEND = Argument(("backend",), {"metavar": "BACKEND", "help": "Its name in [dataml] lineage_backends"})

DRAIN = Command(
    "drain",
    "Carry lineage events on: from the spool into the ledger, into the graph, and to every backend",
    drain,
    (
        Argument(("--once",), {"action": "store_true", "help": "What is due now, once (default)"}),
        Argument(("--loop",), {"action": "store_true", "help": "Until told to stop by SIGTERM or SIGINT"}),
        Argument(("--spool",), {"metavar": "DIR", "help": "The spool to empty ([dataml] spool_dir unless given)"}),
        Argument(
            ("--aliases",),
            {"action": "store_true", "help": "Also carry the aliases that changed to MLflow; starts Airflow"},
        ),
        Argument(("--mlflow-conn-id",), {"metavar": "ID", "help": "Airflow connection of MLflow; means --aliases"}),
        Argument(
            ("--pause",),
            {"type": float, "default": 1.0, "metavar": "SECONDS", "help": "With --loop, between two looks (1)"},
        ),
    ),
    needs_ledger=never,
)  # fmt: skip
DELIVERY = Group(
    "delivery",
    "Look at the backends lineage is delivered to, and at what they refused",
    (
        Command("backends", "List the backends: what waits for each, since when, what is dead", backends),
        Command(
            "dead",
            "List what backends refused for good, with the reason",
            dead,
            (
                Argument(("--backend",), {"metavar": "BACKEND", "help": "Only of this one"}),
                Argument(("--after",), {"type": int, "default": 0, "metavar": "EVENT", "help": "Only after this event"}),
                Argument(("--limit",), {"type": positive, "default": 100, "metavar": "N", "help": "Rows at most"}),
            ),
        ),
        Command(
            "replay",
            "Send a backend its dead letters again; one of them with --event",
            replay,
            (
                _BACKEND,
                Argument(("--event",), {"type": positive, "metavar": "EVENT", "help": "Only this event"}),
                Argument(("--since",), {"metavar": "TIME", "help": "Also every event since then, whatever it has had"}),
            ),
        ),
        Command("pause", "Send a backend nothing; events wait for it", pause, (_BACKEND,)),
        Command("resume", "Let a backend have what waits for it", resume, (_BACKEND,)),
        Command(
            "purge",
            "Delete events that the graph and every backend have had for so long; dead letters stay",
            purge,
            (Argument(("--days",), {"type": _days, "default": 30.0, "metavar": "DAYS", "help": "Older than this (30)"}),),
        ),
    ),
)  # fmt: skip
