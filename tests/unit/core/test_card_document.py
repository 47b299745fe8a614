"""One document in three languages; values are markup in none of them."""

from __future__ import annotations

from html.parser import HTMLParser

from airflow_dataml.core.card_document import (
    Bullets,
    Document,
    Section,
    Words,
    Written,
    missing,
    paragraph,
    table,
    to_html,
    to_markdown,
)

EVIL = "<script>alert('x')</script> | # a *b* _c_ [d](javascript:e) & \"f\""
DOCUMENT = Document(
    EVIL,
    (missing("Nothing said."),),
    (
        Section("Words", (paragraph("it is ", Words(EVIL, "strong"), "."), Written(f"**by hand** {EVIL}"))),
        Section("Table", (table(("a", EVIL, "c"), [(EVIL, "two\nlines", None)]),)),
        Section("List", (Bullets(((Words(EVIL),), (Words("two"),))),)),
    ),
)


class Tags(HTMLParser):
    """Every tag a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        assert all(name in {"lang", "charset", "http-equiv", "content", "class"} for name, _ in attrs)

    def handle_data(self, data):
        self.text.append(data)


def test_no_value_becomes_a_tag():
    tags = Tags()
    tags.feed(to_html(DOCUMENT))
    assert tags.found == {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "em", "strong", "table",
        "tr", "th", "td", "ul", "li",
    }  # fmt: skip
    assert "".join(tags.text).count("<script>alert('x')</script>") == 7


def test_what_an_author_wrote_is_shown_as_written():
    assert '<p class="written">**by hand** &lt;script&gt;' in to_html(DOCUMENT)
    assert "**by hand** <script>" in to_markdown(DOCUMENT)


def test_a_row_of_markdown_has_as_many_cells_as_its_head():
    [row] = [line for line in to_markdown(DOCUMENT).split("\n") if "two lines" in line]
    assert row.replace("\\|", "").count("|") == 4
    assert row.endswith("| two lines | - |")


def test_plain_json_keeps_titles_rows_and_words():
    data = DOCUMENT.to_dict()
    assert [one["title"] for one in data["sections"]] == ["Words", "Table", "List"]
    assert data["sections"][1]["blocks"][0]["rows"] == [[EVIL, "two lines", "-"]]
    assert data["sections"][0]["blocks"][0]["text"] == f"it is {EVIL}."
