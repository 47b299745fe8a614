from __future__ import annotations

import threading

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import GRANTS, available, migrate
from airflow_dataml.core.errors import ConnectionSpecError, LedgerError, LedgerVersionError


def test_an_unmigrated_ledger_is_refused_with_the_command(postgres_dsn: str) -> None:
    with pytest.raises(LedgerVersionError, match=r"ledger is empty.*airflow dataml migrate"):
        PostgresLedger.connect(postgres_dsn)


def test_migrating_twice_changes_nothing(postgres_dsn: str) -> None:
    with Connection(postgres_dsn) as connection:
        assert migrate(connection) == available()
        assert migrate(connection) == ()


def test_eight_at_once_apply_each_migration_once(postgres_dsn: str) -> None:
    applied: list[int] = []

    def work() -> None:
        with Connection(postgres_dsn) as connection:
            applied.extend(m.number for m in migrate(connection))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [m.number for m in available()]


def test_a_newer_ledger_is_left_alone(ledger_dsn: str) -> None:
    with Connection(ledger_dsn) as connection:
        connection.execute("INSERT INTO dataml.schema_migration VALUES (9999, 'future', 'x')")
        with pytest.raises(LedgerVersionError, match=r"ledger is at version 9999.*upgrade airflow-dataml"):
            migrate(connection)
    with pytest.raises(LedgerVersionError, match="9999"):
        PostgresLedger.connect(ledger_dsn)


def test_an_edited_migration_is_noticed(ledger_dsn: str) -> None:
    with Connection(ledger_dsn) as connection:
        connection.execute("UPDATE dataml.schema_migration SET checksum = 'other'")
        with pytest.raises(LedgerVersionError, match="differs from the file"):
            migrate(connection)


def test_the_printed_grants_are_valid_and_enough_for_a_reader(ledger_dsn: str, postgres_server: str) -> None:
    roles = {name: f"dataml_{name}_test" for name in ("reader", "writer", "approver")}
    with Connection(ledger_dsn) as admin:
        for role in roles.values():
            admin.execute(f'CREATE ROLE "{role}" LOGIN')
        admin.execute(GRANTS.format(**roles))
        try:
            with Connection(f"{ledger_dsn} user={roles['reader']}") as reader:
                assert reader.rows("SELECT * FROM dataml.asset") == []
                with pytest.raises(Exception, match="permission denied"):
                    reader.execute("INSERT INTO dataml.asset (name, kind, uri) VALUES ('a', 'dataset', 'u')")
        finally:
            for role in roles.values():
                admin.execute(f'DROP OWNED BY "{role}"')
                admin.execute(f'DROP ROLE "{role}"')


@pytest.mark.parametrize(
    ("dsn", "error", "words"),
    [
        ("host=127.0.0.1 port=1 dbname=x", LedgerError, "did not answer"),
        ("{server} dbname=absent", ConnectionSpecError, "does not exist"),
        ("{server} user=nobody_here", ConnectionSpecError, "does not exist"),
    ],
    ids=["closed port", "missing database", "missing role"],
)
def test_a_connection_that_fails_says_why(
    postgres_server: str, dsn: str, error: type[Exception], words: str
) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    server = make_conninfo(
        "", host=conninfo_to_dict(postgres_server)["host"], user="postgres", dbname="postgres"
    )
    with pytest.raises(error, match=words):
        PostgresLedger.connect(dsn.format(server=server))


def test_no_password_in_repr() -> None:
    assert "secret" not in repr(Connection("host=h dbname=d user=u password=secret"))
