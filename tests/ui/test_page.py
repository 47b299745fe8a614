"""Each page in light and dark, and what people do on it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.ui
# Where each is, and what is there when it has loaded.
PAGES = {
    "catalog": ("", "Later than promised"),
    "search": ("?q=ordres", "looked for orders"),
    "versions": ("/asset/rides", "Versions over time"),
    "quality": ("/asset/rides?tab=quality", "Checks over time"),
    "profile": ("/asset/rides?tab=profile", "Merged|merged here"),
    "compare": ("/asset/rides?tab=compare&old=12&new=13", "in shares of"),
    "quarantine-of": ("/asset/rides?tab=quarantine", "Quarantine"),
    "schema": ("/asset/shop%2Forders?tab=schema", "never reused"),
    "uses": ("/asset/rides?tab=uses", "Goes into"),
    "layout": ("/asset/rides?tab=layout", "Place"),
    "lineage-of": ("/asset/rides?tab=lineage&version=6", "ride_demand@1"),
    "model": ("/asset/ride_demand", "Trained on"),
    "lineage": ("/lineage/ride_demand", "1 step"),
    "lineage-start": ("/lineage?by=asset&columns=true", "Which asset shall the graph"),
    "lineage-columns": ("/lineage/rides?by=asset&columns=true", "1 step"),
    "delivery": ("/delivery", "marquez"),
    "dead-letters": ("/delivery?backend=marquez", "no such namespace"),
    "quarantine": ("/quarantine", "Set aside"),
    "branches": ("/branches", "dataml branch diff"),
    "incidents": ("/incidents?state=all", "Incident"),
    "audit": ("/audit", "The audit chain holds"),
}


# Controls and drawings that somebody who does not see them could not tell.
_NAMELESS = """() => [...document.querySelectorAll(
  '[data-testid=dataml] :is(button, a, input, select, textarea, [role=link], [role=region], svg[role])')]
  .filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim() || e.labels?.length))
  .map((e) => e.outerHTML.slice(0, 200))"""


def _loaded(page, told):
    expect(page.get_by_test_id("dataml")).to_contain_text(re.compile(told), timeout=30_000)
    expect(page.get_by_label("Loading")).to_have_count(0, timeout=30_000)


@pytest.mark.parametrize("theme", ["light", "dark"], ids=str)
@pytest.mark.parametrize("name", sorted(PAGES), ids=str)
def test_page_in_its_theme(site, shot, name, theme):
    path, told = PAGES[name]
    page = site.open(path, theme=theme)
    if told.endswith("over time"):
        page.get_by_role("region", name=told).wait_for()
    else:
        _loaded(page, told)
    assert page.get_by_role("alert").count() == 0
    assert page.evaluate(_NAMELESS) == []
    shot(page, f"{name}-{theme}")
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (theme == "dark")


class TestCatalog:
    def test_finds_as_one_types_and_keeps_it_in_the_address(self, site):
        page = site.open()
        page.keyboard.press("/")
        page.keyboard.type("ordres")
        expect(page.get_by_text("looked for orders")).to_be_visible()
        expect(page).to_have_url(re.compile(r"\?q=ordres$"))
        page.get_by_role("link", name="shop/orders").first.click()
        expect(page.get_by_role("heading", name="shop/orders")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("searchbox")).to_have_value("ordres")

    def test_narrows_down_and_goes_on(self, site):
        page = site.open("?kind=external")
        expect(page.get_by_text("The first 50 assets")).to_be_visible()
        page.get_by_role("button", name="Show more").click()
        expect(page.get_by_text("The first 100 assets")).to_be_visible()
        page.get_by_role("button", name="Only tag gold").first.click()
        expect(page.get_by_text("1 asset", exact=True)).to_be_visible()
        page.get_by_role("button", name="Take away tag gold").click()
        expect(page).to_have_url(re.compile(r"\?kind=external$"))

    def test_says_what_to_do_where_nothing_is_found(self, site, shot):
        page = site.open("?q=zzzzzz")
        expect(page.get_by_text("Nothing matches")).to_be_visible()
        shot(page, "empty-light")


class TestLineage:
    def test_an_asset_is_found_and_its_columns_stay_asked_for(self, site):
        page = site.open("/lineage?by=asset&columns=true")
        page.get_by_label("Find an asset").fill("rides")
        page.get_by_role("link", name="rides", exact=True).click()
        expect(page).to_have_url(re.compile(r"/lineage/rides\?by=asset&columns=true$"))
        expect(page.get_by_role("button", name="Columns")).to_have_attribute("aria-pressed", "true")


class TestDelivery:
    def test_a_backend_has_its_dead_letters_and_one_is_sent_again(self, site):
        page = site.open("/delivery?backend=marquez")
        letters = page.get_by_role("region", name="Dead letters", exact=True)
        expect(letters.get_by_role("button", name=re.compile("^Send event"))).to_have_count(3)
        letters.get_by_role("button", name=re.compile("^Send event")).first.click()
        page.get_by_role("alertdialog").get_by_role("button", name="Send again").click()
        expect(letters.get_by_role("button", name=re.compile("^Send event"))).to_have_count(2)


class TestDataset:
    def test_a_version_is_chosen_with_the_keyboard(self, site):
        page = site.open("/asset/rides")
        page.get_by_role("link", name=re.compile("^@3: ")).focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"version=3"))
        expect(page.get_by_role("heading", name="@3", exact=True)).to_be_visible()

    def test_two_versions_are_compared_from_their_row(self, site):
        page = site.open("/asset/rides")
        page.get_by_role("link", name="with @12").click()
        expect(page).to_have_url(re.compile("tab=compare"))
        page.get_by_label("From, version").select_option("1")
        expect(page).to_have_url(re.compile("old=1"))
        _loaded(page, "in shares of")

    def test_a_name_nobody_knows_is_said(self, site, shot):
        page = site.open("/asset/ridez")
        expect(page.get_by_role("alert")).to_contain_text("'rides'")
        shot(page, "unknown-light")


def test_a_narrow_window_scrolls_tables_and_not_the_page(site, shot):
    page = site.open("/asset/rides", width=700)
    page.get_by_role("region", name="Versions over time").wait_for()
    wide = page.evaluate(
        "(e => e.scrollWidth - e.clientWidth)(document.querySelector('[data-testid=dataml]'))"
    )
    shot(page, "narrow-light")
    assert wide <= 0


def test_a_ledger_that_is_gone_is_said(site, shot):
    page = site.open("/audit")
    _loaded(page, "The audit chain holds")
    page.route(
        "**/dataml/incidents**",
        lambda route: route.fulfill(status=503, json={"detail": "The DataML ledger does not answer."}),
    )
    page.get_by_role("link", name="Incidents").first.click()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    shot(page, "error-light")


def test_the_first_load_is_small(site):
    sizes: dict[str, int] = {}
    context = site.browser.new_context()
    context.add_cookies([{"name": "_token", "value": site.token("admin"), "url": site.base}])
    fresh = context.new_page()
    fresh.on("response", lambda r: "/dataml/static/" in r.url and sizes.update({r.url: len(r.body())}))
    fresh.goto(f"{site.base}/plugin/dataml/branches")
    fresh.get_by_text("dataml branch diff").first.wait_for(timeout=60_000)
    context.close()
    assert 0 < sum(sizes.values()) < 25_000, sizes
