"""Names that want to be SQL: schemas, views, columns, keys and indexes, through everything a dataset goes through."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.postgres.observing import PostgresTableObserver
from airflow_dataml.adapters.soda import SodaEngine
from airflow_dataml.api.views import comparison, profile
from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import GateError, QualityGateError, SpecError
from airflow_dataml.core.layout import Index, Layout
from airflow_dataml.core.refs import IDENTIFIER_BYTES, Relation, quote_identifier
from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import MergeSpec, Rows
from airflow_dataml.steps.branches import create_branch, drop_branch, merge_branch
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.diff import diff_versions
from airflow_dataml.steps.ingest import Target, stage_csv, stage_query, stage_source
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.retain import collect, sweep
from airflow_dataml.steps.rollback import roll_back
from airflow_dataml.steps.snapshot import Observed, take_snapshot
from airflow_dataml.steps.verify import verify_part
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, Version

# Besides what breaks quoting: words of SQL, the longest there are, and names our own statements use.
HOSTILE = (
    'a"b', "it's", "two words", " ", "ünïcödé", "é" * 31 + "x", "select", "%s %(id)s %", "x;--", "/* */",
    "new\nline", "tab\t", "🚲", "UPPER", "{curly} {0}", "$1", "\\back\\", "a.b", "a,b", "a/b", "${var.x}",
    '"); DROP TABLE victim; --', "'); DROP TABLE victim; --", '"quoted"', '""', '"',
    "row", "rows", "t", "p", "b", "o", "n", "r", "c0", "g", "h", "x", "hashed", "parts", "dataml part", "value",
    "public", "oid", "id", "batch",
)  # fmt: skip
KEY, OTHER, FLAG = 'the "key"; --', "%s", "gone' OR 1=1 --"
COLUMNS = (Column(KEY, "bigint"), Column(OTHER, "text"), *(Column(name, "text") for name in HOSTILE))
PLACES = (
    "public.rides",
    'public."a""b"',
    '"x;--"."%s\'\n🚲"',
    '"select"."table"',
    f'"{"é" * 31}"."{"ü" * 31}x"',
)


def row(number: int, text: str = "a") -> tuple[Any, ...]:
    return (number, text, *(f"{text}{at % 3}" for at in range(len(HOSTILE))))


class Shop:
    """A dataset whose every name is hostile."""

    def __init__(self, ledger: PostgresLedger, view: str = PLACES[2]) -> None:
        self.ledger, self.view, self.runs = ledger, view, 0
        self.layout = Layout(
            keys=(KEY, OTHER),
            indexes=(Index(columns=(OTHER, 'a"b')), *(Index(columns=(name,)) for name in HOSTILE[4:9])),
            comment="'; DROP TABLE victim; --",
            column_comments={name: f"{name}'; --" for name in HOSTILE},
            defaults={"two words": "'none %s'"},
        )
        declare(ledger, "shop")
        ledger.assets.set_location("shop", {"table": view} | self.layout.to_location())

    def identity(self, task: str) -> Any:
        self.runs += 1
        return identity(task, f"run{self.runs}")

    def target(self, mode: Any = "append", *, branch: str | None = None) -> Target:
        return Target(
            "shop",
            mode,
            layout=self.layout,
            merge=MergeSpec((KEY, OTHER), FLAG) if mode == "merge" else None,
            location=self.view,
            branch=branch,
        )

    def stage(
        self, rows: Sequence[Sequence[Any]], *, mode: Any = "append", branch: str | None = None
    ) -> StagedPart:
        columns = (*COLUMNS, Column(FLAG, "boolean")) if mode == "merge" else COLUMNS
        return stage_source(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.identity("stage"),
            target=self.target(mode, branch=branch),
            source=Rows(columns, [list(rows)]),
            digest=digest_of(rows=[list(map(str, r)) for r in rows]),
            origin="rows",
        )

    def publish(self, staged: StagedPart) -> Version:
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.identity("publish"),
            staged=staged,
            place=self.place(staged.branch),
            require_check=False,
        )

    def place(self, branch: str | None = None) -> Any:
        view = self.view
        if branch is not None:
            view = str(Relation(self.ledger.branches.schema_of(branch), Relation.parse(view).name))
        return place_of(self.ledger, "shop", view, self.layout, branch=branch)

    def seen(self, branch: str | None = None) -> list[Any]:
        found = self.ledger.connection.raw.execute(
            "SELECT * FROM " + Relation.parse(self.place(branch).location).quoted  # type: ignore[arg-type]
        ).fetchall()
        assert all(list(r) == [c.name for c in COLUMNS] for r in found)
        return sorted(tuple(r.values()) for r in found)

    def scanned(self, ref: str = "shop") -> list[Any]:
        version = self.ledger.versions.find(ref)
        parts = self.ledger.versions.manifest(version.version_id)
        columns = self.ledger.versions.columns(version.version_id)
        assert columns == COLUMNS
        return sorted(self.ledger.store.scan(columns=columns, parts=parts))


@pytest.fixture
def shop(ledger: PostgresLedger) -> Shop:
    return Shop(ledger)


@pytest.fixture(autouse=True)
def _the_victim_lives(ledger: PostgresLedger) -> Iterator[None]:
    ledger.connection.execute("CREATE TABLE victim AS SELECT 1 AS id")
    yield
    assert ledger.connection.scalar("SELECT count(*) FROM victim") == 1


def test_the_names_are_as_long_as_names_may_be() -> None:
    assert max(len(name.encode()) for name in HOSTILE) == IDENTIFIER_BYTES
    assert len({c.name for c in COLUMNS}) == len(COLUMNS)


@pytest.mark.parametrize("view", PLACES, ids=range(len(PLACES)))
def test_a_view_of_any_name(ledger: PostgresLedger, view: str) -> None:
    shop = Shop(ledger, view)
    shop.publish(shop.stage([row(1), row(2)]))
    shop.publish(shop.stage([row(3)], mode="replace"))
    assert shop.seen() == shop.scanned() == [row(3)]


def test_merged_rolled_back_compacted_and_collected(shop: Shop) -> None:
    ledger, store = shop.ledger, shop.ledger.store
    for number in (1, 2, 3):
        shop.publish(shop.stage([row(number)]))
    merged = shop.publish(shop.stage([(*row(2), True), (*row(3)[:-1], "new", None)], mode="merge"))
    expected = [row(1), (*row(3)[:-1], "new")]
    assert shop.seen() == shop.scanned() == expected
    back = roll_back(
        ledger=ledger,
        store=store,
        identity=shop.identity("back"),
        place=shop.place(),
        to="shop@3",
        reason="'; DROP TABLE victim; --",
    )
    assert back.version.number == 3
    assert shop.seen() == [row(1), row(2), row(3)]
    small = compact(
        ledger=ledger,
        store=store,
        identity=shop.identity("compact"),
        place=shop.place(),
        policy=CompactionPolicy(),
    )
    assert len(ledger.versions.manifest(small.version_id)) == 1
    assert shop.scanned(merged.ref) == expected
    policy = RetentionPolicy(keep_last=1, abandon_hours=0)
    plan = collect(ledger=ledger, store=store, identity=shop.identity("collect"), asset="shop", policy=policy)
    assert plan.parts
    assert not sweep(ledger=ledger, store=store, identity=shop.identity("sweep")).strays
    assert shop.seen() == shop.scanned() == [row(1), row(2), row(3)]


def test_on_a_branch(shop: Shop) -> None:
    ledger, store = shop.ledger, shop.ledger.store
    shop.publish(shop.stage([row(1)]))
    create_branch(ledger=ledger, store=store, identity=shop.identity("create"), name="dev-x")
    shop.publish(shop.stage([row(2)], branch="dev-x"))
    assert (shop.seen(), shop.seen("dev-x")) == ([row(1)], [row(1), row(2)])
    merge_branch(ledger=ledger, store=store, identity=shop.identity("merge"), name="dev-x")
    assert shop.seen() == [row(1), row(2)]
    create_branch(ledger=ledger, store=store, identity=shop.identity("create"), name="dev-y")
    drop_branch(ledger=ledger, store=store, identity=shop.identity("drop"), name="dev-y")


def test_a_file_and_a_query(shop: Shop, tmp_path: Path) -> None:
    ledger, path = shop.ledger, tmp_path / "x';--.csv"
    names = [c.name for c in COLUMNS]
    at = names.index("two words")
    rows = [row(1), row(2, "q\",\n';--%s")]
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerows((*r[:at], *r[at + 1 :]) for r in (names, *rows))
    staged = stage_csv(
        ledger=ledger,
        store=ledger.store,
        identity=shop.identity("stage"),
        target=shop.target(),
        path=path,
        columns=COLUMNS,
    )
    shop.publish(staged)
    assert shop.seen() == [(*r[:at], "none %s", *r[at + 1 :]) for r in rows]
    fields = ", ".join(quote_identifier(c.name) for c in COLUMNS[1:])
    copied = stage_query(
        ledger=ledger,
        store=ledger.store,
        identity=shop.identity("query"),
        target=shop.target("replace"),
        query=f"""SELECT {quote_identifier(KEY)} + %(more)s AS {quote_identifier(KEY)},
                  {fields.replace("%", "%%")} FROM "in';--" """,
        inputs={"in';--": "shop"},
        parameters={"more": 10},
    )
    shop.publish(copied)
    assert [r[0] for r in shop.seen()] == [11, 12]


@pytest.mark.parametrize("mode", ["duplicate", "null"])
def test_a_refusal_says_the_name(shop: Shop, mode: str) -> None:
    rows = {"duplicate": [(*row(1), None)] * 2, "null": [(None, *row(1)[1:], None)]}[mode]
    with pytest.raises(GateError, match="cannot be merged by"):
        shop.stage(rows, mode="merge")


def test_a_diff_shows_them(shop: Shop) -> None:
    shop.publish(shop.stage([row(1), row(2), row(3)]))
    shop.publish(shop.stage([row(1), (*row(2)[:-1], "new"), row(4)], mode="replace"))
    ledger = shop.ledger
    for keys, counts in (((KEY, OTHER), (1, 1, 1)), ((), (2, 0, 2))):
        found = diff_versions(ledger=ledger, store=ledger.store, old="shop@1", new="shop@2", keys=keys).rows
        assert (found.inserted, found.updated, found.deleted) == counts
    assert comparison(ledger, "shop@1", "shop@2")
    assert {c["name"] for c in profile(ledger, "shop@2")["columns"]} == {c.name for c in COLUMNS}


def test_a_snapshot_reads_them(shop: Shop) -> None:
    ledger = shop.ledger
    shop.publish(shop.stage([row(1), row(2)]))
    declare(ledger, "seen", kind="external")
    taken = take_snapshot(
        ledger=ledger,
        store=ledger.store,
        observer=PostgresTableObserver(ledger.connection, ledger.warehouse),
        identity=shop.identity("snapshot"),
        observed=Observed("seen", shop.view, freshness=OTHER, copy=True),
    )
    assert taken.version.fingerprint == ledger.versions.find("shop").fingerprint
    assert shop.scanned("seen") == [row(1), row(2)]


def contract(**faults: Any) -> Contract:
    """Every type of check over every hostile column, written as JSON, which is YAML."""
    columns = [
        {
            "name": c.name,
            "data_type": c.type,
            "checks": [
                {"missing": {"name": c.name}},
                {"duplicate": {"threshold": {"must_be_less_than": 10}}},
                *(
                    [
                        {"invalid": {"valid_min_length": 1}},
                        {
                            "aggregate": {
                                "function": "min_length",
                                "threshold": {"must_be": 1 if c.name == OTHER else 2},
                            }
                        },
                    ]
                    if c.type == "text"
                    else []
                ),
            ],
        }
        for c in COLUMNS
        # In a contract this is a variable, which the parser asks for.
        if "${" not in c.name
    ]
    checks = [
        {"schema": {"allow_extra_columns": True}},
        {"row_count": {"threshold": {"must_be": faults.get("rows", 2)}}},
        {"duplicate": {"columns": [KEY, OTHER, *HOSTILE[:5]]}},
    ]
    document = {"dataset": "w/shop", "columns": columns, "checks": checks}
    return Contract.from_text(json.dumps(document, ensure_ascii=False))


@pytest.mark.parametrize("engine", [SodaEngine(), NativeEngine()], ids=["soda", "native"])
@pytest.mark.parametrize("scope", ["batch", "result"])
def test_an_engine_checks_them(shop: Shop, engine: Any, scope: Any) -> None:
    def verify(staged: StagedPart, rows: int) -> Any:
        ledger = shop.ledger
        return verify_part(
            ledger=ledger,
            warehouse=ledger.warehouse,
            store=ledger.store,
            engine=engine,
            identity=shop.identity("audit"),
            staged=staged,
            contract=contract(rows=rows),
            scope=scope,
        )

    shop.publish(shop.stage([row(1)]))
    staged = shop.stage([row(2)])
    report = verify(staged, 2 if scope == "result" else 1)
    assert report.verdict == "pass", report.body
    with pytest.raises(QualityGateError):
        verify(staged, 7)


def test_the_command_line_prints_them(shop: Shop, ledger_dsn: str) -> None:
    shop.publish(shop.stage([row(1)]))
    shop.publish(shop.stage([row(2)]))
    for command in (
        ["read", "shop", "--csv"], ["show", "shop"], ["size", "shop"], ["diff", "shop@1", "shop@2"],
        ["compact", "shop"], ["rollback", "shop", "--to", "shop@1", "--reason", "';--"],
    ):  # fmt: skip
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "airflow_dataml.cli.main", "dataset", *command],
            env=os.environ | {DSN_VARIABLE: ledger_dsn},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
    assert shop.seen() == [row(1)]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (Column("ctid", "text"), "ctid"),
        (Column("x" * 64, "text"), "64 bytes"),
        (Column("", "text"), "bytes"),
        (Column("nul\x00", "text"), "no place for"),
        (Column("type", "text); DROP TABLE victim; --"), "does not know"),
        (Column("type", "text[]); --"), "does not know"),
    ],
    ids=["system", "long", "empty", "nul", "type", "array"],
)
def test_what_is_no_column_is_refused(shop: Shop, column: Column, message: str) -> None:
    source = Rows((column,), [[("a",)]])
    with pytest.raises(SpecError, match=message):
        stage_source(
            ledger=shop.ledger,
            store=shop.ledger.store,
            identity=shop.identity("stage"),
            target=Target("shop", "append"),
            source=source,
            digest="x",
            origin="rows",
        )
