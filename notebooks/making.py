"""Make what follows from the chapters: executed notebooks, and the list of statements in README.md.

The scripts `01_*.py` to `12_*.py` (percent format) and `statements.csv` are the source. After a
change to them, run `python notebooks/making.py`, with MNIST in `$FALTUNG_DATA`.
"""

import argparse
import csv
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
CHAPTERS = sorted(HERE.glob("[0-9][0-9]_*.py"))
README = HERE / "README.md"
START, END = "<!-- made by making.py -->", "<!-- end -->"
VARIES = "varies"
"""Tag of a cell whose printed numbers depend on the machine: times, trainings, MNIST or none."""

_SECONDS = 300  # that a cell may take
_FRESH = "%reset -f\nimport warnings\nwarnings.simplefilter('error')"
_TEXTS = {
    "A": "二维卷积层",
    "B": "卷积层",
    "C": "Convolution Layer",
    "D": "从全连接层到卷积",
    "E": "图像卷积",
}


def notebook(chapter: Path) -> NotebookNode:
    """Return a chapter as a notebook without outputs; the same script gives the same notebook."""
    made: NotebookNode = jupytext.read(chapter)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number:02}"
    made.metadata = {"kernelspec": made.metadata["kernelspec"]}
    made.nbformat, made.nbformat_minor = 4, 5
    return made


@dataclass(frozen=True)
class Kernel:
    """A running kernel: what manages it, and what talks to it."""

    manager: KernelManager
    client: BlockingKernelClient


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Start one kernel for many notebooks, which saves starting it for each."""
    paths = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    with tempfile.TemporaryDirectory() as sockets:
        manager = KernelManager(
            kernel_name="python3", transport="ipc", ip=str(Path(sockets) / "kernel")
        )
        manager.start_kernel(cwd=str(HERE), env={**os.environ, "PYTHONPATH": paths})
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=_SECONDS)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def execute(made: NotebookNode, running: Kernel) -> NotebookNode:
    """Run a notebook in a kernel that forgets what ran before; warnings are errors.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    fresh = {"cell_type": "code", "id": "fresh", "metadata": {}, "source": _FRESH, "outputs": []}
    made.cells.insert(0, nbformat.from_dict(fresh | {"execution_count": None}))
    client = NotebookClient(made, km=running.manager, timeout=_SECONDS, record_timing=False)
    client.kc = running.client
    client.execute()
    del made.cells[0]
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.metadata.pop("execution", None)
    return made


def printed(made: NotebookNode) -> dict[str, str]:
    """Return what each cell printed, by its id, without those that vary."""
    return {
        cell.id: "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in made.cells
        if cell.cell_type == "code" and VARIES not in cell.metadata.get("tags", [])
    }


def pictures(made: NotebookNode) -> dict[str, list[str]]:
    """Return the words for the pictures of each cell, by its id."""
    return {
        cell.id: [o.data["text/plain"] for o in cell.outputs if "image/png" in o.get("data", {})]
        for cell in made.cells
        if cell.cell_type == "code"
    }


def claims(chapter: Path) -> dict[str, str]:
    """Return the statements that a chapter quotes, by their numbers."""
    quoted = {}
    for cell in notebook(chapter).cells:
        if cell.cell_type == "markdown":
            quotes = re.findall(r"(?m)(?:^>.*\n?)+", cell.source)
            text = "\n".join(re.sub(r"(?m)^> ?", "", quote) for quote in quotes)
            for part in re.split(r"(?=\*\*\d+\.\d+\*\*)", text):
                found = re.match(r"\*\*(\d+\.\d+)\*\*\s+(.*)", part, re.DOTALL)
                if found:
                    quoted[found[1]] = " ".join(found[2].split())
    return quoted


def statements() -> list[dict[str, str]]:
    """Return the rows of `statements.csv`: text, lines, shown, statement."""
    with (HERE / "statements.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def listing() -> str:
    """Return the made part of README.md: what the cells show, and which one shows a statement."""
    lines = []
    where: dict[str, str] = {}
    for chapter in CHAPTERS:
        title = next(c.source for c in notebook(chapter).cells).splitlines()[0].removeprefix("# ")
        lines += [f"### [{title}]({chapter.stem}.ipynb) ([script]({chapter.name}))", ""]
        lines += [f"- **{number}** {text}" for number, text in claims(chapter).items()]
        lines.append("")
        where |= dict.fromkeys(claims(chapter), f"{chapter.stem}.ipynb")
    lines += ["## Every sentence of the texts, and the cell that shows it", ""]
    lines += ["A sentence without a cell leads on to the next, and says nothing to check.", ""]
    for name, title in _TEXTS.items():
        lines += [f"### {name}. {title}", "", "| line | sentence | cell |", "|---|---|---|"]
        for row in statements():
            if row["text"] == name:
                links = ", ".join(f"[{n}]({where[n]})" for n in row["shown"].split()) or "—"
                lines.append(f"| {row['lines']} | {safe(row['statement'])} | {links} |")
        lines.append("")
    return "\n".join(lines)


def with_listing(text: str) -> str:
    """Return README.md's text with the made part renewed."""
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n\n{listing()}\n{END}{after}"


def main() -> None:
    """Make all notebooks, or those of the chapters whose numbers are given, and README.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="*", type=int, help="chapters; default all")
    numbers = parser.parse_args().number
    with kernel() as running:
        for chapter in CHAPTERS:
            if not numbers or int(chapter.stem[:2]) in numbers:
                made = execute(notebook(chapter), running)
                text = nbformat.writes(made, indent=1, ensure_ascii=False) + "\n"
                chapter.with_suffix(".ipynb").write_text(text, encoding="utf-8")
                print(f"made {chapter.stem}.ipynb")
    README.write_text(with_listing(README.read_text(encoding="utf-8")), encoding="utf-8")


def safe(text: str) -> str:
    """Return text as a cell of a Markdown table; formulas without $ become code."""
    if "\\" in text and "$" not in text:
        text = f"`{text}`"
    for old, new in (("$$", "$"), ("|", "\\|"), ("<def>", ""), ("</def>", "")):
        text = text.replace(old, new)
    return text


if __name__ == "__main__":
    main()
