"""Any sequence of writes, rollbacks, compactions, collections and branches, held against a model in lists."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy, plan_compaction
from airflow_dataml.steps.branches import create_branch, drop_branch, merge_branch
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.retain import collect, sweep
from airflow_dataml.steps.rollback import roll_back
from tests.integration.steps.rides import COLUMNS, Rides
from tests.integration.versions_model import Model, Refused, State
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, Version
    from airflow_dataml.core.errors import DataMLError
    from tests.integration.versions_model import Staged

FLAGGED = (*COLUMNS, Column("gone", "boolean"))
SMALL = CompactionPolicy(target_rows=5)
_RUNS = itertools.count()

ids = st.integers(0, 5)
contents = st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0.5, 1.0]))
batches = st.lists(st.builds(lambda i, c: (i, *c), ids, contents), min_size=1, max_size=4)
changes = st.dictionaries(ids, st.tuples(contents, st.booleans()), min_size=1, max_size=3).map(
    lambda found: [(i, *content, gone) for i, (content, gone) in found.items()]
)
# Which of the open branches; none is what everybody reads.
sides = st.integers(0, 2)


class Versions(RuleBasedStateMachine):
    """One dataset of its own for every example."""

    def __init__(self, ledger: PostgresLedger) -> None:
        super().__init__()
        self.ledger = ledger
        self.name = f"m{next(_RUNS)}"
        self.rides = Rides(ledger, self.name, runs=_RUNS)
        self.model = Model()
        self.later: list[tuple[StagedPart, Staged, str | None]] = []

    @rule(rows=batches, side=sides)
    def append(self, rows: list[Any], side: int) -> None:
        self.write(rows, side, mode="append")

    @rule(rows=batches, side=sides)
    def replace(self, rows: list[Any], side: int) -> None:
        self.write(rows, side, mode="replace")

    @rule(rows=batches, side=sides, key=st.sampled_from("xy"))
    def partition(self, rows: list[Any], side: int, key: str) -> None:
        self.write(rows, side, mode="partition", key=key)

    @rule(rows=changes, side=sides)
    def merge(self, rows: list[Any], side: int) -> None:
        self.write(rows, side, mode="merge")

    @rule(rows=changes, side=sides)
    def stage_a_merge(self, rows: list[Any], side: int) -> None:
        self.stage(rows, self.branch_of(side), mode="merge")

    @rule(rows=batches, side=sides)
    def stage_a_batch(self, rows: list[Any], side: int) -> None:
        self.stage(rows, self.branch_of(side), mode="append")

    @precondition(lambda self: self.later)
    @rule()
    def publish_what_was_staged(self) -> None:
        staged, modelled, branch = self.later.pop(0)
        if branch is None or branch in self.model.branches:
            self.both(lambda: self.rides.publish(staged), lambda: self.model.publish(modelled, branch))

    @precondition(lambda self: self.model.states)
    @rule(at=st.integers(0, 99), side=sides)
    def roll_back(self, at: int, side: int) -> None:
        number, branch = at % len(self.model.states) + 1, self.branch_of(side)
        self.go_back(f"{self.name}@{number}", branch, lambda: self.model.roll_back(number, branch))

    @precondition(lambda self: self.model.states)
    @rule(side=sides)
    def roll_back_to_previous(self, side: int) -> None:
        branch = self.branch_of(side)
        if self.model.world(branch).head is not None:
            self.go_back("previous", branch, lambda: self.model.previous(branch))

    @rule(side=sides)
    def compact(self, side: int) -> None:
        branch = self.branch_of(side)
        head = self.model.world(branch).head
        if head is None:
            return
        manifest = self.ledger.versions.manifest(
            self.ledger.versions.head(self.name, branch=branch).version_id
        )  # type: ignore[union-attr]
        place = {part.part_id: at for at, part in enumerate(manifest)}
        groups = [[place[p.part_id] for p in group] for group in plan_compaction(manifest, SMALL)]
        self.both(
            lambda: compact(
                ledger=self.ledger,
                store=self.ledger.store,
                identity=self.identity("compact"),
                place=self.rides.place(branch),
                policy=SMALL,
            ),
            lambda: self.model.compact(groups, branch) if groups else head,
        )

    @rule(keep_last=st.integers(1, 3))
    def collect(self, keep_last: int) -> None:
        collect(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.identity("collect"),
            asset=self.name,
            policy=RetentionPolicy(keep_last=keep_last, abandon_hours=0),
        )
        sweep(ledger=self.ledger, store=self.ledger.store, identity=self.identity("sweep"))
        self.model.collect(keep_last)
        self.every_retained_version_is_the_models()

    @precondition(lambda self: len(self.model.branches) < 2)
    @rule()
    def create_branch(self) -> None:
        name = f"b{next(_RUNS)}"
        create_branch(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.identity("branch"),
            name=name,
            assets=[self.name],
        )
        self.model.branch(name)

    @precondition(lambda self: self.model.branches)
    @rule()
    def merge_branch(self) -> None:
        name = next(iter(self.model.branches))
        self.both(
            lambda: merge_branch(
                ledger=self.ledger, store=self.ledger.store, identity=self.identity("merge"), name=name
            )[0],
            lambda: self.model.merge(name),
        )

    @precondition(lambda self: self.model.branches)
    @rule()
    def drop_branch(self) -> None:
        name = next(iter(self.model.branches))
        drop_branch(ledger=self.ledger, store=self.ledger.store, identity=self.identity("drop"), name=name)
        self.model.drop(name)

    @invariant()
    def readers_see_the_models_rows(self) -> None:
        for branch in (None, *self.model.branches):
            head = self.model.world(branch).head
            view = self.rides.place(branch).location
            if head is None:
                assert self.ledger.connection.scalar("SELECT to_regclass(%s)", [view]) is None
            else:
                assert Counter(self.rides.view(Relation.parse(view).quoted)) == head.content, branch
                assert self.ledger.versions.head(self.name, branch=branch).number == head.number  # type: ignore[union-attr]

    @invariant()
    def fingerprints_are_equal_exactly_when_contents_are(self) -> None:
        versions = sorted(self.ledger.versions.list(self.name, limit=1000), key=lambda v: v.number)
        assert [v.number for v in versions] == [s.number for s in self.model.states]
        assert [v.rows for v in versions] == [s.content.total() for s in self.model.states]
        contents = [frozenset(s.content.items()) for s in self.model.states]
        marks = [v.fingerprint for v in versions]
        for (one, left), (other, right) in itertools.combinations(zip(contents, marks, strict=True), 2):
            assert (one == other) == (left == right)

    @invariant()
    def retained_is_what_the_model_retains(self) -> None:
        held = [v.number for v in self.ledger.retention.held(self.name)]
        assert held == [s.number for s in self.model.states if s.readable]
        assert len(self.ledger.retention.sizes(self.name)) == len(self.model.live())
        # An underscore in LIKE is any character.
        prefix = f"{self.name}\\_%"
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'dataml_data'::regnamespace AND relkind IN ('r', 'v') AND relname LIKE %s"
        assert self.ledger.connection.scalar(tables, [prefix]) == len(self.model.live())

    @invariant()
    def the_newest_version_scans_as_the_model(self) -> None:
        for state in self.model.states[-1:]:
            self.is_scanned(state)

    def teardown(self) -> None:
        self.every_retained_version_is_the_models()
        assert self.ledger.audit.verify()[1] is None
        for name in list(self.model.branches):
            drop_branch(
                ledger=self.ledger, store=self.ledger.store, identity=self.identity("drop"), name=name
            )

    def every_retained_version_is_the_models(self) -> None:
        for state in self.model.states:
            self.is_scanned(state)

    def is_scanned(self, state: State) -> None:
        if state.readable:
            assert Counter(self.rides.read(f"{self.name}@{state.number}")) == state.content

    def write(self, rows: list[Any], side: int, *, mode: str, key: str | None = None) -> None:
        branch = self.branch_of(side)
        if pair := self.stage(rows, branch, mode=mode, key=key):
            self.later.remove((*pair, branch))
            self.both(lambda: self.rides.publish(pair[0]), lambda: self.model.publish(pair[1], branch))

    def stage(
        self, rows: list[Any], branch: str | None, *, mode: str, key: str | None = None
    ) -> tuple[StagedPart, Staged] | None:
        merging: dict[str, Any] = (
            {"keys": ["id"], "flag": "gone", "columns": FLAGGED} if mode == "merge" else {}
        )
        staged = self.both(
            lambda: self.rides.stage(rows, mode=mode, key=key, branch=branch, **merging),  # type: ignore[arg-type]
            lambda: self.model.stage(rows, mode=mode, key=key, branch=branch),
        )
        if staged is not None:
            self.later.append((*staged, branch))
        return staged

    def go_back(self, to: str, branch: str | None, model: Callable[[], State]) -> None:
        self.both(
            lambda: (
                roll_back(
                    ledger=self.ledger,
                    store=self.ledger.store,
                    identity=self.identity("rollback"),
                    place=self.rides.place(branch),
                    to=to,
                    reason="a test",
                ).version
            ),
            model,
        )

    def both(self, real: Callable[[], Any], model: Callable[[], Any]) -> tuple[Any, Any] | None:
        """Do the same to either; both do it, or both refuse it by the same error."""
        refusal: type[DataMLError] | None = None
        try:
            expected = model()
        except Refused as refused:
            refusal = refused.error
        if refusal is not None:
            with pytest.raises(refusal):
                real()
            return None
        found: Version | StagedPart = real()
        if isinstance(expected, State):
            assert found.number == expected.number  # type: ignore[union-attr]
        return found, expected

    def branch_of(self, side: int) -> str | None:
        return [None, *self.model.branches][side % (len(self.model.branches) + 1)]

    def identity(self, task: str) -> Any:
        return identity(task, f"run{next(_RUNS)}")


@pytest.mark.slow
def test_any_sequence_equals_the_model(ledger: PostgresLedger) -> None:
    run_state_machine_as_test(
        lambda: Versions(ledger),
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            # The steps of a failure are printed; to shorten them takes minutes.
            phases=[Phase.generate],
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
