"""A course folder with this repository's assignments, for tests that hand in, grade and return."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HOMEWORK = Path(__file__).parents[2] / "notebooks" / "homework"
# the command nbgrader without what notebooks/homework/fast_start.py says
NBGRADER = ("-c", "import fast_start, nbgrader.apps.nbgraderapp as app; app.main()")
NAMES = sorted(path.name for path in (HOMEWORK / "source").iterdir())


def make_course(folder, name):
    """A course folder with the grading code, in which this assignment is released."""
    for path in HOMEWORK.glob("*.py"):
        shutil.copy(path, folder)
    shutil.copytree(HOMEWORK / "source" / name, folder / "source" / name)
    done = nbgrader(folder, "generate_assignment", name)
    assert done.returncode == 0, done.stderr
    return folder


def run(course, *command):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "JUPYTER_CONFIG_DIR": str(course / ".jupyter"),
    }
    return subprocess.run(
        [sys.executable, *command], cwd=course, env=environment, capture_output=True,
        text=True, timeout=1700, check=False,
    )  # fmt: skip


def nbgrader(course, *arguments):
    return run(course, *NBGRADER, *arguments)


def read(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def source_of(name):
    return read(HOMEWORK / "source" / name / f"{name}.ipynb")


def released(course, name):
    return read(course / "release" / name / f"{name}.ipynb")


def tags(cell):
    found = cell["metadata"].get("nbgrader", {})
    return found if isinstance(found, dict) else {}  # a hostile file may hold anything


def hand_in(course, student, name, content):
    path = course / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def filled(course, name):
    """The released notebook with the reference answers in it, as a perfect student hands it in."""
    answers = {tags(c).get("grade_id"): c for c in source_of(name)["cells"]}
    notebook = released(course, name)
    for cell in notebook["cells"]:
        if tags(cell).get("solution"):
            cell["source"] = answers[tags(cell)["grade_id"]]["source"]
    return notebook


def full(name):
    """{check cell: its points}."""
    graded = [
        tags(c)
        for c in source_of(name)["cells"]
        if c["cell_type"] == "code" and tags(c).get("grade")
    ]
    return {tag["grade_id"]: tag["points"] for tag in graded}


def scores(course, name):
    """{student: {check: points}} as nbgrader stored them, written answers left out."""
    from nbgrader.api import Gradebook

    found = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for submission in gradebook.assignment_submissions(name):
            grades = [
                g for n in submission.notebooks for g in n.grades if g.cell.cell_type == "code"
            ]
            found[submission.student.id] = {g.name: g.auto_score for g in grades}
    return found


def sort_lines(name):
    """(lines that no student may see, lines that stand on the open page) of the source."""
    lines, seen, hidden = set(), set(), False
    for cell in source_of(name)["cells"]:
        written = tags(cell).get("solution") and cell["cell_type"] == "markdown"
        for line in map(str.strip, cell["source"].splitlines()):
            if "### BEGIN" in line or "### END" in line:
                hidden = "BEGIN" in line
            elif not hidden and not written:
                seen.add(line)
            elif len(line) > 11:
                lines.add(line)
    assert len(lines) > 80 and seen
    return lines, seen


def secrets(name):
    """Lines of the source that no student may see: hidden tests, solutions, written answers."""
    lines, seen = sort_lines(name)
    return lines - seen


def leaks(course, student, name):
    """Secret lines on the feedback page that the student did not write."""
    import html

    text = (course / "feedback" / student / name / f"{name}.html").read_text(encoding="utf-8")
    text = re.sub(r"(?s)<style.*?</style>", "", text)
    text = html.unescape(re.sub(r"<[^>]+>", "", text))
    lines = set(map(str.strip, text.splitlines()))
    own = {
        line.strip()
        for cell in read(course / "submitted" / student / name / f"{name}.ipynb")["cells"]
        if not (tags(cell).get("grade") and tags(cell).get("locked"))
        for line in cell["source"].splitlines()
    }
    secret = secrets(name) - own
    assert "(hidden)" in text and "Traceback" not in text
    return {line for line in secret if line in lines or (len(line) > 30 and line in text)}
