"""Looking after the ledger: migrations, state, audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.connection import use_airflow
from airflow_dataml.cli.spec import FAILED, OK, Output
from airflow_dataml.cli.tables import fields

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_ROLES = {"reader": "dataml_reader", "writer": "dataml_writer", "approver": "dataml_approver"}


def migrate(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Bring the ledger's schema to this release; a second time changes nothing."""
    from airflow_dataml.adapters.postgres.migrate import GRANTS, available
    from airflow_dataml.adapters.postgres.migrate import migrate as apply

    done = [{"number": m.number, "name": m.name} for m in apply(ledger.connection)]
    version = available()[-1].number
    lines = [f"Applied {m['number']:04d} {m['name']}." for m in done]
    lines.append(f"The ledger at {ledger.connection.target} is at version {version}.")
    data: dict[str, Any] = {"applied": done, "version": version}
    if args.mlflow:
        data["mlflow"] = _migrate_mlflow(args.mlflow_conn_id)
        lines.append(
            "MLflow's tables are new or upgraded." if data["mlflow"] else "MLflow's tables are up to date."
        )
    if args.show_grants:
        data["grants"] = GRANTS.format(**_ROLES)
        lines += ["", data["grants"].rstrip()]
    return Output(data, "\n".join(lines))


def _migrate_mlflow(conn_id: str | None) -> bool:
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.hooks.mlflow import MlflowHook

    return MlflowHook(conn_id or config.mlflow_conn_id()).registry().ensure_schema()


def status(ledger: PostgresLedger, _: argparse.Namespace) -> Output:
    """Say which version the ledger has and how much is in it; exit 1 when this code does not fit it."""
    from airflow_dataml.adapters.postgres.migrate import applied, available
    from airflow_dataml.adapters.postgres.reading import LedgerReading

    version = max(applied(ledger.connection), default=None)
    data: dict[str, Any] = {
        "ledger": ledger.connection.target,
        "version": version,
        "needs": available()[-1].number,
    }
    if version != data["needs"]:
        state = "empty" if version is None else f"at version {version}"
        advice = "upgrade airflow-dataml" if (version or 0) > data["needs"] else "run `dataml migrate`"
        text = f"The ledger at {data['ledger']} is {state}, this release needs {data['needs']}: {advice}."
        return Output(data, text, FAILED)
    data |= LedgerReading(ledger.connection).counts()
    return Output(data, _status_text(data))


def drain(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Carry the aliases that changed to MLflow, once; what MLflow does not take waits in the outbox."""
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.hooks.mlflow import MlflowHook
    from airflow_dataml.steps.promote import drain_aliases

    sent = drain_aliases(
        ledger=ledger, registry=MlflowHook(args.mlflow_conn_id or config.mlflow_conn_id()).registry()
    )
    return Output({"delivered": sent}, f"Delivered {sent} alias changes to MLflow.")


def audit_verify(ledger: PostgresLedger, _: argparse.Namespace) -> Output:
    """Recompute the audit chain; exit 1 when it is broken."""
    entries, fault = ledger.audit.verify()
    data = {"entries": entries, "fault": fault}
    if fault:
        return Output(data, f"The audit chain is BROKEN at {fault}.", FAILED)
    return Output(data, f"The audit chain holds: {entries:,} entries.", OK)


def _status_text(data: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(data["assets"].items()))
    return fields(
        [
            ("ledger", data["ledger"]),
            ("version", data["version"]),
            ("assets", kinds or "none"),
            ("versions", data["versions"]),
            ("reports", data["reports"]),
            ("open incidents", data["open_incidents"]),
            ("outbox pending", data["outbox_pending"]),
            ("outbox dead", data["outbox_dead"]),
            ("audit entries", data["audit_entries"]),
        ]
    )
