"""The page's files: they stand on their own, and both languages say the same."""

import re
from pathlib import Path

from faltung.lab import app

STATIC = Path(app.__file__).parent / "static"


def test_the_page_stands_on_its_own_and_its_files_are_small() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 250, file
        outside = re.findall(r"(?:https?:)?//[a-z][\w.]+", text)
        assert set(outside) <= {"http://www.w3.org"}, file


def test_both_languages_say_the_same() -> None:
    texts = {name: (STATIC / f"{name}.js").read_text(encoding="utf-8") for name in ("en", "zh")}
    found = {
        name: dict(re.findall(r"(\w+): \"((?:[^\"\\]|\\.)*)\"", text))
        for name, text in texts.items()
    }
    assert list(found["en"]) == list(found["zh"])
    assert len(found["en"]) > 150
    for key, english in found["en"].items():
        names = [sorted(re.findall(r"\{(\w+)\}", found[name][key])) for name in ("en", "zh")]
        assert names[0] == names[1], key
        assert english


def test_every_word_that_the_page_asks_for_is_there() -> None:
    english = (STATIC / "en.js").read_text(encoding="utf-8")
    keys = set(re.findall(r"(\w+): \"", english))
    for file in STATIC.glob("*.js"):
        asked = set(re.findall(r"\bt\(\"(\w+)\"", file.read_text(encoding="utf-8")))
        assert asked <= keys, file
