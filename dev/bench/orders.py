"""The table every quality benchmark reads: ``orders``, N rows of 12 columns with known faults, and its contract.

Everything is arithmetic on the row's number, so two runs make the same rows. The faults: 19 keys twice,
1,000 orders of customers that are not there, 0.05 to 1 % nulls, misspelled states, countries and
addresses, values out of range.

    python -m dev.bench.orders DSN [rows]
"""

from __future__ import annotations

import sys
from typing import Any

import psycopg

ROWS = 5_000_000
CUSTOMERS = 200_000
# A multiplicative hash: neighbours in the table have nothing to do with each other.
_SCRAMBLED = "(g * 2654435761) % 4294967296"
_TABLES = """
CREATE UNLOGGED TABLE customers AS
SELECT g::integer AS customer_id, 'customer ' || g AS name FROM generate_series(1, {customers}) g;
CREATE UNLOGGED TABLE orders (
    order_id bigint, customer_id integer, status text, country text, currency text, email text,
    sku text, quantity integer, unit_price numeric(10, 2), discount double precision,
    amount numeric(12, 2), created_at timestamptz
);
INSERT INTO orders
SELECT
    CASE WHEN g % {per_duplicate} = 0 THEN g - 1 ELSE g END,
    CASE WHEN g % {per_orphan} = 1 THEN {customers} + 1 + g % 7 WHEN r % 2000 = 3 THEN NULL
         ELSE 1 + r % {customers} END,
    CASE WHEN r % 1000 = 5 THEN NULL WHEN r % 10000 = 6 THEN 'lost?'
         ELSE (ARRAY['new', 'paid', 'packed', 'shipped', 'delivered', 'returned', 'cancelled'])[1 + r / 7 % 7] END,
    CASE WHEN r % 500 = 7 THEN NULL WHEN r % 20000 = 8 THEN 'xx'
         ELSE chr(65 + (r / 11 % 5)::integer) || chr(65 + (r / 13 % 4)::integer) END,
    CASE WHEN r % 5000 = 9 THEN 'BTC' ELSE (ARRAY['EUR', 'USD', 'GBP', 'JPY', 'CHF'])[1 + r / 17 % 5] END,
    CASE WHEN r % 100 = 10 THEN NULL WHEN r % 3000 = 11 THEN 'nobody at example.com'
         ELSE 'user' || r || '@mail' || r % 97 || '.example.com' END,
    'sku-' || r % 50000,
    CASE WHEN r % 1000 = 12 THEN NULL WHEN r % 7000 = 13 THEN -1 ELSE 1 + r / 19 % 20 END,
    CASE WHEN r % 800 = 14 THEN NULL ELSE (100 + r % 99900) / 100.0 END,
    CASE WHEN r % 600 = 15 THEN NULL WHEN r % 9000 = 16 THEN 1.5 ELSE (r / 23 % 40) / 100.0 END,
    CASE WHEN r % 400 = 17 THEN NULL WHEN r % 11000 = 18 THEN -5 ELSE (100 + r % 999900) / 100.0 END,
    CASE WHEN r % 2500 = 19 THEN NULL
         ELSE timestamptz '2026-01-01 00:00+00' + g * interval '1 second' * (86400.0 * 300 / {rows}) END
FROM (SELECT g, {scrambled} AS r FROM generate_series(1, {rows}::bigint) g) numbers;
"""
# The last hour of the data, so that freshness passes.
NOW = "2026-10-28T01:00:00+00:00"
CONTRACT = """
dataset: bench/postgres/public/orders
columns:
  - {name: order_id, data_type: bigint, checks: [missing: , duplicate: {threshold: {must_be: 19}}]}
  - name: customer_id
    data_type: integer
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 1}}
      - invalid: {valid_reference_data: {dataset: bench/postgres/public/customers, column: customer_id}}
  - name: status
    data_type: text
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 1}}
      - invalid: {valid_values: [new, paid, packed, shipped, delivered, returned, cancelled]}
  - name: country
    data_type: text
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 1}}
      - invalid: {valid_format: {regex: '^[A-Z]{2}$', name: country code}}
  - name: currency
    data_type: text
    checks: [invalid: {valid_values: [EUR, USD, GBP, JPY, CHF]}]
  - name: email
    data_type: text
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 2}}
      - invalid: {valid_format: {regex: '^[^@\\s]+@[^@\\s]+\\.[a-zA-Z]{2,}$', name: address}}
  - {name: sku, data_type: text}
  - name: quantity
    data_type: integer
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 1}}
      - invalid: {valid_min: 0, valid_max: 1000}
      - aggregate: {function: max, threshold: {must_be_less_than: 100}}
  - name: unit_price
    data_type: numeric(10, 2)
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 1}}
      - aggregate: {function: min, threshold: {must_be_greater_than: 0}}
  - name: discount
    data_type: double precision
    checks: [invalid: {valid_min: 0, valid_max: 1}]
  - name: amount
    data_type: numeric(12, 2)
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 1}}
      - invalid: {valid_min: 0}
      - aggregate: {qualifier: mean, function: avg, threshold: {must_be_between: {greater_than: 1000, less_than: 9000}}}
      - aggregate: {qualifier: total, function: sum, threshold: {must_be_greater_than: 0}}
  - {name: created_at, data_type: timestamptz}
checks:
  - schema:
  - row_count:
  - freshness: {column: created_at, threshold: {unit: hour, must_be_less_than: 2}}
"""


def make_orders(connection: psycopg.Connection[Any], *, rows: int = ROWS) -> None:
    """Create ``customers`` and ``orders`` in the connection's first schema, analyzed; about 5 s per million rows."""
    statements = _TABLES.format(
        rows=rows,
        customers=CUSTOMERS,
        per_duplicate=rows // 19,
        per_orphan=rows // 1000,
        scrambled=_SCRAMBLED,
    )
    connection.execute(statements.encode())
    if connection.autocommit:
        connection.execute("VACUUM (ANALYZE) orders, customers")


def main() -> None:
    """Make the tables in a database."""
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        make_orders(connection, rows=int(sys.argv[2]) if len(sys.argv) > 2 else ROWS)


if __name__ == "__main__":
    main()
