"""How the class did, check by check, and which answers are alike: python class_report.py hw1

    --alike 0.9     list pairs of answers at least this alike (1 is the same but for names)

The shares come from the autograded notebooks. Likeness is measured on the code of an answer with
comments, texts and names taken out, for answers that are not short (short ones are alike by
nature). A listed pair is for a person to read, not a proof.
"""

import argparse
import ast
import difflib
import itertools
import json
import sys
from pathlib import Path

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent
SHORTEST = 40  # nodes of a syntax tree


def cells_of(path):
    """The tagged code cells of a notebook, {grade_id: cell}; none where it cannot be read."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [c for c in cells if c["cell_type"] == "code" and "nbgrader" in c["metadata"]]
        return {c["metadata"]["nbgrader"]["grade_id"]: c for c in tagged}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def checks_of(cell):
    """What the checks of a graded cell came to: dictionaries with name, points, passed, hidden."""
    results = [o for o in cell.get("outputs", []) if o.get("output_type") == "execute_result"]
    return results[-1].get("metadata", {}).get("checks", []) if results else []


def shares(notebooks):
    """[(grade_id, check, points, hidden, how many passed, how many were tried)] of the class."""
    table = {}
    for cells in notebooks.values():
        for name, cell in cells.items():
            for check in checks_of(cell):
                row = table.setdefault(
                    (name, check["name"]), [check["points"], check["hidden"], 0, 0]
                )
                row[2] += bool(check["passed"])
                row[3] += 1
    return [(*key, *row) for key, row in table.items()]


def shape(source):
    """The syntax of an answer, names, constants of text and comments left out; None if broken."""
    try:
        nodes = ast.walk(ast.parse(source))
        kinds = [
            n for n in nodes if not isinstance(n, ast.Load | ast.Store | ast.arguments | ast.arg)
        ]
        return [repr(n.value) if is_number(n) else type(n).__name__ for n in kinds]
    except (SyntaxError, ValueError, RecursionError):
        return None


def is_number(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def alike(notebooks, threshold):
    """[(likeness, grade_id, student, student)], most alike first."""
    answers = {}
    for student, cells in notebooks.items():
        for name, cell in cells.items():
            tag = cell["metadata"]["nbgrader"]
            form = shape("".join(cell["source"])) if tag.get("solution") else None
            if form and len(form) >= SHORTEST:
                answers.setdefault(name, {})[student] = form
    found = []
    for name, forms in answers.items():
        for (one, a), (other, b) in itertools.combinations(sorted(forms.items()), 2):
            matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
            if matcher.real_quick_ratio() >= threshold and matcher.ratio() >= threshold:
                found.append((matcher.ratio(), name, one, other))
    return sorted(found, key=lambda row: (-row[0], row[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--alike", type=float, default=0.95)
    options = parser.parse_args()
    paths = sorted(HERE.glob(f"autograded/*/{options.name}/{options.name}.ipynb"))
    notebooks = {path.parts[-3]: cells_of(path) for path in paths}
    if not notebooks:
        print(f"nothing autograded for {options.name}", file=sys.stderr)
        return 2
    print(f"{len(notebooks)} submissions\n")
    for cell, check, points, hidden, passed, tried in shares(notebooks):
        kind = "hidden" if hidden else "      "
        print(f"{passed / tried:5.0%}  {kind}  {points:4g}  {cell}  {check}")
    pairs = alike(notebooks, options.alike)
    print(f"\n{len(pairs)} pairs of answers alike by {options.alike:g} or more")
    for likeness, name, one, other in pairs:
        print(f"{likeness:.2f}  {name}  {one}  {other}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
