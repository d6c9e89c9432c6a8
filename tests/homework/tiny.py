"""A course with one small assignment, hw9, for tests of the machinery around grading."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
from homework.course import HOMEWORK, NBGRADER
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

IMPORTS = """import contextlib
import io
import sys

import numpy as np

sys.modules["vi_helpers"] = None"""
CHECK = """score = Score()


@score.check("one half", 1)
def _():
    assert close(square(0.5), 0.25)


### BEGIN HIDDEN TESTS
@score.check("another number", 3)
def _():
    assert close(square(-1.5), 2.25)


### END HIDDEN TESTS
score.total()"""
ANSWER = '''def square(x):
    """The square of x."""
    ### BEGIN SOLUTION
    return x * x
    ### END SOLUTION'''
PICTURE = "iVBORw0KGgo="  # enough of one for those who do not look
RIGHT = "def square(x):\n    return x * x"


def tagged(make, source, name, points=None, solution=False):
    cell = make(source)
    graded = {"points": points} if points else {}
    cell.metadata["nbgrader"] = {
        "schema_version": 3, "grade_id": name, "grade": bool(points), "solution": solution,
        "locked": not solution, "task": False, "cell_type": cell.cell_type, **graded,
    }  # fmt: skip
    return cell


def make_course(folder):
    """A course folder with this repository's grading code, and hw9 released.

    Its set-up is that of hw1 without the large libraries, so that a kernel is ready in a second.
    """
    for path in HOMEWORK.glob("*.py"):
        shutil.copy(path, folder)
    hw1 = json.loads((HOMEWORK / "source/hw1/hw1.ipynb").read_text(encoding="utf-8"))["cells"]
    tools = ["".join(cell["source"]) for cell in hw1 if "hw1-00b" in json.dumps(cell["metadata"])]
    assert len(tools) == 1
    figure = tagged(new_code_cell, "size_of_figure = 1", "hw9-00c-show")
    figure.outputs = [new_output("display_data", {"image/png": PICTURE})]
    cells = [
        tagged(new_code_cell, "\n\n".join([IMPORTS, *tools]), "hw9-00-setup"),
        figure,
        tagged(new_code_cell, ANSWER, "hw9-01a-answer", solution=True),
        tagged(new_code_cell, CHECK, "hw9-01b-check", points=4),
        tagged(new_markdown_cell, "*Your answer.*", "hw9-02-why", points=2, solution=True),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source = folder / "source" / "hw9" / "hw9.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), source)
    done = nbgrader(folder, "generate_assignment", "hw9")
    assert done.returncode == 0, done.stderr
    return folder


def environment(course):
    """The variables for a process that runs in this course and no other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "JUPYTER_CONFIG_DIR": str(course / ".jupyter")}


def nbgrader(course, *arguments, program=NBGRADER):
    return subprocess.run(
        [sys.executable, *program, *arguments], cwd=course, env=environment(course),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def released(course):
    return nbformat.read(course / "release/hw9/hw9.ipynb", as_version=4)


def cell_of(notebook, name):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def hand_in(course, student, notebook=None, code=RIGHT, text=None):
    """Hand in a notebook as it is, or the released one with this code and this written answer."""
    if notebook is None:
        notebook = released(course)
        cell_of(notebook, "hw9-01a-answer").source = code
        if text is not None:
            cell_of(notebook, "hw9-02-why").source = text
    path = course / "submitted" / student / "hw9" / "hw9.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def gradebook(course):
    """{student: {cell: (points, waits for a person)}} and the number of submissions."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {
            s.student.id: {
                g.name: (g.auto_score, g.needs_manual_grade) for n in s.notebooks for g in n.grades
            }
            for s in book.assignment_submissions("hw9")
        }


def outputs(course, student, name):
    """The outputs of one cell of the autograded notebook."""
    path = course / "autograded" / student / "hw9" / "hw9.ipynb"
    return cell_of(nbformat.read(path, as_version=4), name).outputs
