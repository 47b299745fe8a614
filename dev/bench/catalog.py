"""What the catalog costs: registration of many assets, cold and unchanged, beside an upsert row by row; and search.

The first table: assets of 20 columns each, whose entries are built beforehand, are registered into an empty
catalog, again without a change, again with one in a hundred changed, and the same through ``executemany``
with a row per column, the usual way. The second (``--search``): queries of a person who types, with and
without filters and slips, on a catalog of many assets; every query is asked with everything that a page shows.

    python -m dev.bench.catalog [--assets 100000] [--peer-assets 5000] [--search] [--search-assets 1000000]
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.catalog import AssetEntry, AssetFilter
from airflow_dataml.core.datasets import Column
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMNS = 20
_SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]
_COMMON = (
    "orders",
    "customers",
    "payments",
    "events",
    "sessions",
    "users",
    "items",
    "invoices",
    "rides",
    "weather",
)
_FIELDS = (
    "id",
    "name",
    "created_at",
    "updated_at",
    "amount",
    "status",
    "kind",
    "customer_id",
    "country",
    "price",
)
_UPSERT = """
INSERT INTO peer.asset (name, owner, description, hash) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, description = excluded.description, hash = excluded.hash
"""
_UPSERT_FIELD = """
INSERT INTO peer.field (asset, name, type) VALUES (%s, %s, %s)
ON CONFLICT (asset, name) DO UPDATE SET type = excluded.type
"""


def vocabulary(size: int, seed: int = 7) -> list[str]:
    """Made-up words."""
    rng = random.Random(seed)  # noqa: S311 - names for a bench
    return ["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(size)]


def entries(
    count: int, *, distinct_schemas: bool, changed: Callable[[int], bool] = lambda _: False
) -> Iterator[AssetEntry]:
    """Tables as a crawl finds them.

    :param distinct_schemas: every table has columns of its own; else a hundred tables share a schema.
    """
    rng = random.Random(11)  # noqa: S311 - names for a bench
    words, owners = vocabulary(4000), [f"team-{n}" for n in range(40)]
    for number in range(count):
        key = number if distinct_schemas else number // 100
        fields = [f"{_FIELDS[i % 10]}" if i < 10 else f"{words[(key * 7 + i) % 4000]}_{words[(key + i * i) % 4000]}" for i in range(COLUMNS)]  # fmt: skip
        middle = rng.choice(_COMMON) if rng.random() < 0.3 else rng.choice(words)
        name = f"{rng.choice(words)}.{middle}_{rng.choice(words)}_{number}"
        uri = f"postgres://warehouse:5432/shop/{name.replace('.', '/')}"
        about = f"{rng.choice(words)} of {middle} by {rng.choice(words)}" + (
            " anew" if changed(number) else ""
        )
        yield AssetEntry(
            name=name,
            kind="external",
            uri=uri,
            subtype=rng.choice(("table", "table", "view")),
            owner=rng.choice(owners),
            description=about,
            tags=(rng.choice(("gold", "silver", "pii")),) if rng.random() < 0.2 else (),
            domain=rng.choice(("sales", "finance", "ops")),
            columns=tuple(Column(field, "bigint") for field in fields),
            aliases=(("postgres://warehouse:5432", f"shop.{name}"),),
            source="crawled",
        )


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peer(dsn: str, found: list[AssetEntry]) -> None:
    rows = [(e.name, e.owner, e.description, e.digest) for e in found]
    fields = [(e.name, c.name, c.type) for e in found for c in e.columns or ()]
    with psycopg.connect(dsn) as raw, raw.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS peer")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS peer.asset (name text PRIMARY KEY, owner text, description text, hash text)"
        )
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS peer.field (asset text, name text, type text, PRIMARY KEY (asset, name))"
        )
        cursor.executemany(_UPSERT, rows)
        cursor.executemany(_UPSERT_FIELD, fields)


def registration(server: str, assets: int, peer_assets: int) -> None:
    """Print the first table."""
    print(f"registration of {assets:,} assets of {COLUMNS} columns (entries built beforehand)")
    for distinct in (False, True):
        dsn = ensure_database(server, f"cold_{int(distinct)}")
        build = time.perf_counter()
        found = list(entries(assets, distinct_schemas=distinct))
        build = time.perf_counter() - build
        newer = list(entries(assets, distinct_schemas=distinct, changed=lambda n: n % 100 == 0))
        with Connection(dsn) as connection:
            migrate(connection)
            catalog = PostgresCatalog(connection)
            cold = _timed(lambda: print("   ", catalog.register_all(found)))  # noqa: B023 - called at once
            unchanged = _timed(lambda: print("   ", catalog.register_all(found)))  # noqa: B023 - called at once
            some = _timed(lambda: print("   ", catalog.register_all(newer)))  # noqa: B023 - called at once
        few = found[:peer_assets]
        peer_cold, peer_again = (_timed(lambda: _peer(dsn, few)) * assets / len(few) for _ in range(2))  # noqa: B023 - called at once
        word = "a schema each" if distinct else "a schema per 100"
        print(
            f"  {word}: built {build:.1f} s, cold {cold:.2f} s, unchanged {unchanged:.2f} s, 1 % changed {some:.2f} s"
        )
        print(
            f"    executemany (from {len(few):,}): cold {peer_cold:.0f} s, unchanged {peer_again:.0f} s: "
            f"{peer_cold / cold:.0f} and {peer_again / unchanged:.0f} times as long"
        )


def search(server: str, assets: int) -> None:
    """Print the second table."""
    from airflow_dataml.adapters.postgres.search import PostgresSearch

    dsn = ensure_database(server, "search")
    with Connection(dsn) as connection:
        migrate(connection)
        took = _timed(
            lambda: PostgresCatalog(connection).register_all(entries(assets, distinct_schemas=False))
        )
        print(f"search over {assets:,} assets (built and registered in {took:.0f} s)")
        connection.execute("VACUUM ANALYZE dataml.asset")
        connection.execute("VACUUM ANALYZE dataml.asset_word")
        finder = PostgresSearch(connection)
        some = [
            row["name"]
            for row in connection.rows("SELECT name FROM dataml.asset TABLESAMPLE SYSTEM (0.1) LIMIT 40")
        ]
        for what, asked in _questions(some).items():
            times = sorted(_timed(lambda: finder.search(text, where, limit=50)) for text, where in asked)  # noqa: B023 - called at once
            p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
            print(
                f"  {what:34s} p50 {statistics.median(times) * 1e3:7.1f} ms  p95 {p95 * 1e3:7.1f} ms  max {times[-1] * 1e3:7.1f} ms"
            )


def _questions(names: list[str]) -> dict[str, list[tuple[str, AssetFilter]]]:
    words = [word for name in names for word in name.replace(".", "_").split("_") if word.isalpha()]
    everything = AssetFilter()
    return {
        "one letter": [(word[:1], everything) for word in words],
        "two letters": [(word[:2], everything) for word in words],
        "three letters": [(word[:3], everything) for word in words],
        "a word": [(word, everything) for word in words],
        "two words": [(f"{a} {b}", everything) for a, b in itertools.pairwise(words)],
        "a whole name": [(name, everything) for name in names],
        "a common word": [(word, everything) for word in _COMMON],
        "a word in every asset": [
            (word, everything) for word in ("id", "created", "customer", "at", "country")
        ],
        "a slip": [(word[:2] + word[3:2:-1] + word[4:], everything) for word in words if len(word) > 4],
        "a common word and an owner": [(word, AssetFilter(owner="team-3")) for word in _COMMON],
        "a common word, a tag, a kind": [(w, AssetFilter(tag="pii", kinds=("external",))) for w in _COMMON],
        "nothing but a tag and an owner": [
            ("", AssetFilter(tag="pii", owner=f"team-{n}")) for n in range(10)
        ],
        "nothing but a domain": [("", AssetFilter(domain=word)) for word in ("sales", "ops", "finance")],
        "nothing": [("", everything) for _ in range(5)],
        "stale, failing": [("", AssetFilter(stale=True)), ("", AssetFilter(failing=True))],
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--peer-assets", type=int, default=5_000)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--search-assets", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="airflow-dataml-bench-", ignore_cleanup_errors=True) as folder, embedded_postgres(Path(folder) / "data") as server:  # fmt: skip
        if args.search:
            search(server, args.search_assets)
        else:
            registration(server, args.assets, args.peer_assets)


if __name__ == "__main__":
    main()
