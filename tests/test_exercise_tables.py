"""Every exercise's check refuses the wrong answers of its table and accepts the right ones.

tests/exercises/nbNN.py holds the answers to notebook NN. A check cell needs only the imports of
its notebook's setup cell, so it runs here without the rest of the page.
"""

import importlib.util
import re
from functools import cache
from pathlib import Path

import matplotlib
import nbformat
import pytest

from vi_helpers.exercises import NotYet, try_answer

matplotlib.use("agg")  # here only: a variable would reach the kernels that nbval starts

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {p.name[:2]: p for p in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
TABLES = {p.stem[2:]: p for p in sorted((ROOT / "tests" / "exercises").glob("nb*.py"))}


@cache
def table(number):
    spec = importlib.util.spec_from_file_location(f"answers_{number}", TABLES[number])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EXERCISES


@cache
def cells(number):
    notebook = nbformat.read(NOTEBOOKS[number], as_version=4)
    return [c for c in notebook.cells if c.cell_type == "code"]


@cache
def check_of(number, label):
    """The check function, run with nothing but the notebook's setup cell."""
    (cell,) = [
        c
        for c in cells(number)
        if "check" in c.metadata.get("tags", []) and c.source.startswith(f"# Check {label}\n")
    ]
    namespace = {"__name__": "__main__"}
    for source in (cells(number)[0].source, cell.source):
        plain = "\n".join(x for x in source.splitlines() if not x.startswith("%"))
        exec(compile(plain, f"<notebook {number}>", "exec"), namespace)
    return namespace[table(number)[label]["check"]]


def every(kind):
    return [
        pytest.param(number, label, name, id=f"{label}-{name}")
        for number in TABLES
        for label, entry in table(number).items()
        for name in entry[kind]
    ]


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_every_exercise_of_a_notebook_is_in_its_table(number):
    source = "\n".join(c.source for c in cells(number))
    labels = set(re.findall(r'try_answer\(\s*"(\d+\.\d+)"', source))
    assert labels == (set(table(number)) if number in TABLES else set())


@pytest.mark.parametrize("number", TABLES)
def test_every_exercise_has_six_wrong_and_three_right_answers(number):
    for label, entry in table(number).items():
        assert len(entry["wrong"]) >= 6, f"{label} has only {len(entry['wrong'])} wrong answers"
        assert len(entry["right"]) >= 3, f"{label} has only {len(entry['right'])} right answers"


@pytest.mark.parametrize(("number", "label", "name"), every("wrong"))
def test_a_wrong_answer_is_refused_with_a_sentence(number, label, name):
    with pytest.raises(NotYet) as caught:
        try_answer(label, check_of(number, label), table(number)[label]["wrong"][name])
    assert len(str(caught.value)) > len(f"Exercise {label}: not yet. ") + 10, "no hint"


@pytest.mark.parametrize(("number", "label", "name"), every("right"))
def test_a_right_answer_is_accepted(number, label, name, capsys):
    try_answer(label, check_of(number, label), table(number)[label]["right"][name])
    assert capsys.readouterr().out.strip().endswith(f"Exercise {label}: correct")
