"""Score variants of a homework's answers without a kernel: JSON in on stdin, JSON out on stdout.

In: {"notebook": path, "variants": [{grade_id of an answer cell: code or null, ...}, ...]}.
A variant's code replaces the reference in that cell; null leaves the cell out.
Out: one {grade_id of a check cell: points} for each variant.
Runs as a process of its own, because a homework switches vi_helpers off.
"""

import ast
import contextlib
import io
import json
import os
import sys

from cell_rules import is_figure

os.environ["MPLBACKEND"] = "Agg"


def points_of(source, namespace):
    """Run a check cell; return the number in its last line."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value)
    exec(compile(ast.Module(body, []), "<check>", "exec"), namespace)
    return eval(compile(last, "<check>", "eval"), namespace)


def grade(cells, variant):
    """Run every cell in order, the variant's answers in place; return the points of each check."""
    namespace, points = {"__name__": "__main__"}, {}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            name, source = cell["metadata"]["nbgrader"]["grade_id"], "".join(cell["source"])
            if cell["metadata"]["nbgrader"]["grade"]:
                points[name] = points_of(source, namespace)
            elif variant.get(name, source) is not None and not is_figure(name):
                exec(compile(variant.get(name, source), f"<{name}>", "exec"), namespace)
    return points


if __name__ == "__main__":
    job = json.load(sys.stdin)
    with open(job["notebook"], encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    cells = [c for c in cells if c["cell_type"] == "code" and "nbgrader" in c["metadata"]]
    json.dump([grade(cells, variant) for variant in job["variants"]], sys.stdout)
