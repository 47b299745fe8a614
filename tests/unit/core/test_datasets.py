from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.core.datasets import Column, Fingerprint, Part, StagedPart, next_manifest, schema_hash
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import WriteMode

FINGERPRINTS = st.builds(
    Fingerprint, st.integers(0, 10**9), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)
)


def part(number: int, key: str | None = None) -> Part:
    return Part(
        number,
        "rides",
        Relation("dataml_data", f"p{number}"),
        (Column("id", "integer"),),
        Fingerprint(1, 1, 1),
        key,
    )


@given(st.lists(FINGERPRINTS), st.randoms())
def test_the_order_of_parts_does_not_matter(fingerprints: list[Fingerprint], random: object) -> None:
    shuffled = list(fingerprints)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum(fingerprints, Fingerprint()) == sum(shuffled, Fingerprint())


def test_a_fingerprint_fits_where_a_registry_takes_36_characters() -> None:
    assert len(Fingerprint(10**12, 2**64 - 1, 2**64 - 1).text) <= 36


@pytest.mark.parametrize(
    ("mode", "key", "expected"),
    [
        ("append", None, [1, 2, 3]),
        ("replace", None, [3]),
        ("partition", "a", [2, 3]),
        ("partition", "c", [1, 2, 3]),
    ],
    ids=["append", "replace", "partition again", "partition new"],
)
def test_what_a_new_version_is_made_of(mode: WriteMode, key: str | None, expected: list[int]) -> None:
    manifest = next_manifest((part(1, "a"), part(2, "b")), part(3, key), mode=mode)
    assert [p.part_id for p in manifest] == expected


def test_a_batch_without_key_cannot_replace_its_like() -> None:
    with pytest.raises(SpecError, match="needs a partition key"):
        next_manifest((), part(1), mode="partition")


def test_a_schema_is_names_and_types_in_order() -> None:
    a, b = Column("a", "integer"), Column("b", "text")
    assert len({schema_hash((a, b)), schema_hash((b, a)), schema_hash((a, Column("b", "integer")))}) == 3


def test_a_staged_part_survives_xcom() -> None:
    staged = StagedPart(1, "rides", "dataml_data.p1", 3, "pg1-0", "append", None, (4, 5))
    assert StagedPart.from_dict(staged.to_dict()) == staged
