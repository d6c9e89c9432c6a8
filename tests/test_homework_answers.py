"""Every homework check gives full marks to correct answers and takes points from wrong ones."""

import ast
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest

import pytest
from cell_rules import is_figure
from homework import tables

NAMES = tables.NAMES
by_name = pytest.mark.parametrize("name", NAMES)


def tag_of(cell):
    return cell["metadata"]["nbgrader"]


def test_every_assignment_has_a_table_of_answers():
    assert {path.name for path in tables.SOURCE.iterdir()} == set(NAMES)


@by_name
def test_the_cells_keep_the_rules_that_grading_relies_on(name):
    cells = tables.cells_of(name)
    ids = [tag_of(cell)["grade_id"] for cell in cells]
    assert ids == sorted(set(ids)), "a missing cell is put back where its id sorts"
    for cell in cells:
        tag, source = tag_of(cell), cell["source"]
        if tag["solution"] and cell["cell_type"] == "code":
            assert source.count("### BEGIN SOLUTION") == source.count("### END SOLUTION") >= 1
        elif tag["solution"]:
            assert "*Marking: " in source
        elif tag["grade"]:
            assert source.splitlines()[-1] == "score.total()"
            assert len(tables.HIDDEN.findall(source)) == source.count("### BEGIN HIDDEN") == 1
        else:
            assert tag["locked"] and "import vi_helpers" not in source


@by_name
def test_what_a_student_is_given_comes_in_short_cells_and_figures_have_a_text(name):
    for cell in tables.cells_of(name):
        if cell["cell_type"] == "code" and not tag_of(cell)["solution"]:
            assert len([line for line in cell["source"].splitlines() if line.strip()]) <= 40
        if is_figure(tag_of(cell)["grade_id"]):
            alt = cell["metadata"]["alt"]
            assert 40 < len(alt) < 400 and alt.endswith(".")
            shown = [o for o in cell["outputs"] if "image/png" in o.get("data", {})]
            assert [o["metadata"]["image/png"]["alt"] for o in shown] == [alt]


@by_name
def test_a_check_cell_is_short_and_its_checks_have_titles_and_points(name):
    for cell in tables.cells_of(name):
        tag, source = tag_of(cell), cell["source"]
        if tag["grade"] and cell["cell_type"] == "code":
            visible, hidden = tables.checks_of(name)[tag["grade_id"]]
            assert len([line for line in source.splitlines() if line.strip()]) <= 40
            assert len(visible) + len(hidden) == source.count("@score.check(")
            assert sum(visible.values()) + sum(hidden.values()) == tag["points"]
            assert 0.4 <= sum(visible.values()) / tag["points"] <= 0.6, "half is to be seen"


@by_name
def test_a_stub_defines_every_function_that_its_answer_defines(name):
    for cell in tables.cells_of(name):
        if tag_of(cell)["solution"] and cell["cell_type"] == "code":
            stub = re.sub(r"(?s)### BEGIN SOLUTION.*?### END SOLUTION", "pass", cell["source"])
            defined = [
                {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
                for source in (stub, cell["source"])
            ]
            assert defined[0] == defined[1] != set(), tag_of(cell)["grade_id"]


@by_name
def test_a_figure_to_be_predicted_does_not_show_its_numbers_in_the_code(name):
    for cell in tables.cells_of(name):
        if is_figure(tag_of(cell)["grade_id"]):
            assert not re.search(r"-?\d+\.\d+(,\s*-?\d+\.\d+){3}", cell["source"])
            assert "b64decode" in cell["source"]


ROW = re.compile(r"(?m)^\| [^|]+ \| ([\d.]+): [^|]+ \| ([\d.]+): [^|]+ \| 0 \|$")


def test_the_rubrics_of_the_project_add_up_to_the_points_of_their_tasks():
    cells, found = tables.cells_of("project"), 0
    for rubric, *after in (cells[i:] for i in range(len(cells))):
        if tag_of(rubric)["grade_id"].endswith("-rubric"):
            written = next(c for c in after if tag_of(c)["grade"] and c["cell_type"] == "markdown")
            rows = [[float(points) for points in row] for row in ROW.findall(rubric["source"])]
            assert len(rows) == rubric["source"].split("| criterion |")[1].count("\n|") - 1
            assert sum(full for full, _ in rows) == tag_of(written)["points"]
            assert all(half == full / 2 for full, half in rows)
            assert f"({tag_of(written)['points']:g} points, written)" in rubric["source"]
            found += 1
    assert found == 4


def entries_of(name):
    """(check, kind, entry, code), the table line by line."""
    return [
        (task["check"], kind, entry, task["needed"] | {task["answer"]: entry["code"]})
        for task in tables.tasks_of(name)
        for kind in ("wrong", "right")
        for entry in task[kind]
    ]


def grade(name):
    """(whole homeworks by label, table entries with what they earned)."""
    tasks, entries = tables.tasks_of(name), entries_of(name)
    whole = {"reference": {}, "blank": {task["answer"]: None for task in tasks}}
    whole |= {f"stuck {task['check']}": {task["answer"]: None} for task in tasks}
    variants = [(answers, None) for answers in whole.values()]
    variants += [(answers, check) for check, _, _, answers in entries]
    with ThreadPoolExecutor(2) as pool:  # two halves at a time
        halves = pool.map(lambda half: tables.score(name, half), (variants[::2], variants[1::2]))
    results = list(chain.from_iterable(zip_longest(*halves)))[: len(variants)]
    totals = [{check: got["total"] for check, got in one.items()} for one in results[: len(whole)]]
    scored = [
        (check, kind, entry, got[check])
        for (check, kind, entry, _), got in zip(entries, results[len(whole) :], strict=True)
    ]
    return dict(zip(whole, totals, strict=True)), scored


def most_of(name):
    checks = tables.checks_of(name)
    return {check: sum(v.values()) + sum(h.values()) for check, (v, h) in checks.items()}


@by_name
def test_every_check_cell_has_eight_wrong_and_four_right_answers_in_the_table(name):
    tasks = tables.tasks_of(name)
    assert {task["check"] for task in tasks} == set(tables.checks_of(name))
    for task in tasks:
        assert len(task["wrong"]) >= 8 and len(task["right"]) >= 4, task["check"]
        entries = task["wrong"] + task["right"]
        for key in "code", "name":
            assert len({entry[key] for entry in entries}) == len(entries), task["check"]


@pytest.fixture(scope="class")
def graded(request):
    return grade(request.cls.name)


class EachTable:
    """One class for each assignment, so that they run side by side; `name` is in the class."""

    def test_the_reference_scores_full_and_the_blank_homework_nothing(self, graded):
        whole, most = graded[0], most_of(self.name)
        assert whole["reference"] == most
        assert whole["blank"] == dict.fromkeys(most, 0.0)

    def test_a_student_stuck_on_one_task_can_earn_all_others(self, graded):
        most = most_of(self.name)
        for task in tables.tasks_of(self.name):
            got = graded[0][f"stuck {task['check']}"]
            lost = {check for check in most if got[check] < most[check]}
            needing = {
                t["check"] for t in tables.tasks_of(self.name) if task["answer"] in t["needed"]
            }
            assert got[task["check"]] == 0 and lost == {task["check"]} | needing

    def test_wrong_answers_lose_points(self, graded):
        most = most_of(self.name)
        for check, kind, entry, got in graded[1]:
            if kind == "wrong":
                assert got["total"] < most[check], f"{check} accepts {entry['name']}"

    def test_correct_answers_score_full_marks(self, graded):
        most = most_of(self.name)
        for check, kind, entry, got in graded[1]:
            if kind == "right":
                assert got["total"] == most[check], f"{check} refuses {entry['name']}: {got}"

    def test_the_page_catches_every_mistake_but_those_left_to_hidden_checks(self, graded):
        for check, kind, entry, got in graded[1]:
            if kind == "wrong":
                visible, _ = tables.checks_of(self.name)[check]
                caught = [t for t, points in visible.items() if got["checks"][t] < points]
                hidden = entry.get("hidden", False)
                assert bool(caught) != hidden, f"{check}, {entry['name']}: {caught}"

    def test_what_each_visible_check_catches_is_listed(self, graded):
        results = {
            (check, entry["name"]): got["checks"]
            for check, kind, entry, got in graded[1]
            if kind == "wrong"
        }
        listed = tables.seen_path(self.name).read_text(encoding="utf-8")
        wanted = tables.seen_text(self.name, results)
        assert listed == wanted, "run tests/tools/homework_table.py --write"


class TestHw1(EachTable):
    name = "hw1"


class TestHw2(EachTable):
    name = "hw2"


class TestHw3(EachTable):
    name = "hw3"


class TestHw4(EachTable):
    name = "hw4"


class TestProject(EachTable):
    name = "project"


def test_every_assignment_has_a_class_here():
    assert {kind.name for kind in EachTable.__subclasses__()} == set(NAMES)
