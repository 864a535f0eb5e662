"""The page in a real browser: views, links, languages, export, phones, speed."""

import io
import json
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from browsing import SEEDS_SUM, VIEWS, drawn, numbers, opened, setting
from serving import Served


def test_a_link_restores_the_state(page: Page, browser: Browser, served: Served) -> None:
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
    other.goto(f"{served.address}/#network")
    drawn(other)
    other.wait_for_timeout(500)
    verdict = other.locator("#verdict").inner_text()
    third = browser.new_context(locale="en-GB").new_page()
    third.goto(other.url)
    expect(third.locator("#verdict")).to_have_text(verdict)
    for tab in (other, third):
        tab.context.close()


WRONG = [{"input": [1]}, {"input": []}, {"kernel": []}, {"at": -5, "shown": -3}, {"pad": [1]}]


@pytest.mark.parametrize(
    "tail",
    [
        "#window=!!", "#window=e30", "#nothing", "#window=bnVsbA", "#=", "#toString", "#__proto__",
        *(f"#window={b64encode(json.dumps(s).encode()).decode().rstrip('=')}" for s in WRONG),
    ],
)  # fmt: skip
def test_a_damaged_link_opens_the_page(page: Page, tail: str) -> None:
    page.goto(f"/{tail}")
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)


def test_the_skip_link_leads_into_the_view_that_is_open(page: Page, served: Served) -> None:
    page.goto(f"{served.address}/#learn")
    expect(page.locator("#tab-learn")).to_have_attribute("aria-selected", "true")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator("#tab-learn")).to_have_attribute("aria-selected", "true")


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


@pytest.mark.parametrize("view", VIEWS)
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


def test_a_phone_is_wide_enough(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for view in VIEWS:
        opened(page, view)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, view


def test_everything_has_a_name_for_a_screen_reader(page: Page) -> None:
    for view in VIEWS:
        opened(page, view)
        page.wait_for_load_state("networkidle")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll(
                    "button, input, select, [role=grid], [role=img], [role=application]")]
                .filter((e) => !(e.ariaLabel || e.innerText?.trim() || e.labels?.length))
                .map((e) => e.outerHTML)"""
        )
        assert nameless == [], view


def test_views_are_chosen_by_keys(page: Page) -> None:
    opened(page)
    page.get_by_role("tab", name="Window").focus()
    for name in ("Network", "Learn", "Compare", "Window"):
        page.keyboard.press("ArrowRight")
        chosen = page.get_by_role("tab", name=name)
        expect(chosen).to_have_attribute("aria-selected", "true")
        expect(chosen).to_be_focused()


def test_a_server_that_has_gone(browser: Browser) -> None:
    lab = Served("--port", "0")
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(f"{lab.address}/#window")
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    lab.end()
    setting(page, "Stride, rows").fill("2")
    expect(page.get_by_role("alert")).to_contain_text("Is `faltung lab` still running?")
    page.context.close()


def test_a_page_that_is_loaded_again_reads_strokes(page: Page) -> None:
    opened(page)
    page.reload()
    expect(page.locator("#arithmetic")).to_have_text(SEEDS_SUM)
    opened(page, "network")
    expect(page.locator(".layer")).to_have_count(14)
    drawn(page)
    expect(page.locator("#verdict")).to_contain_text("It reads 1, ")
    assert re.match(r"It reads 1, \d+\.\d %", page.locator("#verdict").inner_text())
