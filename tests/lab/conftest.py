"""A real browser for the page: Debian's chromium, driven by Playwright. Where one is missing, they are skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "src" / "normexp" / "lab" / "lab.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: as root, which continuous integration is, chromium starts with none. The others keep it off the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000  # milliseconds: a loaded machine is no failure


def missing(what):
    """Skip; where NORMEXP_REQUIRE_BROWSER is set, as in continuous integration, fail."""
    if os.environ.get("NORMEXP_REQUIRE_BROWSER"):
        pytest.fail(f"NORMEXP_REQUIRE_BROWSER is set, and there is no {what}")
    pytest.skip(f"needs {what}")


# This folder, not the session: Playwright keeps an event loop running, which other tests need not put up with.
@pytest.fixture(scope="package")
def browser():
    """The browser, started once."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright (pip install --group test)")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing(f"browser: none of {', '.join(BROWSERS)} is on the path")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=ARGUMENTS, timeout=PATIENCE)
        yield started
        started.close()


def tab(browser, **options):
    """An empty tab in a context of its own; what its page says in the console and asks for is kept in lists."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.said, page.asked, page.loads = [], [], 0
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    return page


def load(page, address="#lang=en", **media):
    """Load the page from its beginning, in an emulated medium: color_scheme, reduced_motion."""
    page.said.clear()
    page.asked.clear()
    page.emulate_media(**{"color_scheme": "light", "reduced_motion": "no-preference", **media})
    page.loads += 1  # in the address, for another hash alone would be a step within the page
    page.goto(f"{PAGE.as_uri()}?{page.loads}{address}")
    page.wait_for_selector("html[data-ready]", state="attached")


@pytest.fixture(scope="package")
def shared_tab(browser):
    """The tab of all tests that touch the page: a context for each would cost more than what they do in it."""
    return tab(browser)


@pytest.fixture
def visit(shared_tab):
    """Open the page anew in the one tab: visit("#lang=zh", width=390, color_scheme="dark")."""

    def visited(address="#lang=en", width=1300, height=900, **media):
        shared_tab.set_viewport_size({"width": width, "height": height})
        load(shared_tab, address, **media)
        return shared_tab

    return visited


@pytest.fixture(scope="package")
def visit_elsewhere(browser):
    """Open the page in a context of its own, beside the shared tab or with other options: locale, permissions."""
    opened = []

    def visited(address="#lang=en", **options):
        opened.append(tab(browser, **options))
        load(opened[-1], address)
        return opened[-1]

    yield visited
    for page in opened:
        page.context.close()


@pytest.fixture(scope="package")
def lab(browser):
    """A page whose functions are called, and which nobody touches."""
    page = tab(browser)
    load(page)
    return page


@pytest.fixture
def page(visit):
    """The page, to touch; whatever it was made to do, it said nothing in the console."""
    opened = visit()
    yield opened
    assert opened.said == []
