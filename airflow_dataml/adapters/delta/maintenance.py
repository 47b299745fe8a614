"""What a Delta table offers beyond the port: its history, its change feed, constraints, and vacuum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.delta.errors import translated
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airflow_dataml.adapters.delta.files import Folder
    from airflow_dataml.adapters.delta.log import DeltaLog

_TYPE, _VERSION, _TIME = "_change_type", "_commit_version", "_commit_timestamp"
_GONE = ("delete", "update_preimage")
_SUM = "_dataml_sign"


def changes(log: DeltaLog, *, after: int, until: int, keys: Sequence[str] = ()) -> Iterator[Any]:
    """Yield the change feed as Arrow tables, one per commit that changed rows.

    To the feed a merge deletes and inserts every row of the files it wrote anew; rows that came back as
    they were are left out here, in memory, at the cost of those files.

    :param after: the commit whose rows are known; what came later is yielded.
    :param keys: columns that name a row; a row deleted and inserted under one key was updated.
    """
    pyarrow = load("pyarrow", extra="delta")
    for version in range(after + 1, until + 1):
        with translated(log.uri, log.options):
            found = _plain(log.table.load_cdf(starting_version=version, ending_version=version))
        if found.num_rows:
            net = _net(found)
            net = _updates(net, keys) if keys else net
            if net.num_rows:
                yield net.append_column(_VERSION, pyarrow.array([version] * net.num_rows, pyarrow.int64()))


def add_constraint(log: DeltaLog, *, name: str, condition: str) -> None:
    """Give a table a condition that every row has to meet, those there and those to come.

    :param condition: SQL as deltalake understands it, such as ``km >= 0``.
    :raises SpecError: a row breaks it, or it is not understood.
    """
    deltalake = load("deltalake.exceptions", extra="delta")
    with translated(log.uri, log.options):
        try:
            log.table.alter.add_constraint({name: condition})
        except (deltalake.DeltaError, ValueError) as err:
            if isinstance(err, deltalake.CommitFailedError):
                raise
            msg = f"constraint {name}: {condition} cannot be put on the Delta table {log.uri}: {' '.join(str(err).split())}"
            raise SpecError(msg) from err


def vacuum(
    log: DeltaLog, folder: Folder, *, keep: Collection[int], known: Collection[str], dry_run: bool
) -> dict[str, int]:
    """Delete files that readers no longer see and nothing needs; returns them with their bytes.

    :param keep: commits whose files stay.
    :param known: locators of parts whose files stay, published or not.
    """
    with translated(log.uri, log.options):
        found = log.table.vacuum(
            retention_hours=0,
            dry_run=True,
            enforce_retention_duration=False,
            keep_versions=sorted(version for version in keep if version <= log.version),
        )
    doomed = {name: folder.size(name) for name in found if folder.locator(name) not in known}
    gone = {name: size for name, size in doomed.items() if size is not None}
    if not dry_run:
        for name in gone:
            folder.delete(name)
    return gone


def _plain(reader: Any) -> Any:
    """Read a feed, whose texts come in a form that most of Arrow's functions do not know."""
    pyarrow = load("pyarrow", extra="delta")
    found = pyarrow.table(reader)
    known = {"string_view": pyarrow.string(), "binary_view": pyarrow.binary()}
    return found.cast(pyarrow.schema([(f.name, known.get(str(f.type), f.type)) for f in found.schema]))


def _net(found: Any) -> Any:
    """Count every row up and down, and keep what is left over."""
    pyarrow = load("pyarrow", extra="delta")
    compute = load("pyarrow.compute", extra="delta")
    kinds = found.column(_TYPE)
    rows = found.drop_columns([_TYPE, _VERSION, _TIME])
    gone = compute.is_in(kinds, value_set=pyarrow.array(_GONE))
    signed = rows.append_column(_SUM, compute.if_else(gone, -1, 1))
    sums = signed.group_by(rows.column_names, use_threads=False).aggregate([(_SUM, "sum")])
    counts = sums.column(f"{_SUM}_sum").to_pylist()
    taken = [at for at, count in enumerate(counts) for _ in range(abs(count))]
    words = ["insert" if counts[at] > 0 else "delete" for at in taken]
    return (
        sums.select(rows.column_names)
        .take(pyarrow.array(taken, pyarrow.int64()))
        .append_column(_TYPE, pyarrow.array(words, pyarrow.string()))
    )


def _updates(net: Any, keys: Sequence[str]) -> Any:
    """Call it an update where a key was both deleted and inserted."""
    pyarrow = load("pyarrow", extra="delta")
    if missing := [key for key in keys if key not in net.column_names]:
        msg = f"{', '.join(missing)} to tell rows apart by is no column of the table: it has {', '.join(net.column_names[:-1])}."
        raise SpecError(msg)
    named = list(zip(*(net.column(key).to_pylist() for key in keys), strict=True))
    words = net.column(_TYPE).to_pylist()
    both = {key for key, word in zip(named, words, strict=True) if word == "delete"} & {
        key for key, word in zip(named, words, strict=True) if word == "insert"
    }
    image = {"delete": "update_preimage", "insert": "update_postimage"}
    told = [image[word] if key in both else word for key, word in zip(named, words, strict=True)]
    return net.set_column(net.column_names.index(_TYPE), _TYPE, pyarrow.array(told, pyarrow.string()))
