"""What people say and decide about assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.catalog import PostgresAssets
from airflow_dataml.adapters.postgres.catalog_joining import join_assets
from airflow_dataml.core.catalog import AssetEntry, rank
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.catalog import AssetStatus, ColumnDoc

# What a person may say, and what stands there when nobody says anything.
FIELDS: dict[str, Any] = {
    "owner": None, "description": None, "documentation": None, "importance": "moderate", "domain": None,
    "asset_group": None, "freshness_s": None,
}  # fmt: skip
_REFRESH = """
UPDATE dataml.asset SET search_text = dataml.search_text(description, documentation, owner, domain, schema_hash)
WHERE asset_id = %s
"""


class PostgresCuration:
    """Curation of the catalog; every method works under the asset's lock, in the caller's transaction.

    :param connection: the ledger's connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._assets = PostgresAssets(connection)

    def describe(
        self, name: str, said: Mapping[str, Any], *, columns: Sequence[ColumnDoc] = ()
    ) -> dict[str, Any]:
        """Lay what a person says over an asset; returns what changed, as before and after.

        :param said: fields by name; ``None`` takes back what a person, or a crawl, said.
        :raises SpecError: a field is unknown, or the asset's declaration says something else.
        """
        from psycopg import sql
        from psycopg.types.json import Jsonb

        if unknown := set(said) - set(FIELDS):
            msg = f"{sorted(unknown)} cannot be described: write some of {', '.join(FIELDS)}."
            raise SpecError(msg)
        asset = self._assets.lock(name)
        _check(asset, said)
        changes = {}
        for field, value in said.items():
            new = FIELDS[field] if value is None else value
            if asset[field] == new and (value is None) == (field not in asset["said"]):
                continue
            _refuse_declared(asset, field, value)
            changes[field] = {"before": asset[field], "after": new}
            mark = Jsonb({} if value is None else {field: "described"})
            # What was taken back may be said by a crawl again, which then has to be heard anew.
            statement = sql.SQL(
                "UPDATE dataml.asset SET {field} = %s, said = (said - %s::text) || %s, digests = CASE WHEN %s THEN '{{}}' ELSE digests END"
                " WHERE asset_id = %s"
            ).format(field=sql.Identifier(field))
            self._db.execute(statement, [new, field, mark, value is None, asset["asset_id"]])
        for doc in columns:
            changes |= self._describe_column(asset, doc)
        if changes:
            self._db.execute(_REFRESH, [asset["asset_id"]])
        return changes

    def tag(
        self,
        name: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        what: str = "tags",
        column: str | None = None,
    ) -> dict[str, Any]:
        """Add and remove tags or terms, of an asset or of one of its columns; returns what changed.

        :param what: ``tags`` or ``terms``.
        :raises SpecError: what shall be removed is in the asset's declaration.
        """
        from psycopg import sql
        from psycopg.types.json import Jsonb

        if what not in ("tags", "terms"):
            msg = f"{what!r} cannot be added to: write 'tags' or 'terms'."
            raise SpecError(msg)
        asset = self._assets.lock(name)
        AssetEntry(asset["name"], asset["kind"], asset["uri"], tags=(*add, *remove))
        row = asset if column is None else self._column(asset, column)
        added = list(row["said"].get("added", {}).get(what, []))
        declared = rank_of(row["said"].get(what)) > rank("described")
        if declared and (fixed := [word for word in remove if word in row[what] and word not in added]):
            msg = f"{what} {fixed} of {name!r} are written in its declaration: remove them there."
            raise SpecError(msg)
        old = list(row[what])
        new = [word for word in dict.fromkeys((*old, *add)) if word not in remove]
        if old == new:
            return {}
        mine = [word for word in dict.fromkeys((*added, *add)) if word in new]
        said = row["said"] | {"added": row["said"].get("added", {}) | {what: mine}}
        table = sql.Identifier("dataml", "asset" if column is None else "asset_column")
        statement = sql.SQL("UPDATE {table} SET {what} = %s, said = %s WHERE asset_id = %s").format(
            table=table, what=sql.Identifier(what)
        )
        key = [asset["asset_id"]]
        if column is not None:
            statement, key = statement + sql.SQL(" AND name = %s"), [asset["asset_id"], column]
        self._db.execute(statement, [Jsonb(new), Jsonb(said), *key])
        return {what if column is None else f"{column}.{what}": {"before": old, "after": new}}

    def set_status(self, name: str, status: AssetStatus) -> dict[str, Any]:
        """Hide an asset from search or bring it back; its versions, reports and edges stay as they are.

        :raises SpecError: it was merged, and is another asset now.
        """
        row = self._db.row("SELECT asset_id, merged_into FROM dataml.asset WHERE name = %s", [name])
        if row and row["merged_into"] is not None:
            now = self._assets.get(name)["name"]
            msg = f"{name!r} was merged and is {now!r} now: name that one."
            raise SpecError(msg)
        asset = self._assets.lock(name)
        if asset["status"] == status:
            return {}
        self._db.execute(
            "UPDATE dataml.asset SET status = %s, status_at = clock_timestamp(), last_seen = now() WHERE asset_id = %s",
            [status, asset["asset_id"]],
        )
        return {"status": {"before": asset["status"], "after": status}}

    def merge(self, name: str, *, into: str) -> dict[str, Any]:
        """Make two assets one: every name of the first, and every edge between names, is the second's then.

        Versions of the first stay under its name, for they are facts others point at.

        :raises SpecError: they are not two, or the first has versions that readers see.
        """
        winner = self._assets.get(into)
        loser = self._assets.get(name)
        if loser["asset_id"] == winner["asset_id"]:
            if name == into:
                msg = f"{name!r} cannot be merged into itself: name two assets."
                raise SpecError(msg)
            return {}
        seen = self._db.scalar(
            "SELECT array_agg(name ORDER BY name) AS names FROM dataml.alias WHERE asset_id = %s",
            [loser["asset_id"]],
        )
        if seen:
            msg = (
                f"{name!r} has versions that its readers see ({', '.join(seen)}) and cannot go into {into!r}: "
                "merge the other one into it, or delete it."
            )
            raise SpecError(msg)
        join_assets(self._db, loser=loser["asset_id"], winner=winner["asset_id"])
        return {"merged_into": {"before": None, "after": winner["name"]}}

    def _describe_column(self, asset: Mapping[str, Any], doc: ColumnDoc) -> dict[str, Any]:
        from psycopg.types.json import Jsonb

        row = self._column(asset, doc.name)
        if doc.description is None or row["description"] == doc.description:
            return {}
        if rank_of(row["said"].get("description")) > rank("described"):
            msg = (
                f"column {doc.name!r} of {asset['name']!r} is described in its declaration: change it there."
            )
            raise SpecError(msg)
        self._db.execute(
            "UPDATE dataml.asset_column SET description = %s, said = said || %s WHERE asset_id = %s AND name = %s",
            [doc.description, Jsonb({"description": "described"}), asset["asset_id"], doc.name],
        )
        return {f"{doc.name}.description": {"before": row["description"], "after": doc.description}}

    def _column(self, asset: Mapping[str, Any], column: str) -> dict[str, Any]:
        """Return what is said of a column, making its row; a name that is none of the schema's is refused."""
        known = self._db.scalar(
            "SELECT array(SELECT c ->> 0 FROM jsonb_array_elements(columns) c) AS names FROM dataml.schema_blob WHERE schema_hash = %s",
            [asset["schema_hash"]],
        )
        if known is not None and column not in known:
            msg = f"{asset['name']!r} has no column {column!r}: it has {', '.join(known)}."
            raise SpecError(msg)
        self._db.execute(
            "INSERT INTO dataml.asset_column (asset_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [asset["asset_id"], column],
        )
        return self._db.one(
            "SELECT * FROM dataml.asset_column WHERE asset_id = %s AND name = %s FOR UPDATE",
            [asset["asset_id"], column],
        )


def rank_of(source: str | None) -> int:
    """Return how much a word weighs; nobody's least."""
    return -1 if source is None else rank(source)


def _check(asset: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Let an entry refuse what it would refuse in a declaration."""
    values = {field: value for field, value in said.items() if value is not None}
    AssetEntry(asset["name"], asset["kind"], asset["uri"], source="described", **values)


def _refuse_declared(asset: Mapping[str, Any], field: str, value: object) -> None:
    source = asset["said"].get(field)
    if rank_of(source) > rank("described"):
        what = "taken back" if value is None else f"described as {value!r}"
        msg = f"{field} of {asset['name']!r} is {source} as {asset[field]!r} and cannot be {what}: change it where it is declared."
        raise SpecError(msg)
