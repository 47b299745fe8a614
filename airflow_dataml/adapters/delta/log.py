"""The log of one Delta table: what is there, who wrote it, and one commit per version of ours."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.adapters.delta.errors import translated
from airflow_dataml.adapters.delta.types import arrow_schema
from airflow_dataml.core.errors import StaleVersionError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Column

FACT, ASSET, COPIES = "dataml_fact", "dataml_asset", "dataml_copies"
_LOOK_BACK = 100
# What these do leaves the rows and the columns as they were.
_HARMLESS = frozenset({
    "OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD CONSTRAINT", "DROP CONSTRAINT",
    "ADD FEATURE", "UPDATE FIELD METADATA", "UPDATE TABLE METADATA", "SET TABLE PROPERTIES",
})  # fmt: skip
# Readers of other engines may vacuum and clean up too: what a retained version needs is kept out of their
# way. How long a version is retained is for the ledger's retention to say.
_CONFIGURATION = {
    "delta.enableChangeDataFeed": "true",
    "delta.deletedFileRetentionDuration": "interval 5200 weeks",
    "delta.logRetentionDuration": "interval 5200 weeks",
}


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a table's log.

    :param fact: which of our publications made it; nothing if somebody else did.
    :param copies: parts of the manifest that were written anew under other names, by their ids.
    """

    version: int
    operation: str
    time: Any
    fact: str | None = None
    asset: str | None = None
    copies: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Self:
        """Read an entry of deltalake's history."""
        return cls(
            version=entry["version"],
            operation=str(entry.get("operation", "")),
            time=entry.get("timestamp"),
            fact=entry.get(FACT),
            asset=entry.get(ASSET),
            copies={int(part): name for part, name in (entry.get(COPIES) or {}).items()},
        )


class DeltaLog:
    """A table as it was when it was opened; a commit is refused once it is no longer that."""

    def __init__(self, uri: str, options: Mapping[str, str], table: Any) -> None:
        self.uri = uri
        self.options = dict(options)
        self.table = table

    @classmethod
    def open(cls, uri: str, options: Mapping[str, str]) -> Self | None:
        """Open a table; nothing if there is none."""
        deltalake = load("deltalake", extra="delta")
        with translated(uri, options):
            if not deltalake.DeltaTable.is_deltatable(uri, dict(options)):
                return None
            return cls(uri, options, deltalake.DeltaTable(uri, storage_options=dict(options)))

    @classmethod
    def create(
        cls,
        uri: str,
        options: Mapping[str, str],
        *,
        columns: Sequence[Column],
        adds: Mapping[str, tuple[int, str]],
        mark: Mapping[str, Any],
    ) -> int:
        """Create a table of some files, in one commit."""
        transaction = load("deltalake.transaction", extra="delta")
        schema = load("deltalake", extra="delta").Schema.from_arrow(arrow_schema(columns))
        with translated(uri, options):
            transaction.create_table_with_add_actions(
                uri,
                schema,
                _adds(adds, moved=True),
                configuration=_CONFIGURATION,
                storage_options=dict(options),
                commit_properties=transaction.CommitProperties(custom_metadata=dict(mark)),
            )
        return 0

    @property
    def version(self) -> int:
        """Number of the newest commit."""
        return int(self.table.version())

    @property
    def schema(self) -> Any:
        """The table's columns as an Arrow schema."""
        pyarrow = load("pyarrow", extra="delta")
        return pyarrow.schema(self.table.schema().to_arrow())

    @property
    def files(self) -> dict[str, int]:
        """The files readers see, with their bytes."""
        pyarrow = load("pyarrow", extra="delta")
        with translated(self.uri, self.options):
            found = pyarrow.table(self.table.get_add_actions(flatten=True)).to_pydict()
        return {str(path): int(size) for path, size in zip(found["path"], found["size_bytes"], strict=True)}

    @property
    def configuration(self) -> dict[str, str]:
        """The table's properties."""
        return dict(self.table.metadata().configuration)

    @property
    def constraints(self) -> dict[str, str]:
        """The conditions every row has to meet, by name."""
        prefix = "delta.constraints."
        return {
            key.removeprefix(prefix): value
            for key, value in self.configuration.items()
            if key.startswith(prefix)
        }

    def at(self, version: int) -> Self:
        """Return the table as it was at a commit.

        :raises NotFoundError, WarehouseError: its log does not reach back so far.
        """
        deltalake = load("deltalake", extra="delta")
        with translated(self.uri, self.options):
            table = deltalake.DeltaTable(self.uri, version=version, storage_options=self.options)
        return type(self)(self.uri, self.options, table)

    def commits(self, limit: int | None = _LOOK_BACK) -> Iterator[Commit]:
        """Yield the commits, newest first."""
        with translated(self.uri, self.options):
            entries = self.table.history(limit)
        yield from map(Commit.read, entries)

    def head(self, asset: str) -> Commit | None:
        """Return our newest commit.

        :raises StaleVersionError: somebody else changed rows or columns since.
        """
        foreign = None
        for commit in self.commits():
            if commit.fact is not None and commit.asset == asset:
                if foreign is not None:
                    break
                return commit
            if commit.operation not in _HARMLESS:
                foreign = commit
        if foreign is None:
            return None
        msg = (
            f"somebody else wrote version {foreign.version} of the Delta table {self.uri} ({foreign.operation}), which the "
            f"ledger does not know: take it over with `dataml delta adopt {asset}`, or take it back with "
            f"`dataml delta discard {asset}`."
        )
        raise StaleVersionError(msg)

    def commit(
        self,
        *,
        columns: Sequence[Column],
        adds: Mapping[str, tuple[int, str]],
        removes: Mapping[str, int],
        mark: Mapping[str, Any],
        moved: bool = True,
    ) -> int:
        """Make readers see other files, in one commit.

        :param adds: files with their bytes and statistics, none of which readers see yet.
        :param columns: the table's columns from now on; when any but added ones differ, every file has to be new.
        :param moved: whether rows come or go; not so when files were only written together.
        """
        transaction = load("deltalake.transaction", extra="delta")
        wanted = load("deltalake", extra="delta").Schema.from_arrow(arrow_schema(columns))
        properties = transaction.CommitProperties(custom_metadata=dict(mark), max_commit_retries=0)
        with translated(self.uri, self.options):
            if self.fresh_columns(columns):
                have = len(self.table.schema().fields)
                self.table.alter.add_columns(list(wanted.fields[have:]), commit_properties=properties)
                self.table.update_incremental()
            same = self.same_columns(columns)
            actions = _adds(adds, moved=moved)
            if same:
                now = int(time.time() * 1000)
                actions += [
                    transaction.RemoveAction(path, moved, now, size, {}) for path, size in removes.items()
                ]
            self.table.create_write_transaction(
                actions, "append" if same else "overwrite", wanted, commit_properties=properties
            )
            self.table.update_incremental()
        return self.version

    def restore(self, version: int, *, mark: Mapping[str, Any]) -> int:
        """Make readers see what they saw at an earlier commit, columns included."""
        transaction = load("deltalake.transaction", extra="delta")
        properties = transaction.CommitProperties(custom_metadata=dict(mark), max_commit_retries=0)
        with translated(self.uri, self.options):
            self.table.restore(version, commit_properties=properties)
            self.table.update_incremental()
        return self.version

    def fresh_columns(self, columns: Sequence[Column]) -> bool:
        """Whether these are the table's columns and, after them, new ones."""
        wanted, have = arrow_schema(columns), self.schema
        return (
            len(wanted) > len(have)
            and wanted.names[: len(have)] == have.names
            and all(wanted.field(i).type == have.field(i).type for i in range(len(have)))
        )

    def same_columns(self, columns: Sequence[Column]) -> bool:
        """Whether these are the table's columns."""
        wanted, have = arrow_schema(columns), self.schema
        return bool(wanted.names == have.names and wanted.types == have.types)


def _adds(adds: Mapping[str, tuple[int, str]], *, moved: bool) -> list[Any]:
    action = load("deltalake.transaction", extra="delta").AddAction
    now = int(time.time() * 1000)
    return [action(path, size, {}, now, moved, stats) for path, (size, stats) in adds.items()]
