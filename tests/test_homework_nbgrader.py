"""A class hands in; nbgrader releases, grades and returns the homework from source/ alone."""

import copy
import csv
import html
import importlib.util
import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
from homework.bad_submissions import CLASS
from homework.cheats import CHEATS, LAST, submissions

HOMEWORK = Path(__file__).parents[1] / "notebooks" / "homework"
NAMES = sorted(path.name for path in (HOMEWORK / "source").glob("hw*"))
NOT_NOTEBOOKS = {
    "broken_file": "this is not JSON", "empty_file": "", "other_json": '{"cells": 3}',
    "odd_cells": '{"cells": [{"cell_type": 5}, 7]}', "odd_source": '{"cells": [{"source": [1]}]}',
    "odd_tags": '{"cells": [{"cell_type": "code", "source": "", "metadata": {"nbgrader": 1}}]}',
    "deep": "[" * 100_000,
}  # fmt: skip
TIMEOUT = 15  # a loaded machine is slow at printing too


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
    return run(course, "-m", "nbgrader", *arguments)


def grade(course, name):
    """Grade the large class on two workers where dask is installed; the other one by one."""
    if name == "hw1" and importlib.util.find_spec("distributed"):
        return run(course, "grade.py", name, "--workers", "2", "--timeout", str(TIMEOUT))
    limit = [f"--CarefulExecute.timeout={TIMEOUT}"] if name == "hw1" else []
    return nbgrader(course, "autograde", name, *limit)


def read(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def tags(cell):
    found = cell["metadata"].get("nbgrader", {})
    return found if isinstance(found, dict) else {}  # a hostile file may hold anything


def hand_in(course, student, name, content):
    path = course / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def filled(course, name):
    """The released notebook with the reference answers in it, as a perfect student hands it in."""
    answers = {
        tags(c).get("grade_id"): c
        for c in read(course / "source" / name / f"{name}.ipynb")["cells"]
    }
    notebook = read(course / "release" / name / f"{name}.ipynb")
    for cell in notebook["cells"]:
        if tags(cell).get("solution"):
            cell["source"] = answers[tags(cell)["grade_id"]]["source"]
    return notebook


class Greeter(socketserver.BaseRequestHandler):
    """Says who it is. Each kernel listens on a port of its own box (ipykernel's IOPubThread, on
    a port that the system picks), so that somebody answers does not yet mean: no box."""

    def handle(self):
        self.request.sendall(b"outside the box")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The class of hw1, and a reference and a blank of every homework, autograded and returned."""
    course = tmp_path_factory.mktemp("course")
    for path in HOMEWORK.glob("*.py"):
        shutil.copy(path, course)
    shutil.copytree(HOMEWORK / "source", course / "source")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"COURSE, PORT = {str(course)!r}, {server.server_address[1]}\n"
        for name in NAMES:
            done = nbgrader(course, "generate_assignment", name)
            assert done.returncode == 0, done.stderr
            source = filled(course, name)
            for student, (edit, _, _) in CLASS.items() if name == "hw1" else ():
                notebook = copy.deepcopy(source)
                edit(notebook["cells"])
                for cell in notebook["cells"]:
                    cell["source"] = cell["source"].replace(
                        "import os, pathlib", where + "import os, pathlib"
                    )
                hand_in(course, student, name, notebook)
            if name == "hw1":
                for student, text in NOT_NOTEBOOKS.items():
                    hand_in(course, student, name, text)
                released = read(course / "release" / name / f"{name}.ipynb")
                for student, notebook in submissions(released).items():
                    hand_in(course, student, name, notebook)
                hand_in(course, "other_name", name, source)
                folder = course / "submitted" / "other_name" / name
                (folder / f"{name}.ipynb").rename(folder / "my homework.ipynb")
            else:
                hand_in(course, "reference", name, source)
            hand_in(course, "blank", name, read(course / "release" / name / f"{name}.ipynb"))
            log = grade(course, name)
            (course / f"{name}.log").write_text(log.stderr, encoding="utf-8")
            nbgrader(course, "generate_feedback", name)
        server.shutdown()
    return course


@pytest.fixture(scope="module")
def scores(course):
    """{(homework, student): {check: points}} as nbgrader stored them, written answers left out."""
    from nbgrader.api import Gradebook

    found = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for name in NAMES:
            for submission in gradebook.assignment_submissions(name):
                grades = [
                    g for n in submission.notebooks for g in n.grades if g.cell.cell_type == "code"
                ]
                found[name, submission.student.id] = {g.name: g.auto_score for g in grades}
    return found


def full(name):
    cells = read(HOMEWORK / "source" / name / f"{name}.ipynb")["cells"]
    graded = [tags(c) for c in cells if c["cell_type"] == "code" and tags(c).get("grade")]
    return {tag["grade_id"]: tag["points"] for tag in graded}


def secrets(name):
    """Lines of the source that no student may see: hidden tests, solutions, written answers."""
    lines, hidden = set(), False
    for cell in read(HOMEWORK / "source" / name / f"{name}.ipynb")["cells"]:
        written = tags(cell).get("solution") and cell["cell_type"] == "markdown"
        for line in map(str.strip, cell["source"].splitlines()):
            if "### BEGIN" in line or "### END" in line:
                hidden = "BEGIN" in line
            elif (hidden or written) and len(line) > 11:
                lines.add(line)
    shown = (HOMEWORK / "source" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(lines) > 80 and shown
    return lines


def visible_lines(course, name):
    cells = read(course / "release" / name / f"{name}.ipynb")["cells"]
    return {line.strip() for cell in cells for line in cell["source"].splitlines()}


@pytest.mark.parametrize("name", NAMES)
def test_the_release_has_no_solution_no_hidden_test_and_no_output(course, name):
    released = read(course / "release" / name / f"{name}.ipynb")
    text = "\n".join(cell["source"] for cell in released["cells"])
    lines = set(map(str.strip, text.splitlines()))
    common = {"score = Score()", "def _():"}
    assert not (secrets(name) & lines) - common - visible_twice(name)
    assert not re.search("SOLUTION|HIDDEN TESTS|Marking:|MARK SCHEME", text)
    assert not any(cell.get("outputs") for cell in released["cells"])


def visible_twice(name):
    """Lines that stand in a hidden part and, as it happens, on the open page as well."""
    seen, hidden = set(), False
    for cell in read(HOMEWORK / "source" / name / f"{name}.ipynb")["cells"]:
        written = tags(cell).get("solution") and cell["cell_type"] == "markdown"
        for line in map(str.strip, cell["source"].splitlines()):
            if "### BEGIN" in line or "### END" in line:
                hidden = "BEGIN" in line
            elif not hidden and not written:
                seen.add(line)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_scores_full_and_the_untouched_release_nothing(scores, name):
    assert scores[name, "reference"] == full(name)
    assert scores[name, "blank"] == dict.fromkeys(full(name), 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_points_in_the_table_on_the_page_are_those_of_the_cells(name):
    cells = read(HOMEWORK / "source" / name / f"{name}.ipynb")["cells"]
    total = sum(tags(cell).get("points", 0) for cell in cells)
    rows = re.findall(r"^\| \d .*\| ([\d +]+) \|$", cells[0]["source"], re.M)
    assert sum(eval(row) for row in rows) == total
    assert f"**Points:** {total:g}" in cells[0]["source"]
    assert 6 <= len(rows) <= 8


@pytest.mark.parametrize("student", sorted(set(CLASS) - {"reference"}))
def test_a_bad_submission_costs_its_own_points_and_nothing_else(scores, course, student):
    _, lost, _ = CLASS[student]
    most = full("hw1")
    got = scores["hw1", student]
    assert {check for check in most if got[check] < most[check]} == set(lost), got


def test_no_cheat_earns_a_point(scores):
    assert len(CHEATS) > 35 and set(LAST) <= set(CHEATS)
    cheating = {student: got for (_, student), got in scores.items() if "cheat" in student}
    assert len(cheating) >= len(CHEATS) / len(full("hw1"))
    for student, got in cheating.items():
        assert got == dict.fromkeys(full("hw1"), 0.0), student


def test_grading_goes_on_after_submissions_that_are_no_notebooks(scores, course):
    for student in set(NOT_NOTEBOOKS) - {"odd_tags"}:
        assert not (course / "autograded" / student).joinpath("hw1", "hw1.ipynb").exists()
    # nbformat takes it for one of an old format, and empty: graded as a blank one
    assert scores["hw1", "odd_tags"] == dict.fromkeys(full("hw1"), 0.0)
    assert {student for name, student in scores if name == "hw1"} >= set(CLASS)


def test_the_instructor_is_told_which_submissions_need_a_look(course):
    listing = run(course, "triage.py", "hw1")
    assert listing.returncode == 0, listing.stderr
    blocks = dict(re.findall(r"^(\w+)  \(.*\)\n((?:    .*\n)+)", listing.stdout, re.M))
    for student, (_, _, words) in CLASS.items():
        assert words in blocks.get(student, ""), (student, listing.stdout)
    for student in NOT_NOTEBOOKS:
        assert "is not a notebook" in blocks[student]
    assert "no hw1.ipynb in the folder" in blocks["other_name"]
    assert "blank" not in blocks


@pytest.fixture
def before_grading(course, tmp_path):
    """The course as it stands once hw1 is graded and hw2 is only released."""
    for path in [*HOMEWORK.glob("*.py"), course / "gradebook.db"]:
        shutil.copy(path, tmp_path)
    shutil.copytree(course / "release", tmp_path / "release")
    (tmp_path / "autograded" / "reference" / "hw1").mkdir(parents=True)
    return tmp_path


def test_an_assignment_not_yet_autograded_is_not_held_against_anybody(before_grading):
    hand_in(before_grading, "anna", "hw2", read(before_grading / "release/hw2/hw2.ipynb"))
    listing = run(before_grading, "triage.py", "hw2")
    assert listing.returncode == 0, listing.stderr
    assert listing.stdout.splitlines() == [
        "1 handed in, 1 of them without anything odd.",
        "Not autograded yet.",
    ]


def test_an_unknown_assignment_is_refused_in_one_line(before_grading):
    listing = run(before_grading, "triage.py", "hw9")
    assert listing.returncode == 2 and not listing.stdout
    assert listing.stderr == "no release/hw9/hw9.ipynb; released: hw1, hw2, hw3, hw4\n"


def test_files_are_collected_by_name_and_the_others_listed(before_grading):
    archive = before_grading / "downloaded" / "hw2" / "archive"
    archive.mkdir(parents=True)
    released = before_grading / "release" / "hw2" / "hw2.ipynb"
    for name in "eva", "anna_lee", "bob_lee", "Bruce-Lee.2":
        shutil.copy(released, archive / f"{name}_hw2.ipynb")
    for name in "wrongname.ipynb", "dan_hw2 (1).ipynb", "._eva_hw2.ipynb", "paul_hw2.pdf":
        shutil.copy(released, archive / name)
    with zipfile.ZipFile(archive / "more.zip", "w") as file:
        file.write(released, "late/zoe_hw2.ipynb")
        file.write(released, "late/mine.ipynb")
    done = nbgrader(before_grading, "zip_collect", "hw2")
    assert done.returncode == 0, done.stderr
    shutil.copy(released, archive / "late_hw2.ipynb")
    students = {path.parts[-3] for path in before_grading.glob("submitted/*/hw2/hw2.ipynb")}
    assert students == {"eva", "anna_lee", "bob_lee", "Bruce-Lee.2", "zoe"}
    listing = run(before_grading, "triage.py", "hw2")
    assert listing.returncode == 0, listing.stderr
    listed = dict(re.findall(r"^(\S.*)  not collected(.*)$", listing.stdout, re.M))
    assert {Path(name).name for name in listed} == {
        "wrongname.ipynb", "dan_hw2 (1).ipynb", "._eva_hw2.ipynb", "paul_hw2.pdf", "mine.ipynb",
        "late_hw2.ipynb",
    }  # fmt: skip
    assert listed["late_hw2.ipynb"] == " yet" and "name" in listed["wrongname.ipynb"]


@pytest.mark.parametrize("name", NAMES)
def test_feedback_shows_no_hidden_test_to_anybody(course, name):
    pages = list((course / "feedback").glob(f"*/{name}/{name}.html"))
    assert len(pages) >= (len(CLASS) if name == "hw1" else 2)
    for page in pages:
        student = page.parts[-3]
        text = re.sub(r"(?s)<style.*?</style>", "", page.read_text(encoding="utf-8"))
        text = html.unescape(re.sub(r"<[^>]+>", "", text))
        lines = set(map(str.strip, text.splitlines()))
        own = {
            line.strip()
            for cell in read(course / "submitted" / student / name / f"{name}.ipynb")["cells"]
            if not (tags(cell).get("grade") and tags(cell).get("locked"))
            for line in cell["source"].splitlines()
        }
        secret = secrets(name) - visible_twice(name) - own
        assert not secret & lines, (student, secret & lines)
        assert not any(line in text for line in secret if len(line) > 30), student
        assert "(hidden)" in text and "Traceback" not in text


def test_grades_are_exported_as_csv(course):
    assert nbgrader(course, "export", "--to", str(course / "grades.csv")).returncode == 0
    with open(course / "grades.csv", encoding="utf-8") as file:
        rows = {(row["assignment"], row["student_id"]): row for row in csv.DictReader(file)}
    for name in NAMES:
        assert float(rows[name, "reference"]["raw_score"]) == sum(full(name).values())


def test_where_bwrap_does_not_work_the_instructor_is_warned(course, tmp_path):
    script = (
        "import careful_grading as g, logging; logging.basicConfig()\n"
        "g.can_isolate = lambda: False\n"
        "try: g.CarefulExecute().preprocess(None, None)\n"
        "except Exception as error: print(type(error))\n"
    )
    done = run(course, "-c", script)
    assert "NOT ISOLATED" in done.stderr, done.stderr


def test_a_kernel_is_boxed_in_where_bwrap_works(course):
    script = "import grading_box as g, sys; sys.exit(0 if g.can_isolate() else 3)"
    if run(course, "-c", script).returncode:
        pytest.skip("bwrap does not work here")
    assert not list(course.rglob("written-by-a-submission"))
    cells = read(course / "autograded" / "writes" / "hw1" / "hw1.ipynb")["cells"]
    tried = [cell for cell in cells if "import os, pathlib, socket" in cell["source"]]
    assert len(tried) == 1 and tried[0]["outputs"] == [], tried
