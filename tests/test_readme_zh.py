"""The Chinese README says what the English one says: same structure, code, numbers and links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*(?!-D)")  # 2-D is a word
HAN = re.compile(r"[\u4e00-\u9fff]")


def headings(text: str) -> list[int]:
    """Return the levels of the headings, in their order."""
    return [len(found) for found in re.findall(r"(?m)^(#+) ", BLOCK.sub("", text))]


def sections(text: str) -> list[str]:
    """Return what stands below each heading, without code."""
    return re.split(r"(?m)^#+ .*$", BLOCK.sub("", text))


def code(text: str) -> list[tuple[str, str]]:
    """Return the language and the content of each block, comments left out: they are translated."""
    return [
        (language, re.sub(r"(?m)[ \t]*(?:^|(?<=\s))#.*$", "", content))
        for language, content in BLOCK.findall(text)
    ]


def tables(text: str) -> list[list[tuple[int, list[str]]]]:
    """Return for each row of each table how many cells it has, and its numbers, sorted."""
    found = re.findall(r"(?m)(?:^\|.*\n)+", BLOCK.sub("", text))
    return [
        [(row.count("|"), sorted(NUMBER.findall(row))) for row in table.splitlines()]
        for table in found
    ]


def test_each_links_to_the_other_in_its_first_line() -> None:
    assert ENGLISH.splitlines()[0] == "English | [简体中文](README.zh-CN.md)"
    assert CHINESE.splitlines()[0] == "[English](README.md) | 简体中文"


def test_the_headings_are_the_same_in_number_and_level() -> None:
    assert headings(CHINESE) == headings(ENGLISH)
    assert len(headings(ENGLISH)) > 5


def test_the_code_is_the_same_but_for_its_comments() -> None:
    assert code(CHINESE) == code(ENGLISH)
    assert len(code(ENGLISH)) > 4


def test_the_tables_have_the_same_cells_and_numbers() -> None:
    assert tables(CHINESE) == tables(ENGLISH)
    assert len(tables(ENGLISH)) >= 3


def test_every_section_has_the_same_numbers() -> None:
    for chinese, english in zip(sections(CHINESE), sections(ENGLISH), strict=True):
        assert sorted(NUMBER.findall(chinese)) == sorted(NUMBER.findall(english)), chinese


def test_every_section_has_the_same_links_and_names_in_code() -> None:
    for chinese, english in zip(sections(CHINESE)[1:], sections(ENGLISH)[1:], strict=True):
        for pattern in (r"\]\(([^)]+)\)", r"`([^`\n]+)`"):
            assert sorted(re.findall(pattern, chinese)) == sorted(re.findall(pattern, english))


SPEED = re.findall(r"\d\.\d\d \(\d\.\d\d\)", CHINESE)[0]  # a ratio with its worst case


def test_every_section_is_translated() -> None:
    for section in sections(CHINESE)[1:]:
        prose = re.sub(r"`[^`]*`|\]\([^)]*\)|(?m:^\|.*$)", "", section).strip()
        assert HAN.search(prose) or not prose, section
        for line in prose.splitlines():
            assert not re.fullmatch(r"[A-Za-z ,.'-]{60,}", line.strip()), line


def test_the_code_prints_what_the_chinese_readme_says() -> None:
    (python, text) = [content for _, content in BLOCK.findall(CHINESE)][1:3]
    done = subprocess.run(
        [sys.executable, "-c", python], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SPEED, f"1{SPEED}"),
        ("tune", "tuned"),
        ("## 边缘", "### 边缘"),
        ("99.64、99.58", "99.64、99.59"),
        ("docs/log.md", "docs/logs.md"),
    ],
)
def test_a_difference_is_seen(before: str, after: str) -> None:
    spoiled = CHINESE.replace(before, after)
    assert spoiled != CHINESE
    assert any(
        look(spoiled) != look(CHINESE)
        for look in (
            headings,
            code,
            tables,
            lambda text: [sorted(NUMBER.findall(s)) for s in sections(text)],
            lambda text: re.findall(r"\]\(([^)]+)\)", text),
        )
    )
