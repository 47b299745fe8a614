"""The page in a real browser, on a real Airflow API server, with a ledger that real steps filled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from dev.browser import browser as find_browser
from dev.embedded import ensure_database
from dev.lifecycle.server import airflow_environment, free_port
from dev.lifecycle.state import State
from dev.page import build
from tests.ui.world import fill_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

SHOTS = Path(__file__).parent / "shots"
USERS = {"admin": "admin", "viewer": "viewer"}
_START_S = 240.0
# Nothing of the browser's own leaves the machine.
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-default-apps", "--no-proxy-server",
)  # fmt: skip


@dataclass
class Site:
    """A running Airflow and a browser to look at it with."""

    base: str
    browser: Browser
    contexts: dict[tuple[str, str], BrowserContext] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def open(self, path: str = "", *, theme: str = "light", user: str = "admin", width: int = 1500) -> Page:
        """Open an address of the page, signed in; what goes wrong in the browser is kept in ``faults``."""
        page = self._context(theme, user).new_page()
        page.set_viewport_size({"width": width, "height": 1000})
        page.on("pageerror", lambda error: self.faults.append(f"{path}: {error}"))
        page.on("request", lambda asked: self._leaves(asked.url))
        page.goto(f"{self.base}/plugin/dataml{path}")
        page.get_by_test_id("dataml").wait_for(timeout=60_000)
        return page

    def _context(self, theme: str, user: str) -> BrowserContext:
        """One per theme and user: Airflow's own page is large, and a browser keeps it."""
        if (theme, user) not in self.contexts:
            context = self.browser.new_context(color_scheme="dark" if theme == "dark" else "light")
            context.add_cookies([{"name": "_token", "value": self.token(user), "url": self.base}])
            context.add_init_script(f"localStorage.setItem('theme', {json.dumps(theme)})")
            self.contexts[theme, user] = context
        return self.contexts[theme, user]

    def token(self, user: str) -> str:
        """Return a token of a user, asked for once."""
        if user not in self.tokens:
            body = json.dumps({"username": user, "password": USERS[user]}).encode()
            asked = urllib.request.Request(
                f"{self.base}/auth/token", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(asked, timeout=30) as answer:
                self.tokens[user] = json.load(answer)["access_token"]
        return self.tokens[user]

    def _leaves(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.faults.append(f"asked elsewhere: {url}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program, environment = find_browser()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program, args=list(_FLAGS), env={**os.environ, **environment}
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def ledger_dsn(postgres_server: str) -> str:
    dsn = ensure_database(postgres_server, "ui_dataml")
    with Connection(dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(dsn) as ledger:
        fill_page(ledger)
    return dsn


@pytest.fixture(scope="session")
def airflow(postgres_server: str, ledger_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Airflow's API server alone; its address."""
    build()
    state = State(tmp_path_factory.mktemp("ui"))
    for folder in (state.airflow_home, state.root / "dags", state.server_log.parent, state.root / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    environment = airflow_environment(
        state,
        metadata_dsn=ensure_database(postgres_server, "ui_airflow"),
        dataml_dsn=ledger_dsn,
        port=free_port(8380),
        dags=state.root / "dags",
    )
    environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = ",".join(f"{name}:{name}" for name in USERS)
    passwords = state.airflow_home / "simple_auth_manager_passwords.json.generated"
    passwords.write_text(json.dumps(USERS))
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True
    )
    command = [sys.executable, "-m", "airflow", "api-server", "--workers", "1"]
    command += ["--port", environment["AIRFLOW__API__PORT"], "--host", "127.0.0.1"]
    with state.server_log.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, environment["AIRFLOW__API__BASE_URL"], state.server_log)
        yield environment["AIRFLOW__API__BASE_URL"]
    finally:
        process.terminate()
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], base: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"{base}/api/v2/version", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Airflow did not come up:\n{log.read_text()[-4000:]}")
            time.sleep(0.5)


@pytest.fixture(scope="session")
def opened(airflow: str, chromium: Browser) -> Site:
    return Site(airflow, chromium)


@pytest.fixture
def site(opened: Site) -> Iterator[Site]:
    """Airflow in the browser; a fault of a script or a request to elsewhere fails the test."""
    opened.faults.clear()
    yield opened
    for context in opened.contexts.values():
        for page in context.pages:
            page.close()
    assert opened.faults == []


@pytest.fixture
def shot() -> Any:
    """Keep a picture of what is shown, to be looked at."""
    SHOTS.mkdir(exist_ok=True)

    def take(page: Page, name: str) -> None:
        # The page scrolls inside Airflow's; a window as tall as all of it shows it whole.
        tall = page.evaluate("document.querySelector('[data-testid=dataml]').scrollHeight")
        width = (page.viewport_size or {"width": 1500})["width"]
        page.set_viewport_size({"width": width, "height": min(max(tall + 40, 700), 4000)})
        page.screenshot(path=SHOTS / f"{name}.png")

    return take
