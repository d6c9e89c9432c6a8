"""Every homework check gives full marks to correct answers and takes points from wrong ones."""

import ast
import re
from concurrent.futures import ThreadPoolExecutor

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


def entries_of(name):
    """(check, kind, entry, code), the table line by line."""
    return [
        (task["check"], kind, entry, {task["answer"]: entry["code"]})
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
    results = tables.score(name, variants)
    totals = [{check: got["total"] for check, got in one.items()} for one in results[: len(whole)]]
    scored = [
        (check, kind, entry, got[check])
        for (check, kind, entry, _), got in zip(entries, results[len(whole) :], strict=True)
    ]
    return dict(zip(whole, totals, strict=True)), scored


@pytest.fixture(scope="module")
def graded():
    """{name: grade(name)}, two homeworks at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(NAMES, pool.map(grade, NAMES), strict=True))


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


@by_name
def test_the_reference_scores_full_and_the_blank_homework_nothing(graded, name):
    whole, _ = graded[name]
    assert whole["reference"] == most_of(name)
    assert whole["blank"] == dict.fromkeys(most_of(name), 0.0)


@by_name
def test_a_student_stuck_on_one_task_can_earn_all_others(graded, name):
    whole, _ = graded[name]
    for check in most_of(name):
        assert whole[f"stuck {check}"] == {**most_of(name), check: 0.0}


@by_name
def test_wrong_answers_lose_points(graded, name):
    most = most_of(name)
    for check, kind, entry, got in graded[name][1]:
        if kind == "wrong":
            assert got["total"] < most[check], f"{check} accepts {entry['name']}"


@by_name
def test_correct_answers_score_full_marks(graded, name):
    most = most_of(name)
    for check, kind, entry, got in graded[name][1]:
        if kind == "right":
            assert got["total"] == most[check], f"{check} refuses {entry['name']}: {got}"


@by_name
def test_the_checks_on_the_page_catch_every_mistake_but_those_left_to_the_hidden_ones(graded, name):
    for check, kind, entry, got in graded[name][1]:
        if kind == "wrong":
            visible, _ = tables.checks_of(name)[check]
            caught = [title for title, points in visible.items() if got["checks"][title] < points]
            assert bool(caught) != entry.get("hidden", False), f"{check}, {entry['name']}: {caught}"


@by_name
def test_what_each_visible_check_catches_is_listed(graded, name):
    results = {
        (check, entry["name"]): got["checks"]
        for check, kind, entry, got in graded[name][1]
        if kind == "wrong"
    }
    listed = tables.seen_path(name).read_text(encoding="utf-8")
    assert listed == tables.seen_text(name, results), "run tests/tools/homework_table.py --write"
