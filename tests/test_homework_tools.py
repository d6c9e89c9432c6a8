"""What the instructor runs beside nbgrader: solutions, practice copies, the report on a class."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from homework import tables

by_name = pytest.mark.parametrize("name", tables.NAMES)
STUDENTS = tables.COURSE / "STUDENTS.md"


@pytest.fixture
def course(tmp_path):
    """A course folder with the scripts and the sources."""
    for path in tables.COURSE.glob("*.py"):
        shutil.copy(path, tmp_path)
    shutil.copytree(tables.SOURCE, tmp_path / "source")
    return tmp_path


def run(course, *command):
    return subprocess.run(
        [sys.executable, *command], cwd=course, capture_output=True, text=True, timeout=600,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@pytest.fixture
def hand_out(tmp_path, monkeypatch):
    """The notebook that the command writes; run in this process, which saves its start."""
    module = pytest.importorskip("hand_out")
    monkeypatch.setattr(module, "HERE", tmp_path)
    (tmp_path / "source").symlink_to(tables.SOURCE, target_is_directory=True)

    def made(kind, name):
        assert module.main(kind, name) == 0
        return nbformat.read(tmp_path / kind / name / f"{name}.ipynb", as_version=4)

    return made


@by_name
def test_model_solutions_hold_the_answers_and_all_checks_and_no_marker(hand_out, name):
    done = hand_out("solutions", name)
    text = "\n".join(cell.source for cell in done.cells)
    assert not re.search("### (BEGIN|END)", text)
    for visible, hidden in tables.checks_of(name).values():
        assert all(f'"{title}"' in text for title in visible | hidden)
    for cell in tables.cells_of(name):
        if cell["metadata"]["nbgrader"]["solution"]:
            kept = [line for line in cell["source"].splitlines() if "### " not in line]
            assert "\n".join(kept) in text


def open_lines(name):
    """Lines that stand outside the answers, such as those of the code with faults."""
    cells = [c for c in tables.cells_of(name) if not c["metadata"]["nbgrader"]["solution"]]
    return {line.strip() for cell in cells for line in cell["source"].splitlines()}


@by_name
def test_the_practice_copy_has_every_check_and_no_answer(hand_out, name):
    done = hand_out("practice", name)
    text = "\n".join(cell.source for cell in done.cells)
    for visible, hidden in tables.checks_of(name).values():
        assert all(f'"{title}"' in text for title in visible | hidden)
    lines = set(map(str.strip, text.splitlines()))
    for cell in tables.cells_of(name):
        tag, source = cell["metadata"]["nbgrader"], cell["source"]
        if tag["solution"] and cell["cell_type"] == "code":
            secret = "\n".join(re.findall(r"(?s)### BEGIN SOLUTION\n(.*?)### END", source))
            secret = {line.strip() for line in secret.splitlines() if len(line) > 30}
            assert not secret & lines - open_lines(name)
        elif tag["solution"]:
            assert source not in text
    assert "Marking:" not in text and text.count("YOUR CODE HERE") >= len(tables.checks_of(name))


def test_hand_out_writes_a_file_or_says_in_one_line_what_it_does_not_know(course):
    done = run(course, "hand_out.py", "practice", "hw1")
    assert done.returncode == 0 and (course / "practice/hw1/hw1.ipynb").exists()
    done = run(course, "hand_out.py", "answers", "hw77")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "hw1" in done.stderr


def graded(code, passed):
    """An autograded notebook: one answer and its check cell, as the grading leaves them."""
    checks = [
        {"name": "seen", "points": 1, "passed": passed[0], "hidden": False, "message": ""},
        {"name": "large", "points": 2, "passed": passed[1], "hidden": True, "message": ""},
    ]
    answer = nbformat.v4.new_code_cell(code)
    answer.metadata["nbgrader"] = {"grade_id": "hw1-01b-answer", "solution": True}
    check = nbformat.v4.new_code_cell("score.total()")
    check.metadata["nbgrader"] = {"grade_id": "hw1-01c-check", "solution": False}
    result = nbformat.v4.new_output("execute_result", {"text/plain": "1.0"}, execution_count=1)
    result.metadata["checks"] = checks
    check.outputs = [result]
    return nbformat.v4.new_notebook(cells=[answer, check])


LONG = """
def kl(a, b):
    total = 0.0
    for i in range(len(a)):
        if a[i] > 0:
            total += a[i] * (np.log(a[i]) - np.log(b[i]))
    return total / 1.5
"""
RENAMED = LONG.replace("total", "summe").replace("kl(a, b):", "kl(a, b):  # my own")
OTHER = """
def kl(a, b):
    used = a > 0
    ratio = np.where(used, a, 1.0) / np.where(used, b, 1.0)
    return np.sum(np.where(used, a * np.log(ratio), 0.0)) / 1.5
"""


def test_the_report_counts_each_check_and_lists_answers_that_are_alike(course):
    hand_ins = {
        "anna": (LONG, (True, True)), "bob": (RENAMED, (True, False)),
        "eva": (OTHER, (True, False)), "short1": ("x = 1", (False, False)),
        "short2": ("y = 1", (False, False)),
    }  # fmt: skip
    for student, (code, passed) in hand_ins.items():
        path = course / "autograded" / student / "hw1" / "hw1.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(graded(code, passed), path)
    (course / "autograded" / "eva" / "hw1" / "hw1.ipynb").with_name("notes.txt").write_text("x")
    done = run(course, "class_report.py", "hw1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"60%\s+1\s+hw1-01c-check\s+seen", done.stdout)
    assert re.search(r"20%\s+hidden\s+2\s+hw1-01c-check\s+large", done.stdout)
    assert "1 pairs of answers" in done.stdout
    assert re.search(r"1\.00\s+hw1-01b-answer\s+anna\s+bob", done.stdout)


def test_the_report_on_nothing_says_so(course):
    done = run(course, "class_report.py", "hw2")
    assert done.returncode == 2 and "nothing autograded for hw2" in done.stderr


@by_name
def test_the_student_page_and_the_assignment_tell_the_same(name):
    row = re.search(rf"(?m)^\| {name} \| ([\d, ]+) \|.*\| (\d+) \|", STUDENTS.read_text("utf-8"))
    path = tables.SOURCE / name / f"{name}.ipynb"
    head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    first, *_, last = row[1].split(", ")
    assert re.search(rf"notebooks {first} (to|and) {last}\b", head)
    assert f"**Points:** {row[2]}." in head


def test_roster_due_date_late_penalty_and_export_work_as_the_page_says(tmp_path):
    pytest.importorskip("nbgrader")
    from homework import tiny

    course = tiny.make_course(tmp_path)
    (course / "students.csv").write_text(
        "id,first_name,last_name,email\nanna,Anna,Lee,\nbob,Bob,Hill,\n"
    )
    path = tiny.hand_in(course, "bob")
    path.with_name("timestamp.txt").write_text("2027-03-02 10:00:00 UTC")
    for command in (
        ["db", "student", "import", "students.csv"],
        ["db", "assignment", "add", "hw9", "--duedate", "2027-03-01 23:59 UTC"],
        ["autograde", "hw9", "--LateSubmissionPlugin.penalty_method=zero"],
        ["export", "--assignment", '["hw9"]', "--to", "hw9.csv"],
    ):
        done = tiny.nbgrader(course, *command)
        assert done.returncode == 0, (command, done.stderr[-2000:])
    rows = {row["student_id"]: row for row in csv.DictReader((course / "hw9.csv").open())}
    assert set(rows) == {"anna", "bob"} and {row["assignment"] for row in rows.values()} == {"hw9"}
    assert float(rows["bob"]["raw_score"]) == 4 == float(rows["bob"]["late_submission_penalty"])
    assert float(rows["bob"]["score"]) == 0


def test_an_answer_is_not_failed_because_the_student_had_numpy_raise():
    kernel_door = pytest.importorskip("kernel_door")
    door = kernel_door.Door(None, {"answer": lambda: float(np.exp(-5000.0))})
    with np.errstate(all="raise"):
        reply = door.answer(
            {"do": "call", "target": ["answer"], "args": ["list", []], "kwargs": ["dict", []]}
        )
    assert reply == {"value": 0.0}
