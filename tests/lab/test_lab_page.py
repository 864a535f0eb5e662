"""The page in a real browser: each view is used as a person would, and its numbers read back."""

import io
import json
import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from serving import Served
from PIL import Image
from playwright.sync_api import Browser, Page, expect

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


def test_the_window_shows_the_seeds_example(page: Page) -> None:
    opened(page)
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    assert numbers(page, "output") == [["19", "25"], ["37", "43"]]
    expect(page.locator("#sizes")).to_contain_text("3 × 3 input, window 2 × 2")


def test_pointing_at_an_output_shows_its_taps_and_its_sum(page: Page) -> None:
    opened(page)
    page.locator(".group.output .cell").nth(3).hover()
    expect(page.locator("#arithmetic")).to_have_text("4×0 + 5×1 + 7×2 + 8×3 = 43")
    taps = page.locator(".group.input .cell.tap")
    assert [(tap.get_attribute("data-r"), tap.get_attribute("data-c")) for tap in taps.all()] == [
        ("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")
    ]  # fmt: skip
    assert page.locator(".group.input .cell small").all_inner_texts() == ["×0", "×1", "×2", "×3"]


def test_pointing_at_an_input_shows_what_it_reaches_and_its_gradient(page: Page) -> None:
    opened(page)
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    page.locator(".group.input .cell").nth(4).hover()
    expect(page.locator("#arithmetic")).to_have_text("3 + 2 + 1 + 0 = 6")
    expect(page.locator("#sum")).to_contain_text("reaches 4 outputs")
    expect(page.locator(".group.output .cell.touched")).to_have_count(4)
    page.get_by_label("show the gradient on the input").check()
    expect(page.locator(".group.gradients .table")).to_be_visible()
    assert numbers(page, "gradients") == [["0", "1", "1"], ["2", "6", "4"], ["2", "5", "3"]]


def test_the_window_slides_steps_and_stops(page: Page) -> None:
    opened(page)
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#sum h2")).to_have_text("output[0, 0, 1]")
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    page.get_by_label("Speed").fill("20")
    page.locator("#play").click()
    expect(page.locator("#play")).to_contain_text("Pause")
    expect(page.locator("#sum h2")).to_have_text("output[0, 1, 1]")
    expect(page.locator("#play")).to_contain_text("Play")
    page.get_by_label("Speed").fill("1")
    page.locator("#play").click()
    expect(page.locator(".cell.later")).to_have_count(3)
    page.locator("#play").click()
    expect(page.locator("#play")).to_contain_text("Play")
    at = page.get_by_label("Position").input_value()
    page.wait_for_timeout(1200)
    assert page.get_by_label("Position").input_value() == at


def test_numbers_are_edited_by_keys_alone(page: Page) -> None:
    opened(page)
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    page.locator(".group.input .cell[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "-", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#arithmetic")).to_contain_text("3 + 2 + 1 + 0 = 6")
    page.locator(".group.output .cell").first.hover()
    expect(page.locator("#arithmetic")).to_have_text("0×0 + 1×1 + 3×2 + (−2)×3 = 1")
    page.locator(".kernels .cell").first.click()
    page.keyboard.type("x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("“x” is no number.")
    page.locator(".kernels .cell").first.click()
    page.keyboard.type("10")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.locator(".group.output .cell").nth(1).hover()
    expect(page.locator("#arithmetic")).to_have_text("1×10 + 2×1 + (−2)×2 + 5×3 = 23")


def test_an_input_is_drawn_with_the_pointer(page: Page) -> None:
    opened(page)
    page.get_by_label("Draw the value").check()
    page.get_by_label("Value to draw with").fill("5")
    cells = page.locator(".group.input .cell")
    for n in (0, 1):
        cells.nth(n).hover()
        page.mouse.down()
        page.mouse.up()
    expect(cells.nth(1)).to_contain_text("5")
    page.locator(".group.output .cell").first.hover()
    expect(page.locator("#arithmetic")).to_have_text("5×0 + 5×1 + 3×2 + 4×3 = 23")


@pytest.mark.parametrize(
    ("padding", "sizes"),
    [
        ("valid", "padding 0 0 0 0 → 2 × 2"),
        ("same", "padding 0 1 0 1 → 3 × 3"),
        ("same_upper", "padding 0 1 0 1 → 3 × 3"),
        ("same_lower", "padding 1 0 1 0 → 3 × 3"),
        ("full", "padding 1 1 1 1 → 4 × 4"),
    ],
)
def test_every_rule_of_padding(page: Page, padding: str, sizes: str) -> None:
    opened(page)
    setting(page, "Padding").select_option(padding)
    expect(page.locator("#sizes")).to_contain_text(sizes)
    expect(page.locator(".group.input .cell.pad").first).to_be_visible(visible=padding != "valid")


def test_every_other_setting(page: Page) -> None:
    opened(page)
    setting(page, "Padding").select_option("p_sides")
    for name, value in {"Top": "1", "Bottom": "0", "Left": "2", "Right": "1"}.items():
        setting(page, name).fill(value)
    expect(page.locator("#sizes")).to_contain_text("padding 1 0 2 1 → 3 × 5")
    setting(page, "Stride, columns").fill("2")
    expect(page.locator("#sizes")).to_contain_text("→ 3 × 3")
    setting(page, "Dilation, rows").fill("2")
    expect(page.locator("#sizes")).to_contain_text("window 3 × 2")
    setting(page, "Padding mode").select_option("replicate")
    assert numbers(page, "input")[0][0][0] == "0"
    setting(page, "Padding").select_option("p_pair")
    setting(page, "Padding mode").select_option("zeros")
    setting(page, "strict convolution (kernel turned)").check()
    expect(page.locator("#arithmetic")).to_contain_text("×3 + ")
    setting(page, "Type it").fill("1, 2; 3, 4; 5, 6")
    setting(page, "Type it").press("Enter")
    expect(page.locator(".kernels .cell")).to_have_count(6)
    setting(page, "Type it").fill("1 2")
    setting(page, "Type it").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("kernel is '1 2': it is numbers with ','")


def test_channels_and_groups(page: Page) -> None:
    opened(page)
    setting(page, "Channels").fill("4")
    setting(page, "Outputs").fill("2")
    expect(page.locator(".group.output .table")).to_have_count(2)
    assert page.locator("#arithmetic").inner_text().count("×") == 16
    setting(page, "Groups").fill("2")
    expect(page.locator(".kernels .table")).to_have_count(2)
    page.locator(".group.output .table").nth(1).locator(".cell").first.hover()
    expect(page.locator("#sum h2")).to_have_text("output[1, 0, 0]")
    framed = page.locator(".group.input .table").all()
    assert [table.locator(".frame").count() for table in framed] == [0, 0, 1, 1]


def test_an_illegal_setting_says_what_python_says(page: Page) -> None:
    opened(page)
    alert = page.get_by_role("alert")
    for name, value, sentence in (
        ("Stride, rows", "0", "stride is 0: it must be at least 1"),
        ("Stride, rows", "1.5", "stride is 1.5: it must be a whole number; use an int"),
        ("Groups", "3", "weight has 1 input channels a group, 3 with groups=3, but input has 1"),
    ):
        setting(page, name).fill(value)
        expect(alert).to_contain_text(sentence)
        setting(page, name).fill("1")
        expect(alert).to_be_hidden()
    setting(page, "Dilation, columns").fill("9")
    expect(alert).to_contain_text("Python says, ShapeError:")
    expect(alert).to_contain_text("the window is 10 columns wide (kernel size 2, dilation 9)")
    expect(page.locator("#play")).to_be_disabled()


def test_a_digit_and_a_photo_as_input(page: Page, tmp_path: Path) -> None:
    opened(page)
    source = page.locator(".settings select").first
    expect(source.locator("option", has_text="digit 7")).to_have_count(1)
    source.select_option(label="digit 7")
    expect(page.locator("#sizes")).to_contain_text("8 × 8 input")
    picture = tmp_path / "photo.png"
    Image.new("RGB", (30, 20), (255, 0, 0)).save(picture)
    source.select_option(label="a photo …")
    setting(page, "in colour").check()
    setting(page, "Size").fill("6")
    setting(page, "Picture file").set_input_files(picture)
    expect(page.locator("#sizes")).to_contain_text("4 × 6 input")
    expect(page.locator(".group.input .table")).to_have_count(3)
    source.select_option(label="a photo …")
    setting(page, "Picture file").set_input_files({"name": "a", "mimeType": "", "buffer": b"no"})
    expect(page.get_by_role("alert")).to_contain_text("the photo is not an image, or is damaged")


def drawn(page: Page) -> None:
    """Draw an upright stroke with the mouse."""
    box = page.locator("#board").bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 0.15 * box["height"])
    page.mouse.down()
    for part in range(3, 18):
        page.mouse.move(x, box["y"] + part / 20 * box["height"])
    page.mouse.up()


def share_of(page: Page, name: str) -> float:
    bar = page.locator("#probabilities .bar").nth(int(name))
    return float(str(bar.get_attribute("aria-label")).split()[-2])


def pixels(page: Page, selector: str) -> str:
    return str(page.locator(selector).evaluate("canvas => canvas.toDataURL()"))


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
    chosen.click(position={"x": 20, "y": 20})
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
    page.locator("#start").click()
    expect(page.locator("#progress")).to_contain_text("Step 3 of")
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
    page.wait_for_function("location.hash.length > 300")
    address = page.url
    page.locator("#problem").fill("ic8ih12oc8kh99")
    page.locator("#explain").click()
    expect(page.get_by_role("alert")).to_contain_text("the window is larger than the padded image")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("table.times")).to_be_visible()


def test_a_link_restores_the_state(page: Page, browser: Browser) -> None:
    opened(page)
    setting(page, "Padding").select_option("full")
    setting(page, "strict convolution (kernel turned)").check()
    expect(page.locator("#sizes")).to_contain_text("4 × 4 output")
    page.wait_for_timeout(400)
    address = page.url
    shown = numbers(page, "output")
    other = browser.new_context(locale="en-GB").new_page()
    other.goto(address)
    expect(other.locator("#sizes")).to_contain_text("4 × 4 output")
    assert numbers(other, "output") == shown
    opened(other, "network")
    drawn(other)
    other.wait_for_timeout(500)
    verdict = other.locator("#verdict").inner_text()
    third = browser.new_context(locale="en-GB").new_page()
    third.goto(other.url)
    expect(third.locator("#verdict")).to_have_text(verdict)
    for tab in (other, third):
        tab.context.close()


@pytest.mark.parametrize("tail", ["#window=!!", "#window=e30", "#nothing", "#window=bnVsbA", "#="])
def test_a_damaged_link_opens_the_page(page: Page, tail: str) -> None:
    page.goto(f"/{tail}")
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)


def test_both_languages_and_themes(page: Page) -> None:
    opened(page)
    page.locator("#language").click()
    expect(page.get_by_role("tab", name="窗口")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("#sizes")).to_contain_text("输入 3 × 3")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.reload()
    expect(page.get_by_role("tab", name="窗口")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    for view in ("network", "learn", "compare"):
        opened(page, view)
        expect(page.locator("main h2").first).to_be_visible()


@pytest.mark.parametrize("view", ["window", "network", "learn", "compare"])
def test_every_view_is_saved_as_svg_and_png(page: Page, view: str) -> None:
    opened(page, view)
    expect(page.locator("main h2").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    with page.expect_download() as waiting:
        page.locator("#svg").click()
    assert waiting.value.suggested_filename == f"faltung-{view}.svg"
    root = ET.parse(waiting.value.path()).getroot()  # noqa: S314 - our own page made it
    words = " ".join(text for text in root.itertext() if text.strip())
    expected = {"window": "43", "network": "ReLU", "learn": "Target", "compare": "algorithm"}
    assert expected[view] in words
    assert "class" not in json.dumps([part.attrib for part in root.iter()])
    with page.expect_download() as waiting:
        page.locator("#png").click()
    picture = Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes()))
    assert picture.width == 2 * int(root.attrib["width"])
    assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 5
    expect(page.locator("#notice")).to_have_text(f"Saved faltung-{view}.png.")


@pytest.mark.parametrize("view", ["window", "network", "learn", "compare"])
def test_a_phone_is_wide_enough(page: Page, view: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    opened(page, view)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("view", ["window", "network", "learn", "compare"])
def test_everything_has_a_name_for_a_screen_reader(page: Page, view: str) -> None:
    opened(page, view)
    page.wait_for_load_state("networkidle")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=grid], [role=img]")]
            .filter((e) => !(e.ariaLabel || e.innerText?.trim() || e.labels?.length))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    page.locator("nav [aria-selected='true']").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("nav [aria-selected='true']").evaluate("e => e === document.activeElement")


def test_a_server_that_has_gone(browser: Browser) -> None:
    lab = Served("--port", "0")
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(f"{lab.address}/#window")
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    lab.end()
    setting(page, "Stride, rows").fill("2")
    expect(page.get_by_role("alert")).to_contain_text("Is `faltung lab` still running?")
    page.context.close()


def test_the_page_is_quick(page: Page) -> None:
    """Ready in 2 s and a stroke answered in 0.1 s on a quiet machine; this one may be busy."""
    opened(page)
    began = time.perf_counter()
    page.reload()
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    assert time.perf_counter() - began < 2 * 4
    opened(page, "network")
    expect(page.locator(".layer")).to_have_count(14)
    drawn(page)
    expect(page.locator("#verdict")).to_contain_text("It reads 1, ")
    entries = page.evaluate(
        """performance.getEntriesByType("resource")
            .filter((e) => e.name.endsWith("/read")).map((e) => e.duration)"""
    )
    assert sorted(entries)[len(entries) // 2] < 100 * 4
    assert re.match(r"It reads 1, \d+\.\d %", page.locator("#verdict").inner_text())
