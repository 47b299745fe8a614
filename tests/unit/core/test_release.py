"""Releases as values."""

from __future__ import annotations

import pytest

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.release import Release, ReleaseEntry, require_distinct

RIDES = ReleaseEntry("rides", "dataset", "pg2-01", "rides@2", "rides@1")
DEMAND = ReleaseEntry("demand", "model", "abc", "demand@3", "demand@3")


def test_the_order_in_which_assets_are_named_does_not_matter():
    assert Release.of([RIDES, DEMAND]) == Release.of([DEMAND, RIDES])


def test_the_hash_is_of_content_whatever_readers_saw_before():
    again = ReleaseEntry("rides", "dataset", "pg2-01", "rides@9", None)
    assert Release.of([again, DEMAND]).release_hash == Release.of([RIDES, DEMAND]).release_hash


@pytest.mark.parametrize(
    "other",
    [
        ReleaseEntry("rides", "dataset", "pg2-02", "rides@2", "rides@1"),
        ReleaseEntry("rides", "model", "pg2-01", "rides@2", "rides@1"),
        ReleaseEntry("hires", "dataset", "pg2-01", "rides@2", "rides@1"),
    ],
    ids=["content", "kind", "asset"],
)
def test_the_hash_is_of_asset_kind_and_content(other):
    assert Release.of([other]).release_hash != Release.of([RIDES]).release_hash


def test_only_what_changes_for_readers_moves():
    staged = ReleaseEntry("hires", "dataset", "pg2-03", None, None)
    assert Release.of([RIDES, DEMAND, staged]).moves == (staged, RIDES)


def test_it_survives_json():
    release = Release.of([RIDES, DEMAND])
    assert Release.from_dict(release.to_dict()) == release


def test_an_asset_twice_is_refused():
    with pytest.raises(SpecError, match=r"names \['rides'\] more than once"):
        Release.of([RIDES, DEMAND, RIDES])


def test_nothing_is_refused():
    with pytest.raises(SpecError, match="a release of nothing"):
        require_distinct([])
