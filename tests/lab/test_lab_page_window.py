"""The window view in a real browser: used as a person would, its numbers read back."""

import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from browsing import SEEDS_SUM, numbers, opened, setting


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


def test_every_rule_of_padding(page: Page) -> None:
    opened(page)
    for rule, sizes in {
        "valid": "padding 0 0 0 0 → 2 × 2",
        "same": "padding 0 1 0 1 → 3 × 3",
        "same_upper": "padding 0 1 0 1 → 3 × 3",
        "same_lower": "padding 1 0 1 0 → 3 × 3",
        "full": "padding 1 1 1 1 → 4 × 4",
    }.items():
        setting(page, "Padding").select_option(rule)
        expect(page.locator("#sizes")).to_contain_text(sizes)
        expect(page.locator(".group.input .cell.pad").first).to_be_visible(visible=rule != "valid")


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
    expect(page.locator("#arithmetic")).to_have_text(re.compile(r"^([^×]*×){16}[^×]*$"))
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
