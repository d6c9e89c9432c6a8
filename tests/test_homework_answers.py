"""Every homework check gives full marks to correct answers and takes points from wrong ones."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cell_rules import is_figure

TABLES = Path(__file__).parent / "homework"
SOURCE = Path(__file__).parents[1] / "notebooks" / "homework" / "source"
NAMES = sorted(path.stem for path in TABLES.glob("hw*.toml"))


def read(name):
    """The table's tasks, and the points of each check cell of the notebook."""
    tasks = tomllib.loads((TABLES / f"{name}.toml").read_text(encoding="utf-8"))["task"]
    cells = json.loads((SOURCE / name / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    graded = [c for c in cells if c["cell_type"] == "code" and "nbgrader" in c["metadata"]]
    infos = [c["metadata"]["nbgrader"] for c in graded]
    return tasks, {i["grade_id"]: i["points"] for i in infos if i["grade"]}


@pytest.mark.parametrize("name", NAMES)
def test_the_cells_keep_the_rules_that_grading_relies_on(name):
    cells = json.loads((SOURCE / name / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    cells = [c for c in cells if "nbgrader" in c["metadata"]]
    tags = [c["metadata"]["nbgrader"] for c in cells]
    ids = [tag["grade_id"] for tag in tags]
    assert ids == sorted(set(ids)), "a missing cell is put back where its id sorts"
    for tag, cell in zip(tags, cells, strict=True):
        source = "".join(cell["source"])
        if tag["solution"] and cell["cell_type"] == "code":
            assert source.count("### BEGIN SOLUTION") == source.count("### END SOLUTION") == 1
        elif tag["solution"]:
            assert "*Marking: " in source
        elif tag["grade"]:
            assert source.splitlines()[-1] == "score.total()"
            assert (
                source.count("### BEGIN HIDDEN TESTS") == source.count("### END HIDDEN TESTS") == 1
            )
            points = re.findall(r"@score\.check\(\s*\"[^\"]+\",\s*([\d.]+),?\s*\)", source)
            assert sum(map(float, points)) == tag["points"], tag["grade_id"]
        else:
            assert tag["locked"] and "import vi_helpers" not in source


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_to_be_predicted_does_not_show_its_numbers_in_the_code(name):
    cells = json.loads((SOURCE / name / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    figures = [
        "".join(c["source"])
        for c in cells
        if is_figure(c["metadata"].get("nbgrader", {}).get("grade_id", ""))
    ]
    assert figures
    for source in figures:
        assert not re.search(r"-?\d+\.\d+(,\s*-?\d+\.\d+){3}", source)
        assert "b64decode" in source


def score(name, variants):
    job = {"notebook": str(SOURCE / name / f"{name}.ipynb"), "variants": variants}
    done = subprocess.run(
        [sys.executable, str(TABLES / "run_answers.py")],
        input=json.dumps(job), capture_output=True, text=True, timeout=170, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=NAMES)
def graded(request):
    """All variants of one homework, graded in one process."""
    name = request.param
    tasks, points = read(name)
    variants = [("reference", None, {}), ("blank", None, {t["answer"]: None for t in tasks})]
    for task in tasks:
        variants.append(("stuck", task["check"], {task["answer"]: None}))
        for kind in ("wrong", "right"):
            for entry in task[kind]:
                label = f"{kind}: {entry['name']}"
                variants.append((label, task["check"], {task["answer"]: entry["code"]}))
    results = score(name, [v for _, _, v in variants])
    labels = [(label, check) for label, check, _ in variants]
    return tasks, points, list(zip(labels, results, strict=True))


def test_every_check_cell_has_four_wrong_and_two_right_answers_in_the_table(graded):
    tasks, points, _ = graded
    assert {t["check"] for t in tasks} == set(points)
    for task in tasks:
        assert len(task["wrong"]) >= 4 and len(task["right"]) >= 2, task["check"]
        codes = [entry["code"] for entry in task["wrong"] + task["right"]]
        assert len(set(codes)) == len(codes), task["check"]


def test_the_reference_scores_full_and_the_blank_homework_nothing(graded):
    _, points, results = graded
    scores = {label: result for (label, _), result in results}
    assert scores["reference"] == points
    assert scores["blank"] == dict.fromkeys(points, 0.0)


def test_scores_are_plain_floats_because_nbgrader_reads_anything_else_as_full_marks(graded):
    _, _, results = graded
    assert all(type(value) is float for _, result in results for value in result.values())


def test_wrong_answers_lose_points_on_their_own_task_only(graded):
    _, points, results = graded
    for (label, check), result in results:
        if label.startswith("wrong"):
            assert result[check] < points[check], f"{check} accepts {label}"
            assert {**result, check: points[check]} == points, f"{check}, {label}: {result}"


def test_a_single_slip_earns_the_part_of_the_points_that_the_table_says(graded):
    tasks, _, results = graded
    scores = {label: result[check] for (label, check), result in results if check}
    for task in tasks:
        for entry in task["wrong"]:
            label = f"wrong: {entry['name']}"
            if "earns" in entry:
                assert scores[label] == entry["earns"], (task["check"], label)


def test_correct_answers_score_full_marks(graded):
    _, points, results = graded
    for (label, check), result in results:
        if label.startswith("right"):
            assert result == points, f"{check} refuses {label}: {result[check]}"


def test_a_student_stuck_on_one_task_can_earn_all_others(graded):
    _, points, results = graded
    for (label, check), result in results:
        if label == "stuck":
            assert result == {**points, check: 0.0}, check
