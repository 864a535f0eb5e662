"""The tour: every chapter runs, as script and as notebook, and shows what the texts say."""

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

import making
import tour
from making import CHAPTERS, claims, notebook, statements

HERE = Path(making.__file__).parent
SEEDS = HERE.parents[1] / "shared" / "seeds"
DATA = HERE.parents[1] / "shared" / "data"
LARGEST = 300_000  # bytes of a notebook with its pictures
NAMES = [chapter.stem for chapter in CHAPTERS]
CHAPTER = pytest.mark.parametrize("chapter", CHAPTERS, ids=NAMES)
TEXTS = "ABCDE"


@pytest.fixture(scope="module")
def kernel() -> Iterator[making.Kernel]:
    """Return one kernel for all notebooks."""
    with making.kernel() as running:
        yield running


def test_there_are_twelve_chapters() -> None:
    assert [int(name[:2]) for name in NAMES] == list(range(1, 13))
    assert sorted(path.stem for path in HERE.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("chapter", CHAPTERS[::4], ids=NAMES[::4])  # all run as notebooks
def test_a_chapter_runs_as_a_script(
    chapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tour, "FOLDER", tmp_path)
    if (DATA / "mnist").is_dir():  # the notebooks do without it
        monkeypatch.setenv("FALTUNG_DATA", str(DATA))
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    runpy.run_path(str(chapter), run_name="__main__")
    said = re.findall(r"(?m)^picture: (.*)$", capsys.readouterr().out)
    saved = sorted(tmp_path.rglob("*"))
    assert said
    assert {Path(name) for name in said} == {path for path in saved if path.is_file()}
    assert {path.parent.name for path in map(Path, said)} == {chapter.stem}
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in said)


@CHAPTER
def test_a_notebook_has_the_cells_of_its_script_and_prints_what_it_shows(
    chapter: Path, kernel: making.Kernel
) -> None:
    stored = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(stored)
    made = notebook(chapter)
    assert [(c.id, c.cell_type, c.source, c.metadata) for c in stored.cells] == [
        (c.id, c.cell_type, c.source, c.metadata) for c in made.cells
    ]
    outputs = [output for cell in stored.cells for output in cell.get("outputs", [])]
    assert all(output.output_type == "stream" or "image/png" in output.data for output in outputs)
    executed = making.execute(made, kernel)
    assert making.printed(executed) == making.printed(stored)
    assert making.pictures(executed) == making.pictures(stored)
    assert chapter.with_suffix(".ipynb").stat().st_size < LARGEST


def test_a_failing_cell_and_a_warning_fail(tmp_path: Path, kernel: making.Kernel) -> None:
    for source in ("assert 1 == 2", "import warnings\nwarnings.warn('no')"):
        script = tmp_path / "13_wrong.py"
        head = CHAPTERS[0].read_text(encoding="utf-8").split("# %%")[0]
        script.write_text(f"{head}# %%\n{source}\n", encoding="utf-8")
        with pytest.raises(CellExecutionError):
            making.execute(notebook(script), kernel)


def test_a_cell_leaves_nothing_to_the_next_notebook(tmp_path: Path, kernel: making.Kernel) -> None:
    head = CHAPTERS[0].read_text(encoding="utf-8").split("# %%")[0]
    for name, source in (("13_one.py", "left = 1"), ("14_two.py", "assert 'left' not in dir()")):
        (tmp_path / name).write_text(f"{head}# %%\n{source}\n", encoding="utf-8")
        making.execute(notebook(tmp_path / name), kernel)


@CHAPTER
def test_every_quoted_statement_is_followed_by_a_cell_that_checks_it(chapter: Path) -> None:
    quoted: set[str] = set()
    checked: set[str] = set()
    for cell in notebook(chapter).cells:
        if cell.cell_type == "markdown":
            quoted.update(re.findall(r"(?m)^> \*\*(\d+\.\d+)\*\*", cell.source))
            continue
        numbers = set(re.findall(r"\d+\.\d+", cell.metadata.get("title", "")))
        assert not numbers or re.search(r"(?m)^\s*assert |^show\(", cell.source), numbers
        checked |= numbers
    assert quoted == set(claims(chapter))
    assert quoted <= checked
    assert {number.split(".")[0] for number in checked} == {str(int(chapter.stem[:2]))}


def test_the_readme_lists_every_statement() -> None:
    text = making.README.read_text(encoding="utf-8")
    assert making.with_listing(text) == text
    known = {number for chapter in CHAPTERS for number in claims(chapter)}
    shown = [row["shown"].split() for row in statements()]
    assert {number for numbers in shown for number in numbers} == known
    assert sum(bool(numbers) for numbers in shown) > 350
    for row in statements():
        fragment = row["statement"].rstrip("…")
        assert making.safe(fragment).strip("`") in text, row


def test_the_list_of_mistakes_names_cells_that_exist() -> None:
    text = making.README.read_text(encoding="utf-8").split(making.START)[0]
    named = re.findall(r"(?m)^\| (\d+\.\d+(?:, \d+\.\d+)*) \|", text)
    known = {number for chapter in CHAPTERS for number in claims(chapter)}
    numbers = {number for cell in named for number in cell.split(", ")}
    assert len(numbers) >= 20
    assert numbers <= known


def test_every_line_of_the_texts_is_listed() -> None:
    if not SEEDS.is_dir():
        pytest.skip("the five texts do not lie in ../shared/seeds beside this checkout")
    for name, path in zip(TEXTS, sorted(SEEDS.glob("*.txt")), strict=True):
        lines = dict(enumerate(path.read_text(encoding="utf-8").split("\n"), 1))
        listed = set()
        for row in statements():
            if row["text"] == name:
                first, _, last = row["lines"].partition("-")
                listed |= set(range(int(first), int(last or first) + 1))
                assert row["statement"].rstrip("…") in lines[int(first)], row
        assert {n for n, line in lines.items() if says_something(line)} <= listed


def says_something(line: str) -> bool:
    """Tell whether a line is neither empty nor a heading, a picture, a fence or a comment."""
    text = line.strip()
    bare = {"$$", "\\begin{align}", "\\end{align}"}
    if text.startswith("## 從"):  # a statement in the place of a heading
        return True
    return bool(text) and text not in bare and not text.startswith(("#", "![", "```"))


def test_chapters_run_from_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "run.py"), "9", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "=== 09_one_by_one" in done.stdout
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["mixed.png"]


def test_without_numbers_all_chapters_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(HERE / "run.py"))["main"]
    chapters = [tmp_path / "01_one.py", tmp_path / "02_two.py"]
    for chapter in chapters:
        chapter.write_text(f"print('in', {chapter.stem!r}, __name__)", encoding="utf-8")
    monkeypatch.setitem(main.__globals__, "CHAPTERS", chapters)
    monkeypatch.setattr(tour, "FOLDER", tmp_path)
    for arguments, expected in (([], ["01_one", "02_two"]), (["2", "1"], ["02_two", "01_one"])):
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        main()
        assert re.findall(r"in (\w+) __main__", capsys.readouterr().out) == expected


def test_a_chapter_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "3", "13"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(HERE / "run.py"), run_name="__main__")
    assert "there is no chapter 13: they are 1 to 12" in capsys.readouterr().err


def test_without_mnist_the_tour_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FALTUNG_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tour.mnist.__wrapped__() is None
    assert capsys.readouterr().out.startswith("This cell is skipped: MNIST's four files are not in")


def test_a_notebook_is_the_same_every_time(tmp_path: Path) -> None:
    copy = shutil.copy(CHAPTERS[0], tmp_path)
    assert nbformat.writes(notebook(Path(copy))) == nbformat.writes(notebook(CHAPTERS[0]))
