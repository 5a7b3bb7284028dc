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


# A module, not the session: Playwright keeps an event loop running, which other tests need not put up with.
@pytest.fixture(scope="module")
def browser():
    """The browser, started once a module."""
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


@pytest.fixture(scope="module")
def visit(browser):
    """Open the page in a context of its own: visit("#lang=zh", color_scheme="dark")."""

    def visited(address="#lang=en", **options):
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(PAGE.as_uri() + address)
        page.wait_for_selector("html[data-ready]")
        return page

    return visited


@pytest.fixture(scope="module")
def lab(visit):
    """A page whose functions are called, and which nobody touches."""
    return visit()


@pytest.fixture
def page(visit):
    """A page to touch; whatever it was made to do, it said nothing in the console."""
    opened = visit()
    yield opened
    assert opened.said == []
    opened.context.close()
