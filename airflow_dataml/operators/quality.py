"""The operator that verifies a staged batch, a published version or any table against its contract."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.sql.operators.sql import BaseSQLOperator

from airflow_dataml import config
from airflow_dataml.assets import facts_of
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import QualityGateError, SpecError
from airflow_dataml.core.facets import DatasetFact
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.scores import event_quality
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.links import IncidentsLink
from airflow_dataml.naming import Names, ledger_database
from airflow_dataml.operators.base import (
    DataMLOperator,
    branch_of,
    location_of,
    place_for,
    ref_of,
    register,
    staged_for,
    store_of,
    view_of,
)
from airflow_dataml.operators.check_results import check_results
from airflow_dataml.operators.engines import engine_for
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.far import table_fact
from airflow_dataml.operators.places import enter, lineage_name
from airflow_dataml.operators.said import moment, ref_within
from airflow_dataml.steps.examine import Question
from airflow_dataml.steps.verify import verify_part, verify_table, verify_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.contract_extension import OnFail
    from airflow_dataml.core.governance import Report
    from airflow_dataml.operators.engines import EngineName
    from airflow_dataml.steps.verify import Scope


class QualityCheckOperator(DataMLOperator, BaseSQLOperator):
    """Run a contract in Soda's language on rows; keep the evidence, then refuse what fails.

    What is verified is a staged batch (``dataset`` and ``staged``), a published version (``dataset``, and
    ``version`` for another than the current one), or a table somebody else writes (``table``, or a
    ``dataset`` from ``external(...)``). The checks are told to OpenLineage as those of Airflow's own SQL
    check operators are. With the dataset among its ``outlets``, the event of a task that passed carries the
    summary, also under the key that Airflow's own data-quality gate reads.

    :param dataset: the dataset the rows are of.
    :param staged: what the stage task returned. Templated.
    :param version: ``name@number``, ``name@alias`` or ``name@time``; what readers see unless given. Templated.
    :param table: ``schema.table`` nobody publishes here, in ``conn_id``'s database if that is given. Both templated.
    :param contract: Soda contract file, or its text. Templated.
    :param scope: of a staged batch: ``result`` checks what readers would see after publication, ``batch`` the new
        rows alone. With the native engine, parts that were verified before are not read again either way.
    :param engine: ``native``, ``soda`` (extra ``soda``), or ``auto``: native where it knows every check.
    :param references: dataset named in a ``valid_reference_data`` -> the managed dataset whose current version is meant.
    :param data_timestamp: ISO time that freshness is measured against; now unless given. Templated.
    :param variables: contract variables. Templated.
    :param incremental: of a ``table``, let the native engine read the block ranges that changed since last time.
    :param timeout: seconds all statements of the engine may take together; what is not evaluated by then is an error.
    :param on_fail: ``reject``, ``quarantine`` or ``warn`` instead of what the contract says.
    :param branch: verify what its readers see; ``dataml_branch`` of the run's configuration unless given. Templated.
    """

    conn_id_field = "dataml_conn_id"
    template_fields: Sequence[str] = (
        "staged", "version", "table", "conn_id", "contract", "data_timestamp", "variables", "branch",
    )  # fmt: skip
    operator_extra_links = (*DataMLOperator.operator_extra_links, IncidentsLink())

    def __init__(
        self,
        *,
        contract: str,
        dataset: Asset | None = None,
        staged: Any = None,
        version: str | None = None,
        table: str | None = None,
        scope: Scope = "result",
        engine: EngineName = "auto",
        references: Mapping[str, Asset | str] | None = None,
        data_timestamp: str | None = None,
        variables: Mapping[str, str] | None = None,
        incremental: bool = True,
        timeout: float = 600,
        on_fail: OnFail | None = None,
        branch: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.dataset = dataset
        self.staged = staged
        self.version = version
        self.table = table
        self.contract = contract
        self.scope = scope
        self.engine = engine
        self.references = references
        self.data_timestamp = data_timestamp
        self.variables = variables
        self.incremental = incremental
        self.timeout = timeout
        self.on_fail = on_fail
        self.branch = branch
        self._elsewhere: Connection | None = None
        self._location: str | None = None
        self._asset: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify the rows and return the verdict."""
        self._require_one_subject()
        if self.dataset is not None:
            self.link(context, self.dataset.name)
        question = self._question()
        with self.ledger() as ledger:
            try:
                report = self._verify(ledger, context, question)
            except QualityGateError as err:
                self._keep(ledger, context, err.report)
                raise
            self._keep(ledger, context, report.body | {"asset": report.asset, "report_id": report.report_id})
            self._announce(ledger, context, report)
        facts = {"report": report.report_id, "verdict": report.verdict, "summary": report.body["summary"]}
        return facts | ({"version": report.body["version"]} if "version" in report.body else {})

    def on_kill(self) -> None:
        """Cancel what runs in the database, the engine's statements too."""
        super().on_kill()
        if self._elsewhere is not None:
            self._elsewhere.cancel()

    def get_db_hook(self) -> PostgresHook:
        """Return Airflow's hook on the connection of what is verified; the engines open one of their own."""
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        return PostgresHook(postgres_conn_id=self._conn_id())

    def declares(self) -> Declared:
        """Return what is verified; a batch that is staged is no version yet."""
        about: Asset | DatasetFact | None = self.dataset
        if about is None and self.table is not None:
            about = table_fact(str(self.table), self._conn_id(), asset=self._asset)
        elif self._location is not None and (name := super()._names(Declared(kind="")).at(self._location)):
            about = DatasetFact(name=name, type="VIEW", subtype="BRANCH")
        elif isinstance(self.staged, dict) and self.staged.get("branch"):
            about = None  # Only the ledger knows where the branch is.
        return Declared(kind="VERIFICATION", inputs=[about] if about else [], subject=about)

    def _names(self, declared: Declared) -> Names:
        """Where the rows are, which is not beside the ledger where ``conn_id`` says so."""
        if self.conn_id is None:
            return super()._names(declared)
        return Names(ledger_database(self.conn_id))

    def _conn_id(self) -> str:
        return str(self.conn_id or self.dataml_conn_id or config.conn_id())

    def _require_one_subject(self) -> None:
        said = {name for name in ("dataset", "staged", "version", "table") if getattr(self, name) is not None}
        if said not in ({"dataset"}, {"dataset", "staged"}, {"dataset", "version"}, {"table"}):
            msg = (
                f"task {self.task_id!r} is given {' and '.join(sorted(said)) or 'nothing'} to verify: give dataset "
                "and staged (a batch), dataset (what readers see), dataset and version, or table."
            )
            raise SpecError(msg)
        if self.conn_id is not None and self.table is None:
            msg = f"task {self.task_id!r}: conn_id={self.conn_id!r} goes with table; a dataset is where the ledger is."
            raise SpecError(msg)

    def _question(self) -> Question:
        from airflow_dataml.adapters.native.rules import NativeRules

        named = f"the contract of task {self.task_id!r}"
        said = self.contract
        return Question(
            contract=Contract.from_text(said, source=named) if "\n" in said else Contract.from_file(said),
            references={name: ref_of(asset) for name, asset in (self.references or {}).items()},
            data_timestamp=moment(self.data_timestamp),
            variables=self.variables or {},
            timeout_s=self.timeout,
            on_fail=self.on_fail,
            rules=NativeRules(),
            incremental=self.incremental,
        )

    def _verify(self, ledger: PostgresLedger, context: Context, question: Question) -> Report:
        dataset = self.dataset
        if dataset is None or (self.version is None and facts_of(dataset).get("kind") == "external"):
            return self._verify_table(ledger, context, question)
        said: dict[str, Any] = {
            "ledger": ledger,
            "warehouse": ledger.warehouse,
            "store": store_of(ledger, dataset),
            "engine": engine_for(self.engine, question.contract, connect=ledger.connection.beside),
            "identity": self.identity(context),
        }
        if self.staged is None:
            branch = branch_of(context, self.branch)
            self._locate(ledger, dataset, branch)
            return verify_version(
                **said, ref=ref_within(dataset, self.version), question=question, branch=branch
            )
        staged = staged_for(dataset, self.staged)
        self._locate(ledger, dataset, staged.branch)
        return verify_part(
            **said,
            staged=staged,
            contract=question.contract,
            scope=self.scope,
            references=question.references,
            data_timestamp=question.data_timestamp,
            variables=question.variables,
            timeout_s=question.timeout_s,
            on_fail=question.on_fail,
            rules=question.rules,
        )

    def _verify_table(self, ledger: PostgresLedger, context: Context, question: Question) -> Report:
        relation = view_of(self.dataset) if self.dataset is not None else Relation.parse(str(self.table))
        dsn = DataMLHook(self._conn_id()).dsn()
        if self.dataset is not None:
            register(ledger, self.dataset)
            asset = self.dataset.name
        else:
            asset = enter(ledger, relation, dsn=dsn, conn_id=self.conn_id, task_id=self.task_id)
            self._asset = asset
        self.link(context, asset)
        with self._beside(ledger, dsn) as (warehouse, connection):
            return verify_table(
                ledger=ledger,
                warehouse=warehouse,
                store=ledger.store,
                engine=engine_for(self.engine, question.contract, connect=connection.beside),
                identity=self.identity(context),
                asset=asset,
                relation=relation,
                question=question,
            )

    @contextmanager
    def _beside(self, ledger: PostgresLedger, dsn: str) -> Iterator[tuple[Any, Connection]]:
        """Where the table is: the ledger's database, or another that is open for the length of a block."""
        if self.conn_id is None:
            yield ledger.warehouse, ledger.connection
            return
        from airflow_dataml.adapters.postgres.connection import Connection
        from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse

        with Connection(dsn) as connection:
            self._elsewhere = connection
            yield PostgresWarehouse(connection), connection
        self._elsewhere = None

    def _locate(self, ledger: PostgresLedger, dataset: Asset, branch: str | None) -> None:
        """Remember what readers call the rows; on a branch that is another view."""
        if branch is not None:
            self._location = place_for(ledger, dataset, branch=branch).location

    def _readers_name(self) -> str:
        if self._location is not None:
            return self._location
        return location_of(self.dataset) if self.dataset is not None else str(Relation.parse(str(self.table)))

    def _keep(self, ledger: PostgresLedger, context: Context, body: Mapping[str, Any]) -> None:
        """Leave the results for lineage and for listeners, and the link at the report."""
        self.found(body)
        self.tell(ledger, read=[body["version"]] if body.get("version") else [])
        name = lineage_name(self._readers_name(), DataMLHook(self._conn_id()).dsn())
        self.check_results = check_results(body, table=name.name)
        if "report_id" in body:
            self.link(context, str(body["asset"]), report=body["report_id"])

    def _announce(self, ledger: PostgresLedger, context: Context, report: Report) -> None:
        """Let the event of an outlet say that what readers see was verified."""
        if self.dataset is None or self.staged is not None or self.dataset not in self.outlets:
            return
        if report.version_id is None:
            summary = {"report": report.report_id, "verdict": report.verdict}
            context["outlet_events"][self.dataset].extra = {"dataml": summary} | event_quality(report)
            return
        version = ledger.versions.by_id(report.version_id)
        self.announce(context, self.dataset, version, branch=branch_of(context, self.branch), report=report)
        self.link(context, report.asset, report=report.report_id)
