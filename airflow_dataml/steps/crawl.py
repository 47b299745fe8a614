"""Crawling: every table of a database gets its place in the catalog, and what is gone is said to be missing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_dataml.core.catalog import Registered
from airflow_dataml.core.crawl import Crawled, CrawlScope, require_scope
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from airflow_dataml.core.crawl import Crawls, Tables
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity

log = logging.getLogger(__name__)
EVERYTHING = CrawlScope()


def crawl_tables(
    *,
    ledger: Ledger,
    crawls: Crawls,
    tables: Tables,
    identity: RunIdentity,
    within: CrawlScope = EVERYTHING,
    scope: str | None = None,
    conn_id: str | None = None,
) -> Crawled:
    """Enter every table of a database into the catalog; then, the list being whole, mark what is gone.

    A crawl that is killed, or whose list breaks off, marks nothing; what it entered stays.

    :param within: which tables; only of these some can be missing.
    :param scope: what the crawl answers for; the database unless given. Two crawls of one database that
        look at different tables need no names of their own, as each marks only what is within it.
    :param conn_id: connection of the database, kept with its tables, where that is not the ledger's own.
    """
    name = require_scope(scope, tables.place)
    run = ledger.runs.begin(identity, input_digest=digest_of(scope=name, within=within.model_dump()))
    with crawls.hold(name):
        crawl_id = crawls.begin(name, run_key=run.run_key)
        registered = Registered()
        for page in tables.pages(within):
            registered += crawls.register(
                found.entry(tables.place, scope=name, conn_id=conn_id) for found in page
            )
        missing = crawls.finish(crawl_id, within=within, registered=registered)
    ledger.runs.finish(run)
    log.info("Crawled %s: %s, %s missing", name, registered, missing)
    return Crawled(name, crawl_id, registered, missing)
