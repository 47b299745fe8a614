"""The pass over a batch: every model scores each block while it is in memory, and all that is counted is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import Answers, classes_of
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.explanation import METHOD_OF_ONE, Encoded
from airflow_dataml.core.extras import load
from airflow_dataml.core.humility import Seen, taken
from airflow_dataml.core.profiles import merge_profiles
from airflow_dataml.core.scans import KeyedBlock, ScanPlan
from airflow_dataml.core.windows import plan_of
from airflow_dataml.steps.attribution import occluded_scores
from airflow_dataml.steps.class_scoring import CLASS_COLUMNS, after_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.humility import Humility
    from airflow_dataml.core.ports import ColumnTally, Ledger, Scorer
    from airflow_dataml.core.scans import ScanBlock

CHAMPION = "champion"
SCORE = Column("score", "double precision")
HUMILITY_COLUMNS = (
    Column("rule", "text"),
    Column("action", "text"),
    Column("model_score", "double precision"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """The models that score, by role; the champion first."""

    scorers: Mapping[str, Scorer]
    versions: Mapping[str, Version]

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that any of them reads, each once."""
        named = (f["name"] for version in self.versions.values() for f in version.facts["spec"]["features"])
        return tuple(dict.fromkeys(named))

    def plan(self, keys: Sequence[str], earlier: Scorer | None = None) -> ScanPlan:
        """What has to be read: a feature that one reads as a category and another as a number is read as a category.

        :param earlier: who answers where the champion abstains; what it alone tells apart is told apart too.
        """
        kinds: dict[str, str] = {}
        for version in self.versions.values():
            for feature in version.facts["spec"]["features"]:
                if kinds.get(feature["name"]) != "categorical":
                    kinds[feature["name"]] = feature["kind"]
        coded = [name for name, kind in kinds.items() if kind == "categorical"]
        return ScanPlan(
            numeric=tuple(name for name in kinds if name not in coded),
            coded={name: self._vocabulary(name, earlier) for name in coded},
            keys=tuple(keys),
        )

    def _vocabulary(self, name: str, earlier: Scorer | None) -> tuple[str, ...] | None:
        """Values of a feature that any model tells apart; ``None`` where one does not say, or reads numbers."""
        known: dict[str, None] = {}
        readers = [
            scorer
            for role, scorer in self.scorers.items()
            if name in [f["name"] for f in self.versions[role].facts["spec"]["features"]]
        ]
        # One that does not say what it reads may read this.
        if earlier is not None and (not isinstance(earlier, Encoded) or name in earlier.encoding.columns):
            readers.append(earlier)
        for scorer in readers:
            if not isinstance(scorer, Encoded):
                return None
            found = next((one for one in scorer.encoding.categorical if one.name == name), None)
            if found is None:
                return None
            known |= dict.fromkeys(found.vocabulary)
        return tuple(known)


def reads(panel: Panel, before: Version) -> bool:
    """Whether an earlier version needs no feature but those that are read anyway, as one of the models reads them."""
    read = {(f["name"], f["kind"]) for v in panel.versions.values() for f in v.facts["spec"]["features"]}
    return {(f["name"], f["kind"]) for f in before.facts["spec"]["features"]} <= read


def seen_in_training(ledger: Ledger, panel: Panel) -> Seen:
    """What the champion met in training: from its dataset's profile and its own vocabularies."""
    champion = panel.versions[CHAMPION]
    plan = plan_of(champion, what="a rule on features")
    parts = [p for p in ledger.versions.manifest(plan.version_id) if p.partition_key in plan.partitions]
    profiles = merge_profiles([p.profile for p in parts])["columns"] if parts else {}
    scorer = panel.scorers[CHAMPION]
    ranges: dict[str, tuple[float, float]] = {}
    categories: dict[str, frozenset[str]] = {}
    for feature in champion.facts["spec"]["features"]:
        name, profile = feature["name"], profiles.get(feature["name"], {})
        if feature["kind"] == "categorical":
            if isinstance(scorer, Encoded):
                known = next(one.vocabulary for one in scorer.encoding.categorical if one.name == name)
                categories[name] = frozenset(known)
        elif profile.get("kind") == "numeric" and profile["min"] is not None:
            ranges[name] = (float(profile["min"]), float(profile["max"]))
        elif profile.get("kind") == "boolean":
            ranges[name] = (0.0, 1.0)
    return Seen(ranges, categories)


def prediction_columns(keys: Sequence[Column], *, humble: bool, classed: bool = False) -> list[Column]:
    """Columns of predictions; those of classes and of rules only where there are any."""
    return [
        *keys,
        Column("model_role", "text"),
        Column("model_version", "integer"),
        Column("features_version", "integer"),
        SCORE,
        Column("prediction_id", "uuid"),
        *(CLASS_COLUMNS if classed else ()),
        *(HUMILITY_COLUMNS if humble else ()),
    ]


class Extremes:
    """The rows with the highest and the lowest scores so far.

    :param count: of each end.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.rows: list[tuple[float, bytes, dict[str, Any]]] = []

    def add(self, columns: Mapping[str, Any], scores: Any, ids: Any) -> None:
        """Look at a block; NaN is no score."""
        np = load("numpy", extra="mlflow")
        known = np.flatnonzero(~np.isnan(scores))
        order = known[np.argsort(scores[known], kind="stable")]
        places = (
            order
            if len(order) <= 2 * self._count
            else np.concatenate([order[: self._count], order[-self._count :]])
        )
        picked = {name: _plain(taken(column, places)) for name, column in columns.items()}
        for at, place in enumerate(places.tolist()):
            values = {name: column[at] for name, column in picked.items()}
            self.rows.append((float(scores[place]), ids[place].tobytes(), values))
        self.rows.sort(key=lambda row: row[:2])
        if len(self.rows) > 2 * self._count:
            self.rows = self.rows[: self._count] + self.rows[-self._count :]

    def explained(self, scorer: Scorer) -> list[dict[str, Any]]:
        """What each owes to each feature: the score less that with a typical value in its place; highest first."""
        if not self.rows:
            return []
        names = list(self.rows[0][2])
        columns = {name: [values[name] for _, _, values in self.rows] for name in names}
        hidden = occluded_scores(scorer, columns)
        found = []
        for at, (score, identity, _) in enumerate(self.rows):
            owed = sorted(
                ((name, score - float(hidden[name][at])) for name in names),
                key=lambda one: (-abs(one[1]), one[0]),
            )
            found.append(
                {
                    "method": METHOD_OF_ONE,
                    "prediction_id": _uuid_text(identity),
                    "end": "low" if at < len(self.rows) / 2 else "high",
                    "score": score,
                    "features": [{"feature": name, "contribution": value} for name, value in owed],
                }
            )
        return found[::-1]


def _plain(column: Any) -> list[Any]:
    found = column.to_objects() if hasattr(column, "to_objects") else column
    return list(found.tolist())


def _uuid_text(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def prediction_ids(seed: bytes, role: int, first: int, count: int) -> Any:
    """UUIDs of the eighth kind: eight bytes say who scores what, the others which row of which model.

    :param seed: eight bytes; the same for every try of one task.

    >>> bytes(prediction_ids(bytes(8), 1, 0, 2)[1]).hex()
    '00000000000080008100000000000001'
    """
    np = load("numpy", extra="mlflow")
    ids = np.empty((count, 16), np.uint8)
    ids[:, :8] = np.frombuffer(seed, np.uint8)
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x80
    ids[:, 8:] = np.arange(first, first + count, dtype=">u8").view(np.uint8).reshape(-1, 8)
    ids[:, 8] = 0x80 | role
    return ids


class ScoringPass:
    """Scores blocks as they come, and remembers what there was to see.

    :param seed: of the prediction ids.
    :param earlier: the champion's previous version, which rules may ask.
    """

    def __init__(
        self,
        panel: Panel,
        *,
        features_version: int,
        seed: bytes,
        tally: ColumnTally,
        humility: Humility | None = None,
        extremes: Extremes | None = None,
        earlier: Scorer | None = None,
    ) -> None:
        self.panel, self._features_version, self._seed = panel, features_version, seed
        self.tally, self.humility, self.extremes = tally, humility, extremes
        self._earlier = earlier
        self.rows = 0

    def plan(self, keys: Sequence[str]) -> ScanPlan:
        """What has to be read for everybody who may score."""
        return self.panel.plan(keys, self._earlier)

    def blocks(self, scanned: Iterator[ScanBlock]) -> Iterator[KeyedBlock]:
        """Yield the predictions of each block, one block per model."""
        np = load("numpy", extra="mlflow")
        for block in scanned:
            for place, (role, scorer) in enumerate(self.panel.scorers.items()):
                said = np.asarray(scorer.score(block.columns), dtype=np.float64)
                classes = classes_of(scorer)
                answers = Answers.of(said, classes) if classes else None
                scores = said if answers is None else answers.scores
                ids = prediction_ids(self._seed, place, self.rows, block.rows)
                values = {
                    "model_role": role,
                    "model_version": self.panel.versions[role].number,
                    "features_version": self._features_version,
                    "score": scores,
                    "prediction_id": ids,
                }
                if role == CHAMPION and self.extremes is not None:
                    self.extremes.add({n: block.columns[n] for n in self._names(role)}, scores, ids)
                if self.humility is not None:
                    values |= self._humbled(self.humility, role, block, scores, answers)
                elif answers is not None:
                    values |= answers.columns()
                self.tally.add(values["score"])
                yield KeyedBlock(block.rows, block.keys, values)
            self.rows += block.rows

    def _names(self, role: str) -> list[str]:
        return [f["name"] for f in self.panel.versions[role].facts["spec"]["features"]]

    def _humbled(
        self, humility: Humility, role: str, block: ScanBlock, scores: Any, answers: Answers | None
    ) -> dict[str, Any]:
        if role != CHAMPION:
            told = answers.columns() if answers is not None else {}
            return {"rule": None, "action": None, "model_score": scores, **told}
        found = humility.apply(block.columns, scores)
        if answers is not None:
            answers = after_rules(answers, found.actions, block.columns, self._earlier)
        told = answers.columns() if answers is not None else {}
        return {
            "score": found.scores,
            "rule": found.rules,
            "action": found.actions,
            "model_score": scores,
            **told,
        }
