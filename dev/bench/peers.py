"""The benchmark's peers: the SQL of common-sql's check operators, and Great Expectations in its own interpreter.

Great Expectations runs in its default way, which brings samples of the rows found, and for booleans only,
its cheaper way. It has no check of a foreign key; the same statement that common-sql would run stands in for it.

    PYTHON -m dev.bench.peers DSN [SUMMARY|BOOLEAN_ONLY]
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

STATES = ["new", "paid", "packed", "shipped", "delivered", "returned", "cancelled"]
COLUMNS = [
    "order_id",
    "customer_id",
    "status",
    "country",
    "currency",
    "email",
    "sku",
    "quantity",
    "unit_price",
    "discount",
    "amount",
    "created_at",
]
CURRENCIES = ["EUR", "USD", "GBP", "JPY", "CHF"]
COUNTRY = "^[A-Z]{2}$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}$"
ORPHANS = (
    "SELECT count(*) FROM orders o WHERE customer_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM customers c WHERE c.customer_id = o.customer_id)"
)
_MISSING = ("order_id", "customer_id", "status", "country", "email", "quantity", "unit_price", "amount")
_COLUMN_CHECKS = [
    *((f"columns.{name}.checks.missing", f"SUM(CASE WHEN {name} IS NULL THEN 1 ELSE 0 END)") for name in _MISSING),
    ("columns.order_id.checks.duplicate", "COUNT(order_id) - COUNT(DISTINCT order_id)"),
    ("columns.quantity.checks.aggregate", "MAX(quantity)"),
    ("columns.unit_price.checks.aggregate", "MIN(unit_price)"),
]  # fmt: skip
_TABLE_CHECKS = [
    ("row_count", "COUNT(*) > 0"),
    ("status", f"status IN ({', '.join(map(repr, STATES))})"),
    ("currency", f"currency IN ({', '.join(map(repr, CURRENCIES))})"),
    ("country", f"country ~ '{COUNTRY}'"),
    ("email", f"email ~ '{EMAIL}'"),
    ("quantity", "quantity BETWEEN 0 AND 1000"),
    ("discount", "discount BETWEEN 0 AND 1"),
    ("amount", "amount >= 0"),
    ("mean", "AVG(amount) > 1000"),
    ("total", "SUM(amount) > 0"),
    ("fresh", "MAX(created_at) > timestamptz '2026-10-27'"),
    ("orphans", "customer_id IN (SELECT customer_id FROM customers)"),
]


def common_sql(connection: Any) -> dict[str, Any]:
    """Run the two statements its column and table check operators build: a pass over the table per check."""
    columns = " UNION ALL ".join(
        f"SELECT '{name}' AS check_name, {check} AS check_value FROM orders" for name, check in _COLUMN_CHECKS
    )
    tables = " UNION ALL ".join(
        f"SELECT '{name}' AS check_name, MIN({name}) AS check_result FROM "
        f"(SELECT CASE WHEN {check} THEN 1 ELSE 0 END AS {name} FROM orders) AS sq"
        for name, check in _TABLE_CHECKS
    )
    found = dict(connection.execute(columns).fetchall())
    connection.execute(tables).fetchall()
    # The contract has most of the missing values in percent.
    return {name: float(value) for name, value in found.items() if "missing" not in name}


def great_expectations(dsn: str, result_format: str = "SUMMARY") -> dict[str, Any]:
    """Validate the same expectations; its seconds, without import and set-up."""
    import great_expectations as gx
    from great_expectations import expectations as gxe
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(dsn)
    url = f"postgresql+psycopg://{given['user']}@localhost/{given['dbname']}?host={given['host']}"
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_postgres("bench", connection_string=url)
    batch = source.add_table_asset("orders", table_name="orders").add_batch_definition_whole_table("all")
    wanted = [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=COLUMNS),
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in _MISSING),
        gxe.ExpectColumnValuesToBeUnique(column="order_id"),
        gxe.ExpectColumnValuesToBeInSet(column="status", value_set=STATES),
        gxe.ExpectColumnValuesToBeInSet(column="currency", value_set=CURRENCIES),
        gxe.ExpectColumnValuesToMatchRegex(column="country", regex=COUNTRY),
        gxe.ExpectColumnValuesToMatchRegex(column="email", regex=EMAIL),
        gxe.ExpectColumnValuesToBeBetween(column="quantity", min_value=0, max_value=1000),
        gxe.ExpectColumnValuesToBeBetween(column="discount", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="amount", min_value=0),
        gxe.ExpectColumnMaxToBeBetween(column="created_at"),
        gxe.ExpectColumnMaxToBeBetween(column="quantity", max_value=100),
        gxe.ExpectColumnMinToBeBetween(column="unit_price", min_value=0),
        gxe.ExpectColumnMeanToBeBetween(column="amount", min_value=1000, max_value=9000),
        gxe.ExpectColumnSumToBeBetween(column="amount", min_value=0),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query="SELECT * FROM {batch} o WHERE customer_id IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM customers c WHERE c.customer_id = o.customer_id)"
        ),
    ]
    suite = context.suites.add(gx.ExpectationSuite(name="orders", expectations=wanted))
    definition = gx.ValidationDefinition(name="orders", data=batch, suite=suite)
    started, used = time.perf_counter(), time.process_time()
    result = context.validation_definitions.add(definition).run(result_format=result_format)
    answers = len(result.results)
    return {
        "wall": time.perf_counter() - started,
        "client": time.process_time() - used,
        "found": {"answers": answers},
    }


if __name__ == "__main__":
    print(json.dumps(great_expectations(*sys.argv[1:])))
