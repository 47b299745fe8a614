from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import (
    AssetNaming,
    FactKey,
    Relation,
    TaskKey,
    VersionRef,
    check_alias,
    check_identifier,
    check_name,
)

IDENTIFIERS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda text: len(text.encode()) <= 63)
HOSTILE = [
    ("public", 'a"b'), ("my schema", 'my "table"'), ("ünïcödé", "Σ✓"), ("select", "from"), ("s", "a" * 63),
    ("s", "é" * 31), ("a.b", "c.d"), ("s", "x; DROP TABLE y --"), ("s", '"'), ("s", " "), ("s", "1st"), ("s", "\n"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["", "Rides", "1st", "rides-2", "a" * 49, "rides;drop", "rides\n"], ids=repr)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="lower-case letters"):
        check_name(name)


class TestVersionRef:
    @pytest.mark.parametrize(
        "text", ["rides", "rides@3", "rides@champion", "rides@dev-x", "rides@2013-10-01T00:00:00+00:00"]
    )
    def test_it_reads_as_it_is_written(self, text: str) -> None:
        assert str(VersionRef.parse(text)) == text

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("rides@2013-10-01", datetime(2013, 10, 1, tzinfo=UTC)),
            ("rides@2013-10-01T09:30", datetime(2013, 10, 1, 9, 30, tzinfo=UTC)),
            ("rides@2013-10-01 09:30:01.5", datetime(2013, 10, 1, 9, 30, 1, 500_000, tzinfo=UTC)),
            ("rides@2013-10-01T09:30Z", datetime(2013, 10, 1, 9, 30, tzinfo=UTC)),
            ("rides@2013-10-01T00:00:00+02:00", datetime(2013, 10, 1, tzinfo=timezone(timedelta(hours=2)))),
        ],
    )
    def test_a_time_has_a_zone(self, text: str, moment: datetime) -> None:
        assert VersionRef.parse(text) == VersionRef("rides", as_of=moment)

    @pytest.mark.parametrize(
        "text",
        ["rides@", "rides@-x", "rides@Dev", "rides@dev x", "rides@1.5", "rides@²", "rides@2013-13-01", "rides@2013-10-01x", "rides@" + "9" * 10],
        ids=repr,
    )  # fmt: skip
    def test_what_names_no_version_is_refused(self, text: str) -> None:
        with pytest.raises(SpecError, match=r"is not usable|names no time"):
            VersionRef.parse(text)

    def test_a_branch_name_that_could_be_anything_else_is_refused(self) -> None:
        with pytest.raises(SpecError, match=r"branch '17' is not usable: .* hyphens"):
            check_alias("17", what="branch")


class TestRelation:
    @pytest.mark.parametrize("text", ["a b", "x.y.z", "public.", ".x", "", '""', 'public."a', "rides; drop table x", 'a"b', "a-b", "rides\n"], ids=repr)  # fmt: skip
    def test_text_that_is_refused(self, text: str) -> None:
        with pytest.raises(SpecError, match=r"is not usable: write schema\.table"):
            Relation.parse(text)

    @pytest.mark.parametrize("name", ["", "a" * 64, "é" * 32, "a\0b", "\ud800"], ids=ascii)
    def test_names_postgres_would_change_are_refused(self, name: str) -> None:
        with pytest.raises(SpecError, match="write 1 to 63 bytes without NUL"):
            Relation("public", name)
        with pytest.raises(SpecError, match="schema name"):
            Relation(name, "rides")

    @pytest.mark.parametrize(("schema", "name"), HOSTILE, ids=repr)
    def test_any_name_reads_as_it_is_written(self, schema: str, name: str) -> None:
        relation = Relation(schema, name)
        assert Relation.parse(str(relation)) == relation
        assert Relation.parse(relation.quoted) == relation

    @given(schema=IDENTIFIERS, name=IDENTIFIERS)
    def test_every_name_reads_as_it_is_written(self, schema: str, name: str) -> None:
        relation = Relation(schema, name)
        assert Relation.parse(str(relation)) == relation
        assert Relation.parse(relation.quoted) == relation

    @pytest.mark.parametrize(
        ("text", "relation"),
        [
            ("rides", Relation("public", "rides")),
            ("Data.Rides", Relation("Data", "Rides")),
            ('"my table"', Relation("public", "my table")),
            ('data."a.b"', Relation("data", "a.b")),
            ('"a""b".c$1', Relation('a"b', "c$1")),
        ],
    )
    def test_plain_and_quoted_parts(self, text: str, relation: Relation) -> None:
        assert Relation.parse(text) == relation

    def test_quotes_stand_only_where_they_are_needed(self) -> None:
        assert str(Relation("public", "rides_2$")) == "public.rides_2$"
        assert str(Relation("public", "my table")) == 'public."my table"'
        assert Relation('x"', "y").quoted == '"x"""."y"'


class TestNaming:
    @pytest.mark.parametrize("asset", ["a" * 48, "é" * 48, "✓" * 60], ids=repr)
    def test_a_part_is_named_by_its_fact_and_fits_postgres(self, asset: str) -> None:
        keys = [FactKey(TaskKey("d", "r", "t", i), asset) for i in (0, 1)]
        names = [AssetNaming().part(key).name for key in keys]
        assert len({*names}) == 2
        assert all(check_identifier(name) for name in names)

    @given(stem=st.text(st.characters(exclude_categories=["Cs"])), suffix=IDENTIFIERS)
    def test_what_is_too_long_gives_way_by_whole_characters(self, stem: str, suffix: str) -> None:
        name = AssetNaming().fit(stem, suffix)
        assert len(name.encode()) <= 63
        assert name.endswith(suffix)
        assert (stem + suffix).startswith(name.removesuffix(suffix))
