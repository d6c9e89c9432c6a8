"""What every notebook must be, beside what nbval checks when it runs it."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from store_notebooks import CELL_METADATA, WIDGET, strip

ROOT = Path(__file__).parents[1]
COURSE = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
HOMEWORK = sorted((ROOT / "notebooks" / "homework" / "source").glob("*/*.ipynb"))
TAGS = {"nbval-ignore-output", "nbval-check-output", "nbval-skip", "raises-exception", "solution"}


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


def text(notebook):
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def problems_of_storage(notebook):
    """Everything that makes a notebook other than one clean, kept run."""
    found = []
    cells = code_cells(notebook)
    counts = [c.execution_count for c in cells]
    if counts != list(range(1, len(cells) + 1)):
        found.append(f"not one run from top to bottom: execution counts {counts}")
    for number, cell in enumerate(cells, 1):
        tags = cell.metadata.get("tags", [])
        if not cell.source.strip():
            found.append(f"code cell {number} is empty")
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags:
                found.append(f"code cell {number} stores an error")
            if output.get("name") == "stderr":
                found.append(f"code cell {number} stores stderr output")
            if WIDGET in output.get("data", {}):
                found.append(f"code cell {number} stores a widget that is dead without its kernel")
    for number, cell in enumerate(notebook.cells, 1):
        stray = set(cell.metadata) - CELL_METADATA
        unknown = set(cell.metadata.get("tags", [])) - TAGS
        if stray or unknown:
            found.append(f"cell {number} has stray metadata {sorted(stray | unknown)}")
    stray = set(notebook.metadata) - {"kernelspec", "language_info"}
    if stray:
        found.append(f"the notebook has stray metadata {sorted(stray)}")
    return found


@by_name(COURSE + HOMEWORK)
def test_notebook_is_valid_and_stored_as_one_clean_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert problems_of_storage(notebook) == []


@by_name(COURSE)
def test_notebook_tells_the_reader_what_to_expect_and_what_was_learned(path):
    notebook = nbformat.read(path, as_version=4)
    head = "\n\n".join(c.source for c in notebook.cells[:3] if c.cell_type == "markdown")
    for word in ("Objectives", "Prerequisites", "Time"):
        assert re.search(rf"\*\*{word}|## {word}", head), f"no {word} in the first text cells"
    assert re.search(r"^#+ .*Summary", text(notebook), re.MULTILINE), "no summary heading"
    assert notebook.cells[0].source.startswith("# "), "the first cell holds no title"


@by_name(COURSE)
def test_notebook_checks_itself_with_assertions(path):
    notebook = nbformat.read(path, as_version=4)
    pattern = re.compile(r"^\s*assert |assert_allclose|assert_rejects", re.MULTILINE)
    assert any(pattern.search(cell.source) for cell in code_cells(notebook))


@by_name(COURSE)
def test_code_cells_are_short_enough_to_read(path):
    cells = code_cells(nbformat.read(path, as_version=4))
    lines = {c.id: len([x for x in c.source.splitlines() if x.strip()]) for c in cells}
    assert max(lines.values()) <= 40, "a code cell has more than 40 lines"
    open_ones = sorted(lines[c.id] for c in cells if not is_solution(c))
    assert open_ones[len(open_ones) // 2] <= 10, "the median code cell has more than 10 lines"


@by_name(COURSE)
def test_solutions_are_collapsed_and_their_visible_line_tells_nothing(path):
    """JupyterLab shows the first line of a collapsed cell."""
    for cell in filter(is_solution, code_cells(nbformat.read(path, as_version=4))):
        assert cell.metadata.get("jupyter") == {"source_hidden": True}
        assert cell.source.startswith("# Solution"), cell.source.splitlines()[0]


@by_name(COURSE)
def test_every_stub_has_a_solution_that_is_accepted(path):
    cells = code_cells(nbformat.read(path, as_version=4))
    printed = "".join(o.get("text", "") for c in cells for o in c.outputs)
    stubs = set(re.findall(r"Exercise ([\w.]+): not answered yet", printed))
    solved = set(re.findall(r"Exercise ([\w.]+) \(solution\): correct", printed))
    assert stubs == solved, f"stubs {sorted(stubs)}, accepted solutions {sorted(solved)}"


def test_notebook_11_is_stored_as_it_runs_on_mnist():
    notebook = nbformat.read(ROOT / "notebooks" / "11_vae_mnist.ipynb", as_version=4)
    printed = "".join(o.get("text", "") for c in code_cells(notebook) for o in c.outputs)
    assert "28 × 28" in printed and "MNIST could not be had" not in printed


@by_name(COURSE)
def test_links_between_notebooks_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+\.ipynb)", text(nbformat.read(path, as_version=4))):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@by_name(COURSE)
def test_notebook_names_no_path_and_assumes_no_working_folder(path):
    source = "\n".join(c.source for c in code_cells(nbformat.read(path, as_version=4)))
    for pattern in (r"os\.chdir", r"sys\.path", r"\.\./", r"/home/", r"[A-Z]:\\"):
        assert not re.search(pattern, source), f"{path.name} depends on where it runs: {pattern}"


def test_setup_cells_run_from_any_working_folder(tmp_path):
    """The setup cell is where an import or a path would fail; nbval runs the rest in notebooks/."""
    for path in COURSE:
        source = code_cells(nbformat.read(path, as_version=4))[0].source
        source = "\n".join(x for x in source.splitlines() if not x.startswith("%"))
        run = subprocess.run(
            [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True
        )
        assert run.returncode == 0, f"{path.name}: {run.stderr}"


# The rules above must themselves be able to fail.


@pytest.fixture
def clean():
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    return nbformat.v4.new_notebook(cells=[cell])


def test_storing_strips_what_is_stray(clean):
    clean.metadata["widgets"] = {"state": {}}
    clean.cells[0].metadata.update(scrolled=True, tags=["solution"])
    assert problems_of_storage(clean) != []
    assert problems_of_storage(strip(clean)) == []
    assert clean.cells[0].metadata.tags == ["solution"]


def test_a_clean_notebook_has_no_storage_problem(clean):
    assert problems_of_storage(clean) == []


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda cell: cell.update(execution_count=None), "not one run"),
        (lambda cell: cell.update(execution_count=7), "not one run"),
        (lambda cell: cell.metadata.update(scrolled=True), "stray metadata"),
        (lambda cell: cell.metadata.update(tags=["nbval-ignore-ouput"]), "stray metadata"),
        (
            lambda cell: cell.outputs.append(nbformat.v4.new_output("error", ename="E")),
            "stores an error",
        ),
        (
            lambda cell: cell.outputs.append(
                nbformat.v4.new_output("stream", name="stderr", text="x")
            ),
            "stderr",
        ),
    ],
)
def test_a_spoiled_notebook_is_noticed(clean, spoil, complaint):
    spoil(clean.cells[0])
    assert any(complaint in problem for problem in problems_of_storage(clean))
