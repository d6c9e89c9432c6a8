"""Break the reference answers of a homework in small ways and list what its checks do not notice.

    python tests/tools/mutate_homework.py hw1 [--task 03]

Each mutant changes one place of one answer: an operator, a constant, an axis, a term left out, a
sum for a mean, a log or an exp dropped or clipped. One that keeps full marks survives. Survivors
that are wrong answers belong in tests/homework/NAME.toml; the others are as right as any.
"""

import argparse
import ast
import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from homework import tables

OPERATORS = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult], ast.Gt: [ast.GtE, ast.Lt], ast.Lt: [ast.LtE, ast.Gt],
}  # fmt: skip
NAMES = {
    "sum": "mean", "mean": "sum", "std": "var", "expm1": "exp", "exp": "expm1", "log": "log1p",
    "sqrt": "square", "max": "min", "gammaln": "digamma", "tanh": "sin", "softplus": "relu",
    "sigmoid": "tanh", "logsumexp": "max",
}  # fmt: skip


def parse(text):
    return ast.parse(text, mode="eval").body


def constants(node):
    """Other values for a constant."""
    value = node.value
    if isinstance(value, bool):
        return [ast.Constant(not value)]
    if isinstance(value, int | float):
        return [
            ast.Constant(v) for v in dict.fromkeys([value + 1, value / 2, -value]) if v != value
        ]
    return []


def calls(node):
    """Other versions of a call: what it is applied to, clipped, or a sister function."""
    found, function = [], node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in NAMES and isinstance(function, ast.Attribute):
        found.append(copy.deepcopy(node))
        found[-1].func.attr = NAMES[name]
    if name in ("log", "exp", "tanh", "expm1") and len(node.args) == 1:
        inner = ast.unparse(node.args[0])
        limits = {"log": "1e-12, None", "exp": "-50, 50"}.get(name, "-20, 20")
        found += [node.args[0], parse(f"{ast.unparse(function)}(np.clip({inner}, {limits}))")]
    for index, keyword in enumerate(node.keywords):
        if keyword.arg in ("axis", "dim", "keepdims", "ddof"):
            found.append(copy.deepcopy(node))
            del found[-1].keywords[index]
    return found


def versions(node):
    """Everything that may stand in the place of this node."""
    if isinstance(node, ast.Constant):
        return constants(node)
    if isinstance(node, ast.Call):
        return calls(node)
    found = []
    if isinstance(node, ast.BinOp | ast.Compare):
        operator = node.op if isinstance(node, ast.BinOp) else node.ops[0]
        for other in OPERATORS.get(type(operator), []):
            found.append(copy.deepcopy(node))
            setattr(found[-1], *(("op", other()) if hasattr(node, "op") else ("ops", [other()])))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
            found += [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        found.append(node.operand)
    return found


def mutants(source):
    """Yield (what was changed, the new source), one change at a time."""
    tree = ast.parse(source)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            places = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, node in places:
                if not isinstance(node, ast.expr):
                    continue
                for other in versions(node):
                    holder = value if index is not None else parent.__dict__
                    key = index if index is not None else field
                    holder[key] = other
                    changed = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
                    holder[key] = node
                    line = f"line {node.lineno}: {ast.unparse(node)}  ->  {ast.unparse(other)}"
                    yield line, changed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help=f"one of {', '.join(tables.NAMES)}")
    parser.add_argument("--task", default="", help="only answer cells whose id contains this")
    parser.add_argument("--seconds", type=float, default=5, help="for the checks of one answer")
    options = parser.parse_args()
    answers = {
        c["metadata"]["nbgrader"]["grade_id"]: c["source"] for c in tables.cells_of(options.name)
    }
    for task in tables.tasks_of(options.name):
        answer, check = task["answer"], task["check"]
        if options.task not in answer:
            continue
        made = list({code: line for line, code in mutants(answers[answer])}.items())
        variants = [(task["needed"] | {answer: code}, check) for code, _ in made]
        most = sum(sum(points.values()) for points in tables.checks_of(options.name)[check])
        graded = tables.score(options.name, variants, options.seconds)
        alive = [
            line for (_, line), got in zip(made, graded, strict=True) if got[check]["total"] == most
        ]
        print(f"{answer}: {len(alive)} of {len(made)} mutants survive")
        print("".join(f"    {line}\n" for line in alive), end="", flush=True)


if __name__ == "__main__":
    main()
