"""A class hands in hw1, with all that a class can do wrong; each costs its own points only."""

import copy
import importlib.util
import re
import socketserver
import threading

import pytest

pytest.importorskip("nbgrader")
from homework import course as tools
from homework.bad_submissions import CLASS
from homework.cheats import CHEATS, LAST, submissions

NOT_NOTEBOOKS = {
    "broken_file": "this is not JSON", "empty_file": "", "other_json": '{"cells": 3}',
    "odd_cells": '{"cells": [{"cell_type": 5}, 7]}', "odd_source": '{"cells": [{"source": [1]}]}',
    "odd_tags": '{"cells": [{"cell_type": "code", "source": "", "metadata": {"nbgrader": 1}}]}',
    "deep": "[" * 100_000,
}  # fmt: skip
TIMEOUT = 15  # a loaded machine is slow at printing too


def grade(course):
    """Grade on several workers where dask is installed: many of these submissions only wait."""
    if importlib.util.find_spec("distributed"):
        return tools.run(course, "grade.py", "hw1", "--workers", "4", "--timeout", str(TIMEOUT))
    return tools.nbgrader(course, "autograde", "hw1", f"--CarefulExecute.timeout={TIMEOUT}")


class Greeter(socketserver.BaseRequestHandler):
    """Says who it is. Each kernel listens on a port of its own box (ipykernel's IOPubThread, on
    a port that the system picks), so that somebody answers does not yet mean: no box."""

    def handle(self):
        self.request.sendall(b"outside the box")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The class of hw1, autograded and returned."""
    course = tools.make_course(tmp_path_factory.mktemp("course"), "hw1")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"COURSE, PORT = {str(course)!r}, {server.server_address[1]}\n"
        source = tools.filled(course, "hw1")
        for student, (edit, _, _) in CLASS.items():
            notebook = copy.deepcopy(source)
            edit(notebook["cells"])
            for cell in notebook["cells"]:
                cell["source"] = cell["source"].replace(
                    "import os, pathlib", where + "import os, pathlib"
                )
            tools.hand_in(course, student, "hw1", notebook)
        for student, text in NOT_NOTEBOOKS.items():
            tools.hand_in(course, student, "hw1", text)
        for student, notebook in submissions(tools.released(course, "hw1")).items():
            tools.hand_in(course, student, "hw1", notebook)
        tools.hand_in(course, "other_name", "hw1", source)
        folder = course / "submitted" / "other_name" / "hw1"
        (folder / "hw1.ipynb").rename(folder / "my homework.ipynb")
        tools.hand_in(course, "blank", "hw1", tools.released(course, "hw1"))
        log = grade(course)
        (course / "hw1.log").write_text(log.stderr, encoding="utf-8")
        server.shutdown()
    tools.nbgrader(course, "generate_feedback", "hw1")
    return course


@pytest.fixture(scope="module")
def scores(course):
    return tools.scores(course, "hw1")


@pytest.mark.parametrize("student", sorted(CLASS))
def test_a_bad_submission_costs_its_own_points_and_nothing_else(scores, course, student):
    _, lost, _ = CLASS[student]
    most, got = tools.full("hw1"), scores[student]
    assert {check for check in most if got[check] < most[check]} == set(lost), got


def test_no_cheat_earns_a_point(scores):
    assert len(CHEATS) > 35 and set(LAST) <= set(CHEATS)
    nothing = dict.fromkeys(tools.full("hw1"), 0.0)
    cheating = {student: got for student, got in scores.items() if "cheat" in student}
    assert len(cheating) >= len(CHEATS) / len(nothing)
    for student, got in cheating.items():
        assert got == nothing, student


def test_grading_goes_on_after_submissions_that_are_no_notebooks(scores, course):
    for student in set(NOT_NOTEBOOKS) - {"odd_tags"}:
        assert not (course / "autograded" / student).joinpath("hw1", "hw1.ipynb").exists()
    # nbformat takes it for one of an old format, and empty: graded as a blank one
    assert scores["odd_tags"] == dict.fromkeys(tools.full("hw1"), 0.0)
    assert set(scores) >= set(CLASS)


def test_the_instructor_is_told_which_submissions_need_a_look(course):
    listing = tools.run(course, "triage.py", "hw1")
    assert listing.returncode == 0, listing.stderr
    blocks = dict(re.findall(r"^(\w+)  \(.*\)\n((?:    .*\n)+)", listing.stdout, re.M))
    for student, (_, _, words) in CLASS.items():
        assert words in blocks.get(student, ""), (student, listing.stdout)
    for student in NOT_NOTEBOOKS:
        assert "is not a notebook" in blocks[student]
    assert "no hw1.ipynb in the folder" in blocks["other_name"]
    assert "blank" not in blocks


def test_feedback_shows_no_hidden_test_to_anybody(course):
    pages = list((course / "feedback").glob("*/hw1/hw1.html"))
    assert len(pages) >= len(CLASS)
    for page in pages:
        assert not tools.leaks(course, page.parts[-3], "hw1"), page.parts[-3]


def test_where_bwrap_does_not_work_the_instructor_is_warned(course):
    script = (
        "import careful_grading as g, logging; logging.basicConfig()\n"
        "g.can_isolate = lambda: False\n"
        "try: g.CarefulExecute().preprocess(None, None)\n"
        "except Exception as error: print(type(error))\n"
    )
    done = tools.run(course, "-c", script)
    assert "NOT ISOLATED" in done.stderr, done.stderr


def test_a_kernel_is_boxed_in_where_bwrap_works(course):
    script = "import grading_box as g, sys; sys.exit(0 if g.can_isolate() else 3)"
    if tools.run(course, "-c", script).returncode:
        pytest.skip("bwrap does not work here")
    assert not list(course.rglob("written-by-a-submission"))
    cells = tools.read(course / "autograded" / "writes" / "hw1" / "hw1.ipynb")["cells"]
    tried = [cell for cell in cells if "import os, pathlib, socket" in cell["source"]]
    assert len(tried) == 1 and tried[0]["outputs"] == [], tried
