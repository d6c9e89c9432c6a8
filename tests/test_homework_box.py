"""What a submission may reach and use up, what is put back, and what stays secret."""

import csv
import json
import shutil
import subprocess

import pytest

pytest.importorskip("nbgrader")
from homework import tables, tiny
from nbformat.v4 import new_markdown_cell

ESCAPE = """
import ctypes, os
libc, found = ctypes.CDLL(None, use_errno=True), []
for target in b"/", b"/usr", b"/tmp", os.environ["HOME"].encode():
    for flags in 32, 32 | 4096:  # remount; remount of a bind
        if libc.mount(b"none", target, None, flags, None) == 0:
            found.append(target)
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
    found.append("a mount of its own")
if libc.unshare(0x10000000) == 0:
    found.append("a user namespace of its own")
status = open("/proc/self/status").read()
if int(status.split("CapEff:")[1].split()[0], 16):
    found.append("capabilities")
for path in "/usr/mark", "/mark", os.path.dirname(os.__file__) + "/mark":
    try:
        open(path, "w")
        found.append(path)
    except OSError:
        pass
assert not found, found
"""
MEMORY = """
import mmap, os, time
for _ in range(4):
    ready, done = os.pipe()
    if os.fork() == 0:
        block = bytearray(int(1.4 * 2**30))  # less than one process may have
        os.write(done, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)  # on a busy computer that may take long
time.sleep(30)
"""
DISK = """
for number in range(40):
    with open(f"file{number}", "wb") as file:
        file.write(b"x" * (10 << 20))
import time
time.sleep(5)
"""
SHM = """
try:
    for number in range(40):
        with open(f"/dev/shm/file{number}", "wb") as file:
            file.write(b"x" * (10 << 20))
    raise RuntimeError("no limit")
except OSError as error:
    print("limited")
"""
LEAK = """
SEEN = []
def square(x):
    SEEN.append(x)
    if x == 0.5:
        raise ValueError(str([number for number in SEEN if number != 0.5]) + "from a visible check")
    raise type("Seen" + str(SEEN[-1]).replace("-", "m").replace(".", "p"), (Exception,), {})
"""
LONG = "raise ValueError('x' * (1 << 22))"
CODES = {
    "escapes": ESCAPE + tiny.RIGHT,
    "memory": tiny.RIGHT + MEMORY,
    "disk": tiny.RIGHT + DISK,
    "shm": SHM + tiny.RIGHT,
    "leaks": LEAK,
    "long": tiny.RIGHT + "\n" + LONG,
    "comma, anna": tiny.RIGHT.replace("* x", "* x * size_of_figure"),
    "shadow": "import helper\n" + tiny.RIGHT.replace("x * x", "helper.square(x)"),
}


def lost_tags(course):
    """A right answer in a cell without tags, and a written one too."""
    notebook = tiny.released(course)
    for name, text in (("hw9-01a-answer", tiny.RIGHT), ("hw9-02-why", "because")):
        cell = tiny.cell_of(notebook, name)
        cell.source = text
        del cell.metadata["nbgrader"]
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    course = tiny.make_course(tmp_path_factory.mktemp("course"))
    for student, code in CODES.items():
        tiny.hand_in(course, student, code=code)
    folder = course / "submitted/shadow/hw9"
    marker = "import sys\nsys.modules['numpy'] = sys.modules['contextlib'] = None\n"
    for name in "scipy.py", "numpy.py", "json.py", "sitecustomize.py", "plain_values.py":
        (folder / name).write_text(marker)
    (folder / "helper.py").write_text("def square(x):\n    return x * x\n")
    tiny.hand_in(course, "lost", lost_tags(course))
    other = tiny.hand_in(course, "other", code=tiny.RIGHT)
    for student in "link", "linked_folder", "linked_file":
        (course / "submitted" / student).mkdir()
    (course / "submitted/link/hw9").mkdir()
    (course / "submitted/link/hw9/hw9.ipynb").symlink_to(other)
    (course / "submitted/linked_folder/hw9").symlink_to(other.parent)
    path = tiny.hand_in(course, "linked_file2")
    (path.parent / "data.txt").symlink_to(course / "gradebook.db")
    tiny.hand_in(course, "<img src=x onerror=alert(1)>")
    for command in "autograde", "generate_feedback":
        tiny.nbgrader(course, command, "hw9")
    return course


@pytest.fixture(scope="module")
def triage(course):
    return tiny.nbgrader(course, "hw9", program=["triage.py"]).stdout


def points(course, student):
    return tiny.gradebook(course)[student]["hw9-01b-check"][0]


def needs_box(course):
    script = "import grading_box as g, sys; sys.exit(0 if g.can_isolate() else 3)"
    if tiny.nbgrader(course, script, program=["-c"]).returncode:
        pytest.skip("bwrap does not work here")


def test_where_bwrap_works_submissions_are_isolated():
    """Without this a mistake in can_isolate would only skip the tests that need the box."""
    bwrap = shutil.which("bwrap")
    command = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "true"]
    if not bwrap or subprocess.run(command, check=False).returncode:
        pytest.skip("bwrap does not work here")
    from grading_box import can_isolate

    assert can_isolate()


def test_the_box_has_no_capability_and_cannot_be_remounted(course):
    needs_box(course)
    assert tiny.outputs(course, "escapes", "hw9-01a-answer") == []
    assert points(course, "escapes") == 4.0


def test_memory_and_files_are_limited_for_all_processes_of_a_submission(course, triage):
    needs_box(course)
    assert "more than 4 GiB of memory" in triage
    assert "more than 200 MiB of files" in triage
    assert tiny.outputs(course, "shm", "hw9-01a-answer")[0]["text"].strip() == "limited"
    assert points(course, "shm") == 4.0


def test_a_long_error_message_is_cut(course):
    assert points(course, "long") == 4.0
    assert (course / "autograded/long/hw9/hw9.ipynb").stat().st_size < 200_000


def test_files_beside_the_notebook_stand_in_for_no_library_but_can_be_imported(course):
    assert points(course, "shadow") == 4.0


def test_links_in_a_submission_are_not_followed(course, triage):
    for student in "link", "linked_folder", "linked_file2":
        assert student not in tiny.gradebook(course) or not points(course, student)
        assert not list((course / "autograded").glob(f"{student}/hw9/*"))
        block = triage.split(f"\n{student}  (")[1].split("\n\n")[0]
        assert "symbolic link" in block.splitlines()[1]
    assert not list(course.glob("autograded/*/hw9/data.txt"))


def test_a_student_whose_name_is_markup_is_not_graded(course, triage):
    assert not list(course.glob("autograded/*<*"))
    assert "odd characters" in triage


def test_an_answer_that_lost_its_tags_counts_and_the_triage_says_so(course, triage):
    assert points(course, "lost") == 4.0
    assert tiny.gradebook(course)["lost"]["hw9-02-why"] == (None, True)
    assert "hw9-02-why: deleted or its tags are lost" in triage
    assert "grade it by hand" in triage


def test_feedback_tells_nothing_of_what_hidden_checks_pass_in(course):
    page = (course / "feedback/leaks/hw9/hw9.html").read_text(encoding="utf-8")
    assert "[]from a visible check" in page
    for text in "m1p5", "-1.5]", "[-1.5":
        assert text not in page
    graded = (course / "autograded/leaks/hw9/hw9.ipynb").read_text(encoding="utf-8")
    assert "Seenm1p5" in graded  # the instructor sees it


def test_feedback_names_hidden_checks_with_their_points(course):
    page = (course / "feedback/leaks/hw9/hw9.html").read_text(encoding="utf-8")
    assert "0/3 another number (hidden)" in page and "0/4 in all" in page


def test_a_comment_that_quotes_an_answer_is_made_safe_in_feedback(monkeypatch):
    monkeypatch.syspath_prepend(tables.COURSE)
    from careful_feedback import HideTests

    for comment, said in (
        (
            "You wrote <img src=x onerror=alert(1)>: **no**",
            "&lt;img src=x onerror=alert(1)>: **no**",
        ),
        ("$a<b$, <b>good</b>", "$a<b$, <b>good</b>"),
    ):
        cell = new_markdown_cell("", metadata={"nbgrader": {"comment": comment}})
        shown, _ = HideTests().preprocess_cell(cell, {}, 0)
        assert said in shown.metadata["nbgrader"]["comment"]


def test_a_figure_of_the_assignment_makes_its_names_and_shows_the_picture_of_the_source(course):
    assert points(course, "comma, anna") == 4.0
    for student in "comma, anna", "escapes":
        shown = tiny.outputs(course, student, "hw9-00c-show")
        assert [output.data for output in shown] == [{"image/png": tiny.PICTURE}]


def test_a_name_with_a_comma_is_one_field_of_the_table(course):
    assert tiny.nbgrader(course, "export", "--to", str(course / "g.csv")).returncode == 0
    with open(course / "g.csv", encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert rows["comma, anna"]["raw_score"] == "4.0"
    assert all(None not in row for row in rows.values())


def test_no_field_of_the_table_is_a_formula():
    from careful_export import plain_text

    assert plain_text("=1+1") == "'=1+1" and plain_text("-x") == "'-x"
    assert plain_text("anna") == "anna" and plain_text(-1.5) == -1.5 and plain_text(None) == ""


def test_scores_are_plain_numbers_whatever_a_check_cell_returns():
    from reports import Report

    for value in float("nan"), float("-inf"), -1.0:
        report = Report(4.0)
        report.add({"event": "score", "value": value})
        assert report.points == 0.0
    report = Report(4.0)
    report.add(json.loads('{"event": "score", "value": 1e9}'))
    assert report.points == 4.0
