"""How the tests use the page: what they open, set, draw and read."""

from typing import Any

from playwright.sync_api import Page, expect

VIEWS = ("window", "network", "learn", "compare")
SEEDS_SUM = "0×0 + 1×1 + 3×2 + 4×3 = 19"


def numbers(page: Page, group: str) -> list[list[str]]:
    """Return what the cells of the first table of a group show."""
    lines = page.locator(f".group.{group} .table").first.locator(".line").all()
    return [line.locator(".cell").all_inner_texts() for line in lines]


def setting(page: Page, name: str) -> Any:
    return page.locator(".settings").get_by_label(name, exact=True)


def opened(page: Page, view: str = "window") -> Page:
    page.goto(f"/#{view}")
    return page


def drawn(page: Page) -> None:
    """Draw an upright stroke with the mouse, and wait until the whole of it is read."""
    box = page.locator("#board").bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 0.15 * box["height"])
    page.mouse.down()
    for part in range(3, 18):
        page.mouse.move(x, box["y"] + part / 20 * box["height"])
    page.mouse.up()
    expect(page.locator(".network")).to_have_attribute("aria-busy", "false")


def share_of(page: Page, name: str) -> float:
    bar = page.locator("#probabilities .bar").nth(int(name))
    return float(str(bar.get_attribute("aria-label")).split()[-2])


def pixels(page: Page, selector: str) -> str:
    return str(page.locator(selector).evaluate("canvas => canvas.toDataURL()"))
