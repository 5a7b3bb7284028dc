"""Take docs/lab.png: the first view of `normexp lab`, as chromium shows it, where there is a font for Chinese."""

from __future__ import annotations

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image  # comes with matplotlib
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
        page.set_default_timeout(120_000)
        page.goto((ROOT / "src/normexp/lab/lab.html").as_uri() + "#lang=en")
        page.wait_for_selector("html[data-ready]")
        bottom = page.evaluate("document.getElementById('cards').getBoundingClientRect().bottom")
        clip = {"x": 0, "y": 0, "width": 1300, "height": bottom + 16}
        taken = page.screenshot(clip=clip, full_page=True)
    # The page has few colours: 128 of them make a third of the file.
    Image.open(BytesIO(taken)).convert("RGB").quantize(128).save(ROOT / "docs" / "lab.png", optimize=True)


if __name__ == "__main__":
    main()
