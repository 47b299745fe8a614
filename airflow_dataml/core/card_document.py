"""A document of headings, tables, lists and words, written as Markdown, HTML or plain JSON.

Values are values in all three: what means something in the language written is escaped, so no text of the
ledger becomes markup. Only what an author wrote as Markdown stays Markdown, and only in Markdown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CardFormat = Literal["markdown", "html", "json"]
# What may not stand in a cell of a table or be read as markup where it is a value.
_MARKS = re.compile(r"([\\`*_\[\]<>|#])")
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid; padding: .25rem .5rem; text-align: left; vertical-align: top; }}
.written {{ white-space: pre-wrap; }}
</style>
</head>
<body>
<main>"""
_FOOT = "</main>\n</body>\n</html>"


@dataclass(frozen=True, slots=True)
class Words:
    """A run of text; ``em`` where it says that something is missing, ``strong`` where it matters."""

    text: str
    style: Literal["plain", "strong", "em"] = "plain"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words in a row."""

    words: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What an author wrote as Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list, each item words in a row."""

    items: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain text under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Paragraph | Written | Bullets | Table


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A title, what comes before the first heading, and sections."""

    title: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: sections by their titles, tables as rows, words as text."""
        return {
            "title": self.title,
            "lead": [_plain_json(block) for block in self.lead],
            "sections": [
                {"title": one.title, "blocks": [_plain_json(block) for block in one.blocks]}
                for one in self.sections
            ],
        }


def paragraph(*words: str | Words) -> Paragraph:
    """Words in a row; plain strings are plain words."""
    return Paragraph(tuple(Words(one) if isinstance(one, str) else one for one in words))


def missing(text: str) -> Paragraph:
    """What nobody wrote down or measured."""
    return Paragraph((Words(text, "em"),))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Rows as a table; of a table of two columns what is not known is left out.

    >>> table(("", ""), [("Owner", None), ("Task", "binary")]).rows
    (('Task', 'binary'),)
    """
    cells = (tuple(" ".join(str(cell or "").split()) or "-" for cell in row) for row in rows)
    return Table(tuple(head), tuple(row for row in cells if len(head) > 2 or row[1] != "-"))


def to_markdown(document: Document) -> str:
    """Write a document as Markdown; equal documents give equal text."""
    parts = [f"# {_marked(document.title)}", *map(_markdown, document.lead)]
    for section in document.sections:
        parts += [f"## {section.title}", *map(_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def to_html(document: Document) -> str:
    """Write a document as one HTML page that loads nothing and runs nothing."""
    parts = [_HEAD.format(title=escape(document.title)), f"<h1>{escape(document.title)}</h1>"]
    parts += map(_html, document.lead)
    for section in document.sections:
        parts += [f"<h2>{escape(section.title)}</h2>", *map(_html, section.blocks)]
    return "\n".join([*parts, _FOOT]) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Paragraph):
        return _marked_words(block.words)
    if isinstance(block, Written):
        return block.text
    if isinstance(block, Bullets):
        return "\n".join(f"- {_marked_words(item)}" for item in block.items)
    lines = [block.head, tuple("---" for _ in block.head), *(tuple(map(_marked, row)) for row in block.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _marked_words(words: Sequence[Words]) -> str:
    around = {"plain": "", "strong": "**", "em": "_"}
    return "".join(f"{around[one.style]}{_marked(one.text)}{around[one.style]}" for one in words)


def _marked(text: str) -> str:
    """Text that is no markup, on one line."""
    return _MARKS.sub(r"\\\1", re.sub(r"\s+", " ", text))


def _html(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{_html_words(block.words)}</p>"
    if isinstance(block, Written):
        return f'<p class="written">{escape(block.text)}</p>'
    if isinstance(block, Bullets):
        return "<ul>\n" + "\n".join(f"<li>{_html_words(item)}</li>" for item in block.items) + "\n</ul>"
    rows = [_row("td", row) for row in block.rows]
    head = [_row("th", block.head)] if any(block.head) else []
    return "\n".join(["<table>", *head, *rows, "</table>"])


def _html_words(words: Sequence[Words]) -> str:
    tags = {"strong": "strong", "em": "em"}
    return "".join(
        escape(one.text)
        if one.style == "plain"
        else f"<{tags[one.style]}>{escape(one.text)}</{tags[one.style]}>"
        for one in words
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _plain_json(block: Block) -> dict[str, Any]:
    if isinstance(block, Paragraph):
        return {"text": "".join(one.text for one in block.words)}
    if isinstance(block, Written):
        return {"written": block.text}
    if isinstance(block, Bullets):
        return {"items": ["".join(one.text for one in item) for item in block.items]}
    return {"head": list(block.head), "rows": [list(row) for row in block.rows]}
