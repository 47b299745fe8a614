"""``dataml catalog export``: the catalog in other tools' formats, or on their servers."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import Argument, Command, Output
from airflow_dataml.core.catalog import IMPORTANCES, AssetFilter
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.exports import FORMATS, ExportSettings
from airflow_dataml.core.refs import ASSET_KINDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.exports_sending import Server
    from airflow_dataml.steps.export import Exported, ReadRows

# Everybody who lists a machine's processes sees what is on its command lines, so no option takes a token.
_SHOWN = 20


def export(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Write the catalog for another tool, or tell it to its server."""
    from airflow_dataml.adapters.postgres.exporting import PostgresExports
    from airflow_dataml.steps.export import export_catalog

    done = export_catalog(
        assets=PostgresExports(ledger.connection).assets(args.names, _filter(args)),
        format=args.format,
        folder=Path(args.output) if args.output else None,
        settings=_settings(args.set or ()),
        contracts=dict(_contract(text) for text in args.contract or ()),
        rows_of=_rows_of(ledger) if args.with_data else None,
        server=_server(args),
        on_progress=_tell,
    )
    return Output(done.to_dict(), _text(done), warnings=_left_out(done))


def _text(done: Exported) -> str:
    lines = [f"Exported {done.assets} assets as {done.format}: {len(done.documents)} documents."]
    lines += [f"  {path}" for path in done.documents[:_SHOWN]]
    if len(done.documents) > _SHOWN:
        lines.append(f"  and {len(done.documents) - _SHOWN} more")
    lines += [f"  {name}: {rows} rows" for name, rows in list(done.rows.items())[:_SHOWN]]
    if done.sent:
        counts = ", ".join(f"{done.sent[what]} {what}" for what in ("created", "updated", "unchanged"))
        lines.append(f"Told the server: {counts}.")
        lines += [f"  {item} is there in another shape" for item in done.sent["differs"]]
    return "\n".join(lines)


def _left_out(done: Exported) -> tuple[str, ...]:
    return tuple(f"left out {name!r}: {why}" for name, why in list(done.left_out.items())[:_SHOWN])


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _filter(args: argparse.Namespace) -> AssetFilter:
    return AssetFilter(
        kinds=tuple(args.kind or ()),
        owner=args.owner,
        tag=args.tag,
        domain=args.domain,
        group=args.group,
        importance=args.importance,
    )


def _settings(pairs: Sequence[str]) -> ExportSettings:
    from pydantic import ValidationError

    said: dict[str, Any] = {}
    for pair in pairs:
        name, mark, value = pair.partition("=")
        name, dot, key = name.partition(".")
        if not mark or not name:
            msg = f"--set {pair!r} sets nothing: write NAME=VALUE, such as publisher=ACME."
            raise SpecError(msg)
        if dot:
            said.setdefault(name, {})[key] = value
        else:
            said[name] = value
    try:
        return ExportSettings(**said)
    except ValidationError as err:
        first = err.errors()[0]
        known = ", ".join(ExportSettings.model_fields)
        msg = f"--set {'.'.join(map(str, first['loc']))}: {first['msg']}. There are {known}."
        raise SpecError(msg) from err


def _contract(text: str) -> tuple[str, str]:
    name, mark, path = text.partition("=")
    if not mark:
        msg = f"--contract {text!r} names no file: write ASSET=FILE."
        raise SpecError(msg)
    try:
        return name, Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"the contract {path!r} cannot be read: {err}"
        raise SpecError(msg) from err


def _server(args: argparse.Namespace) -> Server | None:
    if not args.send:
        if args.url or args.send_conn_id:
            msg = "--url and --send-conn-id say where to send to: give --send too."
            raise SpecError(msg)
        return None
    if bool(args.url) == bool(args.send_conn_id):
        msg = "--send needs a server: give --url, or --send-conn-id where a token is needed."
        raise SpecError(msg)
    if args.url:
        from airflow_dataml.adapters.rest import RestServer

        return RestServer(url=args.url, headers={"X-RestLi-Protocol-Version": "2.0.0"})
    from airflow_dataml.cli.connection import use_airflow

    use_airflow()
    from airflow_dataml.hooks.exports import server_of

    return server_of(args.send_conn_id)


def _rows_of(ledger: PostgresLedger) -> ReadRows:
    from airflow_dataml.cli.places import store_of_dataset
    from airflow_dataml.steps.export import rows_reader

    return rows_reader(ledger=ledger, store_of=partial(store_of_dataset, ledger))


def _option(*flags: str, **options: Any) -> Argument:
    return Argument(flags, options)


EXPORT = Command(
    "export",
    "Write the catalog in another tool's format, or tell it to that tool's server",
    export,
    (
        Argument(("names",), {"metavar": "ASSET", "nargs": "*", "help": "Only these; all that the filters let through without"}),
        _option("--format", required=True, choices=FORMATS, help="Whose format"),
        _option("-o", "--output", metavar="DIR", help="Folder for the files; what is there is replaced"),
        _option("--with-data", action="store_true", help="Write the rows beside, as CSV: croissant, frictionless, dcat"),
        _option("--contract", action="append", metavar="ASSET=FILE", help="Contract of an asset, for odcs; repeat for more"),
        _option("--set", action="append", metavar="NAME=VALUE", help="What the export says of itself, such as publisher=ACME; repeat for more"),
        _option("--send", action="store_true", help="Tell a server: datahub, openmetadata, unity"),
        _option("--url", metavar="URL", help="Address of a server that needs no token"),
        _option("--send-conn-id", metavar="ID", help="Airflow connection of the server, its token as password"),
        _option("--kind", action="append", choices=ASSET_KINDS, help="Only of this kind; repeat for more"),
        _option("--owner", metavar="NAME", help="Only of this owner"),
        _option("--tag", metavar="WORD", help="Only with this tag"),
        _option("--domain", metavar="WORD", help="Only of this domain"),
        _option("--group", metavar="WORD", help="Only of this group"),
        _option("--importance", choices=IMPORTANCES, help="Only of this importance"),
    ),
)  # fmt: skip
