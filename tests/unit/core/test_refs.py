from __future__ import annotations

import pytest

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import AssetNaming, FactKey, Relation, TaskKey, VersionRef, check_name


@pytest.mark.parametrize("name", ["", "Rides", "1st", "rides-2", "a" * 49, "rides;drop", "rides\n"], ids=repr)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="lower-case letters"):
        check_name(name)


@pytest.mark.parametrize("text", ["rides", "rides@3", "rides@champion"])
def test_references_read_as_they_are_written(text: str) -> None:
    assert str(VersionRef.parse(text)) == text


@pytest.mark.parametrize("text", ['public.a"b', "a b", "x.y.z", "public.", "rides; drop table x"], ids=repr)
def test_tables_that_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not usable"):
        Relation.parse(text)


def test_a_part_is_named_by_its_fact_and_fits_postgres() -> None:
    keys = [FactKey(TaskKey("d", "r", "t", i), "a" * 48) for i in (0, 1)]
    names = [AssetNaming().part(key).name for key in keys]
    assert len({*names}) == 2
    assert max(map(len, names)) <= 63
