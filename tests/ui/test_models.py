"""A model, an incident and the audit chain as people see them, in light and dark, and what people do there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.ui
PAGES = {
    "model-overview": ("/asset/ride_late", "Champion, challenger and others"),
    "model-versions": ("/asset/ride_late?tab=versions&version=2", "Who moved its aliases"),
    "model-evaluation": ("/asset/ride_late?tab=evaluation", "What was decided on it"),
    "model-monitoring": ("/asset/ride_late?tab=monitoring", "Groups of rows|Slices of this batch"),
    "model-approvals": ("/asset/ride_late?tab=approvals", "0 of 1, by ann, bob"),
    "model-training": ("/asset/ride_late?tab=training", "How it went"),
    "model-card": ("/asset/ride_late?tab=card", "Reproducibility"),
    "model-decisions": ("/asset/ride_late?tab=decisions", "In the audit chain"),
    "model-reports": ("/model/ride_late?tab=reports", "Reports of @2"),
    "incident-decay": ("/incident/3", "A data cause is confirmed"),
    "impact": ("/asset/rides?tab=impact", "It was waived"),
    "incident-data": ("/incident/2", "What happened"),
    "incidents-open": ("/incidents", "ride_late"),
    "audit-of-model": ("/audit?subject=ride_late", "The audit chain holds"),
}


def _loaded(page, told):
    expect(page.get_by_test_id("dataml")).to_contain_text(re.compile(told), timeout=30_000)
    expect(page.get_by_label("Loading")).to_have_count(0, timeout=30_000)


@pytest.mark.parametrize("theme", ["light", "dark"], ids=str)
@pytest.mark.parametrize("name", sorted(PAGES), ids=str)
def test_page_in_its_theme(site, shot, name, theme):
    path, told = PAGES[name]
    page = site.open(path, theme=theme)
    _loaded(page, told)
    assert page.get_by_role("alert").count() == 0
    shot(page, f"{name}-{theme}")


def test_every_control_has_a_name(site):
    for name, (path, told) in PAGES.items():
        page = site.open(path)
        _loaded(page, told)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll(
                 '[data-testid=dataml] :is(button, a, input, select, textarea, [role=link], [role=region], svg[role])')]
               .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
               .map((e) => e.outerHTML.slice(0, 200))"""
        )
        assert nameless == [], name
        page.close()


class TestModel:
    def test_a_comparison_and_a_window_are_chosen_with_keys_and_have_an_address(self, site):
        page = site.open("/asset/ride_late?tab=evaluation")
        first = page.get_by_role("link", name=re.compile("^@1 against the mean"))
        first.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"tab=evaluation&report=\d+$"))
        expect(page.get_by_role("heading", name=re.compile("@1 against the mean"))).to_be_visible()

    def test_a_window_is_looked_at_in_full(self, site):
        page = site.open("/asset/ride_late?tab=monitoring")
        page.get_by_role("link", name=re.compile("^Batch 2026-05-06 fail")).click()
        expect(page.get_by_role("heading", name="Batch 2026-05-06")).to_be_visible()
        expect(page.get_by_role("region", name="Columns of this batch").last).to_contain_text("traffic_index")

    def test_a_decision_leads_to_the_window_it_was_taken_on(self, site):
        page = site.open("/asset/ride_late?tab=decisions")
        page.get_by_role("link", name=re.compile("^window")).first.click()
        expect(page.get_by_role("region", name="Drift over time")).to_be_visible()


class TestIncident:
    def test_goes_from_hand_to_hand_and_the_chain_tells_it(self, site):
        page = site.open("/incidents?kind=decay")
        page.get_by_role("link", name="#3").click()
        page.get_by_label("Assign to").fill("ana")
        page.get_by_role("button", name="Assign").click()
        expect(page.get_by_text("Assigned.")).to_be_visible()
        expect(page.get_by_role("list", name="Timeline")).to_contain_text("to ana")
        page = site.open("/audit?subject=incident%203")
        expect(page.get_by_role("region", name="Audit entries")).to_contain_text("user:")

    def test_who_may_only_look_is_told(self, site):
        page = site.open("/incident/1", user="viewer")
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("You may not do this here")).to_be_visible()

    def test_a_resolution_needs_words(self, site):
        page = site.open("/incident/1")
        page.get_by_role("button", name="Resolve").click()
        expect(page.get_by_text("Say what was done")).to_be_visible()


class TestAudit:
    def test_is_narrowed_down_and_taken_along(self, site):
        page = site.open("/audit")
        page.get_by_label("Action").select_option("promote")
        expect(page).to_have_url(re.compile(r"audit\?action=promote$"))
        page.get_by_role("region", name="Audit entries").locator("summary").first.click()
        expect(page.get_by_role("region", name=re.compile("^Detail of entry")).first).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="Export these as JSON lines").click()
        assert download.value.suggested_filename == "dataml-audit.jsonl"
