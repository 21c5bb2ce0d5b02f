"""What axe-core says of a page in a browser."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

FIND = """async (options) => {
  const found = await axe.run(document, { resultTypes: ["violations"], ...options });
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap((each) => each.nodes.map((node) => each.id + ": " + node.html.slice(0, 160)));
}"""


def violations(page: Page, scheme: str = "light") -> list[str]:
    """What is serious or critical, 'rule: element'; in the dark scheme of contrast alone, for the rest is the same."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.evaluate(AXE_SCRIPT)
    options = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
    found: list[str] = page.evaluate(FIND, options)
    page.emulate_media(color_scheme="light")
    return found


def assert_accessible(page: Page) -> None:
    """Nothing is serious or critical, in either color scheme."""
    assert violations(page) == []
    assert violations(page, "dark") == []
