"""PostgreSQL: the ledger, the warehouse of managed datasets and the outbox."""
