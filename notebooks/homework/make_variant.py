"""A private variant of an assignment: its checks with other numbers and data, from a seed.

    python make_variant.py hw1 7     writes variants/hw1/hw1.ipynb

Numbers that the checks pass to an answer change, and with them the seeds of random arguments; what
is expected is worked out anew by the model solution, which must then earn full marks. Texts,
figures and solutions stay: every task is the same function of other arguments.
"""

import ast
import contextlib
import io
import math
import re
import sys
import zlib
from pathlib import Path

import fast_start  # noqa: F401 - before nbformat
import nbformat
import numpy as np

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent
HIDDEN = "### BEGIN HIDDEN TESTS"
# a simulation has an error of its own: what is expected of it comes from the same in closed form
ORACLES = {"mended_elbo": lambda names: lambda *case: names["elbo"](*case[:5])}
# a helper whose last arguments are what fit_q should return for the first
HELPERS = {"hw1-05c-check": ("_compare", 3, "fit_q")}
TRIES = 20


def changed(value, seed):
    """Another number of the same sign, on the same side of 1; equal numbers stay equal."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(abs(value)).encode())])
    move = rng.choice([-1, 1]) * rng.uniform(0.08, 0.3)
    if value in (0, 1, -1) or not 1e-3 < abs(value) < 100:
        return value
    size = abs(value) ** (1 + move) if abs(value) < 1 else abs(value) * (1 + move)
    return math.copysign(float(f"{max(size, 1.01) if abs(value) > 1 else size:.3g}"), value)


def number_of(node):
    """The float that a node writes down, or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = number_of(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) is float else None


class Edits:
    """Replacements in one text, by the nodes they replace."""

    def __init__(self, text):
        self.text, self.found = text, []
        self.starts = np.cumsum([0, *[len(line.encode()) for line in text.splitlines(True)]])

    def replace(self, node, new):
        start = self.starts[node.lineno - 1] + node.col_offset
        self.found.append((start, self.starts[node.end_lineno - 1] + node.end_col_offset, new))

    def done(self):
        data = self.text.encode()
        for start, end, new in sorted(self.found, reverse=True):
            data = data[:start] + new.encode() + data[end:]
        return data.decode()


def vary(text, asked, helper, seed):
    """The text of a check cell with other numbers in it; asked are the names of the answers."""
    edits, last = Edits(text), text[: text.index(HIDDEN)].count("\n")

    def vary_list(node):
        counts = [entry.value for entry in node.elts if type(getattr(entry, "value", 0.0)) is int]
        if (
            isinstance(node, ast.List)
            and counts
            and len(counts) == len(node.elts)
            and max(counts) > 1
        ):
            for entry, old in zip(node.elts, counts, strict=True):
                more = np.random.default_rng([seed, old]).integers(1, 4)
                edits.replace(entry, repr(int(old + more) if old > 1 else old))
            return
        values = [number_of(entry) for entry in node.elts]
        if None in values:
            for entry in node.elts:
                look(entry)
            return
        new = [changed(value, seed) for value in values]
        if len(new) > 1 and min(new) >= 0 and abs(sum(values) - 1) < 1e-9:  # probabilities
            new = [round(value / sum(new), 3) for value in new]
            new[-1] = round(1 - sum(new[:-1]), 3)
        for entry, value in zip(node.elts, new, strict=True):
            edits.replace(entry, repr(value))

    def look(node):
        name = node.func.id if isinstance(node, ast.Call) and hasattr(node.func, "id") else ""
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "default_rng":
            for entry in node.args:
                if isinstance(entry, ast.Constant):
                    edits.replace(entry, repr(entry.value + 100 * seed))
        elif node.__dict__.get("lineno", 0) > last:
            children(node)
        elif name == "close":
            look(node.args[0])
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "expected":
            return  # comes out of the model solution
        elif name in asked or name == helper:
            for entry in node.args:
                value = number_of(entry)
                if value is None:
                    look(entry)
                else:
                    edits.replace(entry, repr(changed(value, seed)))
        elif isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load):
            vary_list(node)
        else:
            children(node)

    def children(node):
        for child in ast.iter_child_nodes(node):
            look(child)

    look(ast.parse(text))
    return edits.done()


class Seen(ast.NodeTransformer):
    """Makes close(A, B) and helpers of a text report what they met; nodes of B are kept."""

    def __init__(self, last, helper, inputs):
        self.last, self.helper, self.inputs, self.met = last, helper, inputs, []

    def visit_Call(self, node):
        name = getattr(node.func, "id", "")
        if node.lineno > self.last or name not in ("close", self.helper):
            return self.generic_visit(node)
        self.met.append(node)
        number, function = ast.Constant(len(self.met) - 1), ast.Name(f"_see_{name}", ast.Load())
        call = ast.Call(function, [number, *node.args], node.keywords)
        return ast.fix_missing_locations(ast.copy_location(call, node))


def literal(value):
    """A number or an array as text, to seven digits."""
    value = np.asarray(value, dtype=float)
    rounded = np.vectorize(lambda v: float(f"{v:.7g}"))(value)
    return repr(rounded.tolist())


def written(node, text):
    """Where an expected value is written down: here, or where its name was last assigned."""
    if not isinstance(node, ast.Name):
        return node
    given = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Assign)]
    before = [
        n for n in given if getattr(n.targets[0], "id", "") == node.id and n.lineno < node.lineno
    ]
    return max(before, key=lambda n: n.lineno).value


def expected_anew(text, names, helper):
    """The text with what is expected in its visible part worked out by the answers in names.

    What the new numbers leave true, such as an expected zero, stays as it is written.
    """
    name, inputs, answer = helper or ("no helper", 0, "")
    tree, edits = ast.parse(text), Edits(text)
    seen = Seen(text[: text.index(HIDDEN)].count("\n"), name, inputs)
    tree = seen.visit(tree)
    plain, close = names["plain"], names["close"]

    def see_close(number, value, expected, **options):
        try:
            return close(value, expected, rel=min(1e-5, options.get("rel", 1e-5)), tol=1e-9)
        except AssertionError:
            edits.replace(written(seen.met[number].args[1], text), literal(plain(value)))
            return True

    def see_helper(number, *arguments):
        value = names[answer](np.array(arguments[0]), *arguments[1:inputs])
        for node, part in zip(seen.met[number].args[inputs:], plain(value), strict=True):
            edits.replace(node, literal(part))

    run = {**names, "_see_close": see_close, f"_see_{name}": see_helper}
    run |= {known: oracle(names) for known, oracle in ORACLES.items() if known in names}
    execute(tree, run)
    return edits.done()


def execute(tree, names):
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        exec(compile(tree, "<cell>", "exec"), names)


def tag_of(cell):
    return cell.metadata.get("nbgrader", {})


def run_locked(cells):
    """The names of all cells that are no checks, with the model solution in them."""
    names = {"__name__": "__main__"}
    for cell in cells:
        is_figure = tag_of(cell).get("grade_id", "").endswith("-show")
        if cell.cell_type == "code" and not tag_of(cell).get("grade") and not is_figure:
            execute(ast.parse(cell.source), names)
    return names


def make(notebook, seed):
    """Change the notebook's checks; returns what the model solution loses, {cell: points}."""
    names, lost = run_locked(notebook.cells), {}
    asked = {
        node.name
        for cell in notebook.cells
        if cell.cell_type == "code" and tag_of(cell).get("solution")
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.FunctionDef)
    }
    for cell in notebook.cells:
        if cell.cell_type == "code" and tag_of(cell).get("grade"):
            helper = HELPERS.get(tag_of(cell)["grade_id"])
            text = vary(cell.source, asked, helper[0] if helper else None, seed)
            cell.source = expected_anew(text, names, helper)
            run = dict(names)
            execute(ast.parse(cell.source), run)
            if run["score"].total() < tag_of(cell)["points"]:
                lost[tag_of(cell)["grade_id"]] = tag_of(cell)["points"] - run["score"].total()
    return lost


def main(name, seed):
    source = HERE / "source" / name / f"{name}.ipynb"
    if not source.exists() or not re.fullmatch(r"[1-9]\d*", seed):
        print(f"no variant {seed} of {name}: see python make_variant.py", file=sys.stderr)
        return 2
    for attempt in range(TRIES):
        notebook = nbformat.read(source, as_version=4)
        lost = make(notebook, int(seed) * TRIES + attempt)
        if not lost:
            break
    else:
        print(f"the model solution loses points in {lost}", file=sys.stderr)
        return 1
    target = HERE / "variants" / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 3 else __doc__)
