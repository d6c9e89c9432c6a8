"""README.md keeps its promises: its picture, its table and its commands are the real ones."""

import base64
import re
from pathlib import Path

import nbformat
from tools.reading_time import measure, readme_cells

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_picture_is_an_output_of_the_course():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    pages = [nbformat.read(p, as_version=4) for p in (ROOT / "notebooks").glob("[01]*.ipynb")]
    outputs = [o for n in pages for c in n.cells if c.cell_type == "code" for o in c.outputs]
    pngs = {o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})}
    shown = {base64.b64decode(png) for png in pngs}
    assert len(pictures) >= 2
    for picture in pictures:
        assert (ROOT / picture).read_bytes() in shown, f"{picture} is no output of a notebook"


def test_every_notebook_stands_in_the_table_with_its_times():
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        row = re.search(rf"^\| \[.*\]\(notebooks/{path.name}\) \|.*$", README, re.MULTILINE)
        assert row, f"{path.name} is missing"
        cells = readme_cells(measure(nbformat.read(path, as_version=4)))
        assert f"| {cells} |" in row[0], "python tests/tools/reading_time.py --write"
        assert re.search(r"\| [\d.]+ \|$", row[0]), f"{path.name} has no measured minutes"


def test_every_file_the_page_points_to_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_commands_that_ci_runs_are_there():
    for name in ("open", "open-windows", "test", "test-windows"):
        fence = "powershell" if name.endswith("windows") else "sh"
        pattern = rf"^<!-- command: {name} -->\n```{fence}\n(.+)\n```$"
        command = re.search(pattern, README, re.MULTILINE)
        assert command, name
        assert "-m venv .venv" in command[1] and "-r requirements.txt" in command[1]
    assert "<!-- command: test-homework -->\n```sh\n.venv" in README
