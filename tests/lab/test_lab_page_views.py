"""The other views in a real browser: used as a person would, their numbers read back."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import drawn, opened, pixels, setting, share_of
from serving import Served


def test_a_digit_drawn_with_the_mouse(page: Page) -> None:
    opened(page, "network")
    expect(page.locator("#verdict")).to_have_text("Nothing is drawn yet.")
    expect(page.locator(".layer")).to_have_count(14)
    before = pixels(page, "[aria-label='map 0, layer 3'] canvas")
    drawn(page)
    expect(page.locator("#verdict")).to_contain_text("It reads 1, ")
    assert share_of(page, "1") > 70
    assert sum(share_of(page, str(n)) for n in range(10)) == pytest.approx(100, abs=1)
    assert pixels(page, "[aria-label='map 0, layer 3'] canvas") != before
    page.locator("#clear").click()
    expect(page.locator("#verdict")).to_have_text("Nothing is drawn yet.")


def test_a_digit_drawn_with_the_keyboard(page: Page) -> None:
    opened(page, "network")
    page.locator("#board").focus()
    for _ in range(11):
        page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    for _ in range(22):
        page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    expect(page.locator("#verdict")).to_contain_text("It reads 1, ")
    page.keyboard.press("Delete")
    expect(page.locator("#verdict")).to_have_text("Nothing is drawn yet.")


def test_a_digit_drawn_with_a_finger(browser: Browser, served: Served) -> None:
    context = browser.new_context(
        has_touch=True, viewport={"width": 360, "height": 740}, base_url=served.address
    )
    page = context.new_page()
    opened(page, "network")
    board = page.locator("#board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    assert box is not None
    finger = context.new_cdp_session(page)
    x = box["x"] + box["width"] / 2
    for part in range(3, 18):
        y = box["y"] + part / 20 * box["height"]
        kind = "touchStart" if part == 3 else "touchMove"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#verdict")).to_contain_text("It reads 1, ")
    context.close()


def test_a_unit_shows_its_window_kernel_field_and_sum(page: Page) -> None:
    opened(page, "network")
    drawn(page)
    chosen = page.locator("[aria-label='map 3, layer 4']")
    chosen.click(position={"x": 18, "y": 18})
    unit = page.locator("#unit")
    expect(unit.locator("h2")).to_contain_text("Layer 4, map 3, row 3, column 3")
    expect(unit).to_contain_text("Receptive field: rows 1 to 5, columns 1 to 5")
    expect(unit.locator(".part")).to_have_count(8)
    expect(unit.locator(".part").first.locator(".cell")).to_have_count(18)
    text = page.locator("#unit-sum").inner_text().replace("−", "-")
    left, right = text.split("≈")
    parts = [float(part.strip(" ()")) for part in left.split(" + ")]
    assert sum(parts) == pytest.approx(float(right), abs=0.02)
    box = page.locator("#board .mark-box").bounding_box()
    assert box is not None
    assert box["height"] > 100
    chosen.focus()
    page.keyboard.press("ArrowUp")
    expect(unit.locator("h2")).to_contain_text("row 2, column 3")
    page.get_by_label("Close").click()
    expect(page.locator("#board .mark-box")).to_be_hidden()


def test_the_way_back_is_drawn_on_the_same_view(page: Page) -> None:
    opened(page, "network")
    drawn(page)
    expect(page.locator("#verdict")).to_contain_text("It reads 1, ")
    values = pixels(page, "[aria-label='map 0, layer 3'] canvas")
    page.get_by_label("Show", exact=True).select_option("gradient")
    expect(page.locator(".hint", has_text="Gradient of the score of 1")).to_be_visible()
    expect(page.locator("#board .lens")).to_be_visible()
    assert pixels(page, "[aria-label='map 0, layer 3'] canvas") != values
    one = pixels(page, "#board .lens")
    page.locator("#probabilities .bar").nth(7).click()
    expect(page.locator(".hint", has_text="Gradient of the score of 7")).to_be_visible()
    assert pixels(page, "#board .lens") != one
    page.locator("[aria-label='map 3, layer 5']").click()
    page.get_by_label("of", exact=True).select_option("unit")
    expect(page.locator(".hint", has_text="Gradient of the chosen unit")).to_be_visible()


@pytest.mark.parametrize(("kind", "learned"), [("plain", (1, -1)), ("strict", (-1, 1))])
def test_a_kernel_is_learned(page: Page, kind: str, learned: tuple[int, int]) -> None:
    opened(page, "learn")
    setting(page, "Operation").select_option(kind)
    page.locator("#steps").fill("25")
    expect(page.locator("#progress")).to_contain_text("Step 0 of")
    page.locator("#start").click()
    expect(page.locator("#start")).to_have_text("Stop")
    expect(page.locator("#progress")).to_contain_text("Step 25 of 25", timeout=30_000)
    expect(page.locator("#start")).to_have_text("Start")
    texts = page.locator("#learned .cell").all_inner_texts()
    got = [float(text.replace("−", "-")) for text in texts]
    assert got == pytest.approx(learned, abs=0.05)
    assert page.locator(".chart circle").count() == 26
    loss = page.locator("#progress").inner_text().rpartition(" ")[2]
    assert float(loss) < 0.05


def test_learning_stops_steps_and_fails_in_words(page: Page) -> None:
    opened(page, "learn")
    page.locator("#steps").fill("500")
    page.locator("#start").click()
    expect(page.locator("#progress")).to_have_text(re.compile(r"Step ([3-9]|\d\d+) of"))
    page.locator("#start").click()
    at = page.locator("#progress").inner_text()
    page.wait_for_timeout(300)
    before = int(at.split()[1])
    now = int(page.locator("#progress").inner_text().split()[1])
    assert now <= before + 1
    page.locator("#once").click()
    expect(page.locator("#progress")).to_contain_text(f"Step {now + 1} of")
    page.locator("#reset").click()
    expect(page.locator("#progress")).to_contain_text("Step 0 of")
    page.locator("#rate").fill("1")
    page.locator("#start").click()
    expect(page.get_by_role("alert")).to_contain_text("a rate of 1 is too large", timeout=30_000)
    page.locator("#rate").fill("2")
    page.locator("#once").click()
    expect(page.get_by_role("alert")).to_contain_text("rate is 2.0: it must be above 0")


def test_a_problem_is_compared(page: Page) -> None:
    opened(page, "compare")
    page.locator("#problem").fill("ic8ih12oc8kh3ph1")
    page.locator("#explain").click()
    expect(page.locator("#work")).to_contain_text("82,944 multiply-adds")
    expect(page.locator("#why")).to_contain_text("algorithm")
    page.locator("#measure").click()
    expect(page.locator("table.times")).to_be_visible(timeout=60_000)
    expect(page.locator("table.times tr.ours")).to_have_count(1)
    expect(page.locator("table.times")).to_contain_text("torch")
    cells = page.locator("table.times tbody tr td:nth-child(2)").all_inner_texts()
    times = [float(text.removesuffix(" ms")) for text in cells]
    assert times == sorted(times)
    assert page.locator("#roofline circle").count() == len(times)
    expect(page).to_have_url(re.compile(r"#compare=.{300}"))
    address = page.url
    page.locator("#problem").fill("ic8ih12oc8kh99")
    page.locator("#explain").click()
    expect(page.get_by_role("alert")).to_contain_text("the window is larger than the padded image")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("table.times")).to_be_visible()
