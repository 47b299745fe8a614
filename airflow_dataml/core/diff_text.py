"""A diff of two versions in words: for terminals, and as Markdown for pull requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.core.diffs import DistributionDelta, VersionDiff
    from airflow_dataml.core.stores import RowDiff

_WIDEST = 60
_SIGNS = {"inserted": "+", "updated": "~", "deleted": "-"}
_HEADERS = ("column", "nulls", "distinct", "mean", "std", "min", "max", "psi")
# Escaped so that no value ends a table cell, becomes a link or mentions a person.
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~!"} | {"@": "@\u200b"})


def to_text(diff: VersionDiff) -> str:
    """Return a diff for a terminal."""
    blocks = [f"{diff.old.ref} -> {diff.new.ref}: {summary(diff)}"]
    if diff.schema.changes:
        changes = (f"  {c.change.value}: {c.sentence}" for c in diff.schema.changes)
        blocks.append("\n".join(["schema", *map(_one_line, changes)]))
    if diff.rows is not None and not diff.rows.same:
        blocks.append("\n".join([f"rows {_matched(diff.rows)}", *_row_lines(diff.rows)]))
    if moved := [c for c in diff.columns if c.moved]:
        rows = [_HEADERS, *(_delta_cells(c) for c in moved)]
        blocks.append("\n".join(["distributions", *_aligned(rows)]))
    return "\n\n".join(blocks)


def to_markdown(diff: VersionDiff) -> str:
    """Return a diff for a pull request; names and values cannot become markup."""
    blocks = [f"### {_escape(diff.old.ref)} → {_escape(diff.new.ref)}", _escape(summary(diff))]
    if diff.schema.changes:
        rows = [(c.change.value, c.sentence) for c in diff.schema.changes]
        blocks.append(_markdown_table(("schema change", "what"), rows))
    if diff.rows is not None and not diff.rows.same:
        if diff.rows.columns:
            changed = [(c.column, f"{c.changed:,}") for c in _by_count(diff.rows)]
            blocks.append(_markdown_table(("changed column", "rows"), changed))
        lines = [f"- {kind}: {_escape(row)}" for kind in _SIGNS for row in _samples(diff.rows, kind)]
        if lines:
            body = "\n".join(lines)
            blocks.append(f"<details><summary>Sample rows</summary>\n\n{body}\n\n</details>")
    if moved := [c for c in diff.columns if c.moved]:
        body = _markdown_table(_HEADERS, [_delta_cells(c) for c in moved])
        blocks.append(f"<details><summary>Distributions</summary>\n\n{body}\n\n</details>")
    return "\n\n".join(blocks)


def summary(diff: VersionDiff) -> str:
    """Return a diff in one sentence."""
    if diff.same:
        return "equal in schema and content."
    told = [f"{_count(diff.old.rows)} -> {_count(diff.new.rows)} rows"]
    if diff.schema.changes:
        n = len(diff.schema.changes)
        told.append(f"{n} schema {'change' if n == 1 else 'changes'}, {diff.schema.change.value}")
    if diff.rows is None:
        told.append(f"rows were not compared: {diff.unread}")
    else:
        told.append(
            f"{diff.rows.inserted:,} inserted, {diff.rows.updated:,} updated, {diff.rows.deleted:,} deleted"
        )
        told.append(f"{len(diff.rows.read_parts)} parts read, {diff.rows.shared_parts} shared ones not")
    return "; ".join(told) + "."


def _matched(rows: RowDiff) -> str:
    return (
        f"matched by {', '.join(rows.keys)}"
        if rows.keys
        else "without keys: a changed row is one deleted and one inserted"
    )


def _row_lines(rows: RowDiff) -> list[str]:
    lines = []
    if rows.columns:
        lines.append("changed columns: " + ", ".join(f"{c.column} {c.changed:,}" for c in _by_count(rows)))
    lines += [f"{sign} {row}" for kind, sign in _SIGNS.items() for row in _samples(rows, kind)]
    return [f"  {_one_line(line)}" for line in lines]


def _by_count(rows: RowDiff) -> list[Any]:
    return sorted(rows.columns, key=lambda c: (-c.changed, c.column))


def _samples(rows: RowDiff, kind: str) -> Iterable[str]:
    for found in rows.samples.get(kind, ()):
        yield _updated(rows.keys, *found) if kind == "updated" else _whole(found)


def _whole(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in row.items())


def _updated(keys: Sequence[str], old: dict[str, Any], new: dict[str, Any]) -> str:
    which = _whole({key: new.get(key) for key in keys})
    hidden = "***"
    told = [
        f"{name} {_value(value)} -> {_value(new.get(name))}"
        for name, value in old.items()
        if value != new.get(name) and hidden not in (value, new.get(name))
    ]
    return f"{which}: {'; '.join(told) or 'only masked or long values differ'}"


def _value(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _delta_cells(delta: DistributionDelta) -> tuple[str, ...]:
    cells = [delta.column]
    for name in _HEADERS[1:-1]:
        old, new = (getattr(side, name) if side else None for side in (delta.old, delta.new))
        cells.append(_number(old) if old == new else f"{_number(old)} -> {_number(new)}")
    return (*cells, _number(delta.psi))


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else _value(value)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    clean = [[_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in clean) for i in range(len(clean[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in clean
    ]


def _markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _one_line(text: str) -> str:
    r"""Return a text without what moves a terminal's cursor.

    >>> _one_line("a\x1b[2Jb\nc")
    'a [2Jb c'
    """
    return "".join(c if c.isprintable() else " " for c in text)


def _escape(text: str) -> str:
    r"""Return a text as Markdown shows it unchanged.

    >>> print(_escape("a|b <i>"))
    a\|b \<i\>
    """
    return _one_line(text).translate(_MARKDOWN)
