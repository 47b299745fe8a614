"""Feed: whether the data of a watched batch is broken, from the profiles that the ledger keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.feed_faults import FeedFault, feed_faults
from airflow_dataml.core.profiles import merge_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger

# So many batches before the watched one say how many rows a batch has.
EARLIER = 12


def faults_of(
    *, ledger: Ledger, champion: Version, monitor: Report, trusted: Sequence[str] = ()
) -> tuple[str, tuple[FeedFault, ...]]:
    """Return the dataset of a watched batch and what is broken in it; one query for each version's parts.

    Each batch that the champion learnt from is a reference of its own. Nothing is found of a champion that nobody
    trained here, and in batches without profiles.

    :param trusted: columns that nothing is told from.
    """
    plan, named = champion.facts.get("plan"), monitor.body.get("features")
    if not plan or not named:
        return "", ()
    features = ledger.versions.find(named)
    manifest = ledger.versions.manifest(features.version_id)
    key = monitor.body["partition_key"]
    current = _profile(p for p in manifest if p.partition_key == key)
    learnt = _batches(
        p for p in ledger.versions.manifest(plan["version_id"]) if p.partition_key in plan["partitions"]
    )
    reference = [profile for profile in map(_profile, learnt.values()) if profile is not None]
    if current is None or not reference:
        return features.asset, ()
    earlier = _batches(p for p in manifest if p.partition_key and p.partition_key < key)
    rows = [sum(p.rows for p in earlier[one]) for one in sorted(earlier)[-EARLIER:]]
    columns = [f["name"] for f in champion.facts["spec"]["features"] if f["name"] not in trusted]
    return features.asset, feed_faults(reference, current, columns=columns, earlier_rows=rows)


def _batches(parts: Iterable[Part]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(str(part.partition_key), []).append(part)
    return found


def _profile(parts: Iterable[Part]) -> dict[str, Any] | None:
    profiles = [p.profile for p in parts]
    return merge_profiles(profiles) if profiles and all(p.get("columns") for p in profiles) else None
