"""Take docs/lab.png: the first view of `normexp lab`, as a browser shows it (chromium, driven by Playwright)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Take the picture."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("tools/lab_picture.py: needs chromium or google-chrome on the path")
    with sync_playwright() as driver:
        # As root there is no sandbox, and the page is our own.
        page = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"]).new_page(
            viewport={"width": 1300, "height": 900}, color_scheme="light"
        )
        page.goto((ROOT / "src/normexp/lab/lab.html").as_uri() + "#lang=en")
        page.wait_for_selector("html[data-ready]")
        bottom = page.evaluate("document.getElementById('cards').getBoundingClientRect().bottom")
        clip = {"x": 0, "y": 0, "width": 1300, "height": bottom + 16}
        page.screenshot(path=ROOT / "docs" / "lab.png", clip=clip, full_page=True)


if __name__ == "__main__":
    main()
