"""``dataml catalog``: find assets, say what they are, and put the catalog in order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.exporting import EXPORT
from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import Argument, Command, Group, Output, positive
from airflow_dataml.cli.tables import fields, table
from airflow_dataml.core.catalog import IMPORTANCES, STATUSES, AssetFilter, ColumnDoc
from airflow_dataml.core.errors import ConnectionSpecError, SpecError
from airflow_dataml.core.refs import ASSET_KINDS

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.catalog_search import AssetHit

_HIT_COLUMNS = (
    "name",
    "kind",
    "subtype",
    "owner",
    "verdict",
    "fresh",
    "incidents",
    "last_write",
    "description",
)
_SAID = ("owner", "description", "documentation", "importance", "domain", "group", "freshness")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def search(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Search the catalog."""
    from airflow_dataml.adapters.postgres.search import PostgresSearch

    page = PostgresSearch(ledger.connection).search(
        " ".join(args.words), _filter(args), after=args.after, limit=args.limit
    )
    text = table(_HIT_COLUMNS, map(_hit_row, page.hits), empty="Nothing found.")
    for word, meant in page.mended.items():
        text = f"Nothing is called {word!r}; looked for {', '.join(meant)}.\n\n{text}"
    if page.after:
        text += f"\n\nThere is more: --after '{page.after}'"
    return Output(page.to_dict(), text)


def show(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Show everything the catalog holds of an asset."""
    from airflow_dataml.adapters.postgres.catalog_reading import CatalogReading

    asset = CatalogReading(ledger.connection).asset(args.name)
    listed = ("columns", "schemas", "aliases", "location", "said", "documentation")
    blocks = [fields([(name, value) for name, value in asset.items() if name not in listed])]
    if asset["columns"]:
        names = ("name", "type", "description", "tags", "terms")
        blocks.append(table(names, ([c[n] for n in names] for c in asset["columns"])))
    if asset["aliases"]:
        blocks.append(table(("namespace", "name"), ([a["namespace"], a["name"]] for a in asset["aliases"])))
    if asset["documentation"]:
        blocks.append(asset["documentation"])
    return Output(asset, "\n\n".join(blocks))


def describe(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Say what an asset is, where its declaration does not."""
    from airflow_dataml.steps.curate import describe_asset

    said: dict[str, Any] = {name: value for name in _SAID if (value := getattr(args, name)) is not None}
    for name in args.unset or ():
        said[name] = None
    if "group" in said:
        said["asset_group"] = said.pop("group")
    if "freshness" in said:
        said["freshness_s"] = said.pop("freshness")
    columns = [ColumnDoc(*_pair(text)) for text in args.column or ()]
    if not said and not columns:
        msg = f"nothing is said of {args.name!r}: give --owner, --description or another option."
        raise SpecError(msg)
    changes = describe_asset(
        ledger=ledger,
        curation=ledger.curation,
        identity=cli_identity("catalog.describe"),
        name=args.name,
        said=said,
        columns=columns,
    )
    return _changed(args.name, changes)


def tag(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Add and remove tags or terms."""
    from airflow_dataml.steps.curate import tag_asset

    changes = tag_asset(
        ledger=ledger,
        curation=ledger.curation,
        identity=cli_identity("catalog.tag"),
        name=args.name,
        add=args.words or (),
        remove=args.remove or (),
        what="terms" if args.terms else "tags",
        column=args.column,
    )
    return _changed(args.name, changes)


def delete(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Take an asset out of the lists."""
    from airflow_dataml.steps.curate import delete_asset

    changes = delete_asset(
        ledger=ledger, curation=ledger.curation, identity=cli_identity("catalog.delete"),
        name=args.name, reason=args.reason,
    )  # fmt: skip
    return _changed(args.name, changes)


def restore(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Bring an asset back."""
    from airflow_dataml.steps.curate import restore_asset

    changes = restore_asset(
        ledger=ledger, curation=ledger.curation, identity=cli_identity("catalog.restore"), name=args.name
    )
    return _changed(args.name, changes)


def merge(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Make two assets one."""
    from airflow_dataml.steps.curate import merge_assets

    changes = merge_assets(
        ledger=ledger, curation=ledger.curation, identity=cli_identity("catalog.merge"),
        name=args.name, into=args.into, reason=args.reason,
    )  # fmt: skip
    return _changed(args.name, changes)


def register(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Enter the assets of a file."""
    from airflow_dataml.core.catalog_yaml import read_entries

    entries = read_entries(Path(args.file))
    done = ledger.catalog.register_all(map(ledger.assets.with_names, entries))
    return Output(done.to_dict(), f"{done.new} new, {done.changed} changed, {done.unchanged} unchanged.")


def crawl(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Enter the tables of a database."""
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.crawl import PostgresCrawls, PostgresTables
    from airflow_dataml.core.crawl import CrawlScope
    from airflow_dataml.steps.crawl import crawl_tables

    with Connection(_crawled_dsn(ledger, args)) as other:
        done = crawl_tables(
            ledger=ledger,
            crawls=PostgresCrawls(ledger.connection),
            tables=PostgresTables(other),
            identity=cli_identity("catalog.crawl"),
            within=CrawlScope(include=tuple(args.include or ()), exclude=tuple(args.exclude or ())),
            scope=args.scope,
            conn_id=None if other.target == ledger.connection.target else args.source_conn_id,
        )
    counts = done.registered
    text = f"Crawled {done.scope}: {counts.new} new, {counts.changed} changed, {counts.unchanged} unchanged, {done.missing} missing."
    return Output(done.to_dict(), text)


def _crawled_dsn(ledger: PostgresLedger, args: argparse.Namespace) -> str:
    from airflow_dataml.adapters.postgres.dsn import check_dsn
    from airflow_dataml.cli.connection import resolve_dsn

    if args.dsn_env and args.source_conn_id:
        msg = "--dsn-env and --source-conn-id both name the database: give one of them."
        raise SpecError(msg)
    if args.dsn_env:
        if not (dsn := os.environ.get(args.dsn_env)):
            msg = f"the environment variable {args.dsn_env!r} is not set: put the connection string of the database in it."
            raise ConnectionSpecError(msg)
        return check_dsn(dsn, source=args.dsn_env)
    if args.source_conn_id:
        without_ledger = {key: value for key, value in os.environ.items() if key != "DATAML_LEDGER_DSN"}
        return resolve_dsn(args.source_conn_id, without_ledger)
    del ledger
    return resolve_dsn(args.conn_id)


def _filter(args: argparse.Namespace) -> AssetFilter:
    return AssetFilter(
        kinds=tuple(args.kind or ()),
        subtype=args.subtype,
        owner=args.owner,
        tag=args.tag,
        term=args.term,
        domain=args.domain,
        group=args.group,
        producer=args.producer,
        importance=args.importance,
        stale=args.stale or None,
        failing=args.failing or None,
        status=tuple(args.status or ("active", "missing")),
    )


def _hit_row(hit: AssetHit) -> list[Any]:
    fresh = None if hit.stale is None else "stale" if hit.stale else "yes"
    said = (hit.description or "")[:60]
    return [
        hit.name,
        hit.kind,
        hit.subtype,
        hit.owner,
        hit.verdict,
        fresh,
        hit.incidents,
        hit.last_write,
        said,
    ]


def _changed(name: str, changes: dict[str, Any]) -> Output:
    lines = [f"{field}: {change['before']!r} -> {change['after']!r}" for field, change in changes.items()]
    return Output({"asset": name, "changes": changes}, "\n".join(lines) or f"{name} is so already.")


def _pair(text: str) -> tuple[str, str]:
    column, mark, said = text.partition("=")
    if not mark or not column:
        msg = f"--column {text!r} says nothing: write COLUMN=WHAT IT MEANS."
        raise SpecError(msg)
    return column, said


def duration(text: str) -> int:
    """Return seconds of a number with its unit, such as ``90m`` or ``1d``.

    >>> duration("90m"), duration("1d"), duration("30")
    (5400, 86400, 30)
    """
    unit = _UNITS.get(text[-1:])
    return positive(text[:-1]) * unit if unit else positive(text)


def _option(flag: str, help_: str, **options: Any) -> Argument:
    return Argument((flag,), {"help": help_} | options)


_NAME = Argument(("name",), {"metavar": "NAME", "help": "Name of the asset"})
_REASON = _option("--reason", "Why; kept in the audit chain", metavar="TEXT", required=True)
_FILTERS = (
    _option("--kind", "Only of this kind; repeat for more", action="append", choices=ASSET_KINDS),
    _option("--subtype", "Only of this subtype, such as view", metavar="WORD"),
    _option("--owner", "Only of this owner", metavar="NAME"),
    _option("--tag", "Only with this tag", metavar="WORD"),
    _option("--term", "Only with this term", metavar="WORD"),
    _option("--domain", "Only of this domain", metavar="WORD"),
    _option("--group", "Only of this group", metavar="WORD"),
    _option("--producer", "Only written by this task", metavar="DAG.TASK"),
    _option("--importance", "Only of this importance", choices=IMPORTANCES),
    _option("--stale", "Only whose promise of freshness is broken", action="store_true"),
    _option("--failing", "Only whose newest checks failed", action="store_true"),
    _option("--status", "Only in this state; repeat for more", action="append", choices=STATUSES),
)

CATALOG = Group(
    "catalog",
    "Find assets, say what they are, and put the catalog in order",
    (
        Command(
            "search",
            "Search by words, the last of which may be unfinished; slips are forgiven",
            search,
            (
                Argument(("words",), {"metavar": "WORD", "nargs": "*", "help": "All of them must be there; everything without"}),
                *_FILTERS,
                _option("--after", "Key of the page before", metavar="KEY"),
                _option("--limit", "Hits at most", type=positive, default=50, metavar="N"),
            ),
        ),
        Command("show", "Show everything the catalog holds of an asset", show, (_NAME,)),
        Command(
            "describe",
            "Say what an asset is, where its declaration does not",
            describe,
            (
                _NAME,
                _option("--owner", "Who answers for it", metavar="NAME"),
                _option("--description", "One line", metavar="TEXT"),
                _option("--documentation", "Markdown", metavar="TEXT"),
                _option("--importance", "How much depends on it", choices=IMPORTANCES),
                _option("--domain", "What part of the business it belongs to", metavar="WORD"),
                _option("--group", "What it is listed with", metavar="WORD"),
                _option("--freshness", "The promise: time between two writes, as in 90m, 6h, 1d", type=duration, metavar="TIME"),
                _option("--column", "COLUMN=WHAT IT MEANS; repeat for more", action="append", metavar="TEXT"),
                _option("--unset", "Take back what was said; repeat for more", action="append", choices=_SAID),
            ),
        ),
        Command(
            "tag",
            "Add and remove tags or terms of an asset or a column",
            tag,
            (
                _NAME,
                Argument(("words",), {"metavar": "TAG", "nargs": "*", "help": "Tags to add"}),
                _option("--remove", "A tag to remove; repeat for more", action="append", metavar="TAG"),
                _option("--column", "Of this column", metavar="COLUMN"),
                _option("--terms", "Terms of a glossary instead of tags", action="store_true"),
            ),
        ),
        Command("delete", "Take an asset out of the lists; nothing of it is lost", delete, (_NAME, _REASON)),
        Command("restore", "Bring a deleted or missing asset back", restore, (_NAME,)),
        Command(
            "merge",
            "Make two assets one that are the same under two names; there is no way back",
            merge,
            (_NAME, _option("--into", "The one that stays", metavar="NAME", required=True), _REASON),
        ),
        Command(
            "register",
            "Enter the assets of a YAML file",
            register,
            (Argument(("file",), {"metavar": "FILE", "help": "Path of the file"}),),
        ),
        Command(
            "crawl",
            "Enter the tables of a PostgreSQL database, and mark what is gone as missing",
            crawl,
            (
                _option("--source-conn-id", "Airflow connection of the database; the ledger's unless given", metavar="ID"),
                _option("--dsn-env", "Environment variable with the connection string instead", metavar="NAME"),
                _option("--include", "Pattern of schemas, or of schema.table; repeat for more", action="append", metavar="PATTERN"),
                _option("--exclude", "Pattern of what is left out; repeat for more", action="append", metavar="PATTERN"),
                _option("--scope", "What the crawl answers for; the database unless given", metavar="NAME"),
            ),
        ),
        EXPORT,
    ),
)  # fmt: skip
