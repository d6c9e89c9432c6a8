"""Each assignment from release to feedback: one perfect and one untouched hand-in."""

import csv
import json
import re

import pytest

pytest.importorskip("nbgrader")
from homework import course as tools

KINDS = "SOLUTION|HIDDEN TESTS|Marking:|MARK SCHEME"


@pytest.fixture(scope="class")
def course(request, tmp_path_factory):
    """The assignment released, collected from files, autograded, returned and exported."""
    name = request.cls.name
    course = tools.make_course(tmp_path_factory.mktemp(name), name)
    archive = course / "downloaded" / name / "archive"
    archive.mkdir(parents=True)
    hand_ins = {"reference": tools.filled(course, name), "blank": tools.released(course, name)}
    for student, notebook in hand_ins.items():
        path = archive / f"{student}_{name}.ipynb"
        path.write_text(json.dumps(notebook), encoding="utf-8")
    for command in (["zip_collect", name], ["autograde", name], ["generate_feedback", name],
                    ["export", "--to", str(course / "grades.csv")]):  # fmt: skip
        done = tools.nbgrader(course, *command)
        assert done.returncode == 0, (command, done.stderr[-3000:])
    return course


class EachAssignment:
    """One class for each assignment, so that they run side by side; `name` is in the class."""

    def test_the_release_has_no_solution_no_hidden_test_and_no_output(self, course):
        released = tools.released(course, self.name)
        text = "\n".join(cell["source"] for cell in released["cells"])
        assert not tools.secrets(self.name) & set(map(str.strip, text.splitlines()))
        assert not re.search(KINDS, text)
        assert not any(cell.get("outputs") for cell in released["cells"])

    def test_the_reference_scores_full_and_the_untouched_release_nothing(self, course):
        full = tools.full(self.name)
        assert tools.scores(course, self.name) == {
            "reference": full, "blank": dict.fromkeys(full, 0.0),
        }  # fmt: skip

    def test_the_points_in_the_table_on_the_page_are_those_of_the_cells(self, course):
        cells = tools.source_of(self.name)["cells"]
        total = sum(tools.tags(cell).get("points", 0) for cell in cells)
        rows = re.findall(r"^\| \d .*\| ([\d +]+) \|$", cells[0]["source"], re.M)
        assert sum(eval(row) for row in rows) == total
        assert f"**Points:** {total:g}" in cells[0]["source"]
        assert 6 <= len(rows) <= 8

    def test_feedback_shows_no_hidden_test_to_anybody(self, course):
        for student in "reference", "blank":
            assert not tools.leaks(course, student, self.name), student

    def test_grades_are_exported_as_csv(self, course):
        with open(course / "grades.csv", encoding="utf-8") as file:
            rows = {row["student_id"]: row for row in csv.DictReader(file)}
        assert float(rows["reference"]["raw_score"]) == sum(tools.full(self.name).values())
        assert float(rows["blank"]["raw_score"]) == 0


class TestHw1(EachAssignment):
    name = "hw1"


class TestHw2(EachAssignment):
    name = "hw2"


class TestHw3(EachAssignment):
    name = "hw3"


class TestHw4(EachAssignment):
    name = "hw4"


class TestProject(EachAssignment):
    name = "project"


def test_every_assignment_has_a_class_here():
    assert {kind.name for kind in EachAssignment.__subclasses__()} == set(tools.NAMES)
