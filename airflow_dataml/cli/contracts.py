"""Contracts as files: drafted, tested, compared, and carried to and from other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import FAILED, OK, Output
from airflow_dataml.core.errors import ContractError, SpecError

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_SEVERITY = ("additive", "compatible", "breaking")


def init(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Draft a first contract from the columns and the profile of a version."""
    from airflow_dataml.cli.samples import dataset_name
    from airflow_dataml.core.contract_draft import draft_contract
    from airflow_dataml.core.profile_view import version_profile

    version = ledger.versions.find(args.ref)
    if version.kind == "model":
        msg = f"{args.ref!r} is a model; a contract is about a dataset."
        raise SpecError(msg)
    columns = ledger.versions.columns(version.version_id)
    text = draft_contract(
        dataset=dataset_name(ledger, version),
        columns=columns,
        profile=version_profile(columns, ledger.versions.manifest(version.version_id)),
        keys=args.key or (),
        seen_in=version.ref,
    )
    return _written(text, args, {"version": version.ref})


def lint(_: object, args: argparse.Namespace) -> Output:
    """Read a contract strictly, without a database."""
    from airflow_dataml.core.contract import Contract

    contract = Contract.from_file(args.file)
    data = {
        "dataset": contract.dataset,
        "digest": contract.digest,
        "columns": len(contract.columns),
        "checks": [check.id for check in contract.checks],
    }
    text = f"{args.file} is a contract on {contract.dataset}: {len(contract.columns)} columns, {len(contract.checks)} checks."
    return Output(data, text)


def diff(_: object, args: argparse.Namespace) -> Output:
    """Say what changed between two contracts, and who may break on it."""
    from airflow_dataml.cli.tables import table
    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_diff import diff_contracts

    found = diff_contracts(Contract.from_file(args.old), Contract.from_file(args.new))
    data = found.to_dict() | {"side": args.side}
    worst = found.worst(args.side)
    refused = args.fail_on and worst and _SEVERITY.index(worst.value) >= _SEVERITY.index(args.fail_on)
    code = FAILED if refused else OK
    if args.markdown:
        return Output(data, found.markdown().rstrip(), code)
    rows = ([c.place, c.what, c.consumers.value, c.producers.value, c.why] for c in found.changes)
    text = table(("place", "what", "consumers", "producers", "why"), rows, empty="Nothing changed.")
    if worst:
        text += f"\n\n{data['consumers']} for consumers, {data['producers']} for producers."
    return Output(data, text, code)


def export(_: object, args: argparse.Namespace) -> Output:
    """Write a contract as a document of the Open Data Contract Standard."""
    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.odcs import export_odcs

    about: dict[str, Any] = {"version": args.contract_version, "owner": args.owner}
    if args.server:
        host, _, port = args.server.partition(":")
        about |= {"host": host, "port": _port(port)}
    return _written(export_odcs(Contract.from_file(args.file), **about), args, {})


def import_(_: object, args: argparse.Namespace) -> Output:
    """Read a document of the Open Data Contract Standard as a contract."""
    from airflow_dataml.core.odcs import import_odcs

    source = f"document {args.file!r}"
    try:
        text = Path(args.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "it is not UTF-8 text"
        msg = f"{source} cannot be read ({reason}); give the path of an ODCS YAML file."
        raise ContractError(msg) from err
    read = import_odcs(text, source=source, schema=args.schema, server=args.server)
    return _written(read.text, args, {"warnings": list(read.warnings)}, warnings=read.warnings)


def _written(
    text: str, args: argparse.Namespace, data: dict[str, Any], *, warnings: tuple[str, ...] = ()
) -> Output:
    """Put a text into the file that was asked for, else onto the terminal."""
    if args.output is None:
        return Output(data | {"text": text}, text.rstrip("\n"), warnings=warnings)
    path = Path(args.output)
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as err:
        msg = f"{args.output!r} is there already; give another -o, or --force to overwrite it."
        raise SpecError(msg) from err
    except OSError as err:
        msg = f"{args.output!r} cannot be written ({err.strerror}); give another -o."
        raise SpecError(msg) from err
    return Output(data | {"file": args.output}, f"Wrote {args.output}.", warnings=warnings)


def _port(text: str) -> int:
    if not text:
        return 5432
    if not text.isdigit():
        msg = f"--server: {text!r} is no port; write HOST or HOST:PORT."
        raise SpecError(msg)
    return int(text)
