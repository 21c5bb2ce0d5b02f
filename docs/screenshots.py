"""Take the docs' pictures of the reports anew: study.png, report.png and learned.png.

    .venv/bin/python docs/screenshots.py demo/study runs/quick-clothing

The first is a finished study, the second a finished run whose features were analyzed. Needs Chromium (apt-get install
chromium). Look at the pictures before you commit them.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from headstart.report.run_page import write_report
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder

DOCS = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
WIDTH = 1180
"""Of the window, in pixels; README.md shows pictures at about this width."""
MAX_BYTES = 200_000


def main() -> None:
    """Write the reports anew, open them in the browser, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a finished study, of `headstart demo` for README.md")
    parser.add_argument("run", type=Path, help="a finished run")
    arguments = parser.parse_args()
    study, run = write_study_page(arguments.study), write_report(RunFolder.open(arguments.run))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        open_page(page, study)
        save("study.png", page, 0, edge(page, "section:has(#trials)", "bottom"))
        open_page(page, run)
        save("report.png", page, 0, edge(page, "#learning", "bottom"))
        show_an_image_of_the_map(page)
        save("learned.png", page, edge(page, "section:has(#map)", "top"), edge(page, "#map-legend", "bottom"))
        browser.close()


def open_page(page: Page, file: Path) -> None:
    """Open a report and wait for its figures."""
    page.goto(f"file://{file.resolve()}")
    page.wait_for_function("document.querySelectorAll('.figure svg.chart').length >= 2")
    page.wait_for_timeout(1500)
    page.set_viewport_size({"width": WIDTH, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.wait_for_timeout(1500)


def show_an_image_of_the_map(page: Page) -> None:
    """Hold the pointer over a point, so that its image appears."""
    page.locator("#map canvas").scroll_into_view_if_needed()
    box = page.locator("#map canvas").bounding_box()
    point = page.evaluate("document.getElementById('map').images().filter((each) => each.visible).at(-1)")
    assert box is not None
    page.mouse.move(box["x"] + point["left"], box["y"] + point["top"])
    page.locator("#map-card").wait_for(state="visible")


def edge(page: Page, selector: str, side: Literal["top", "bottom"]) -> float:
    """Where an element begins or ends, with a margin, in pixels from the top of the page."""
    found: float = page.eval_on_selector(selector, f"e => e.getBoundingClientRect().{side} + window.scrollY")
    return found + (12 if side == "bottom" else -12)


def save(name: str, page: Page, start: float, end: float) -> None:
    """Save what lies between two heights, in as many colors as fit into `MAX_BYTES`."""
    content = page.screenshot(clip={"x": 0, "y": start, "width": WIDTH, "height": end - start})
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    for colors in (256, 128, 64, 32):
        picture.quantize(colors, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)
        if (DOCS / name).stat().st_size <= MAX_BYTES:
            break
    print(f"{DOCS / name}: {(DOCS / name).stat().st_size:,} bytes, {colors} colors")


if __name__ == "__main__":
    main()
