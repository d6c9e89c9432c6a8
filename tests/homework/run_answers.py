"""Score variants of a homework's answers without a kernel: JSON in on stdin, JSON out on stdout.

In: {"notebook": path, "seconds": processor time for a check cell, "variants": [{"answers":
{grade_id: code or null, ...},
"only": grade_id of a check cell, or null for all}, ...]}.
A variant's code replaces the reference in that cell; null leaves the cell out. With "only", the
other tasks are not run.
Out: for each variant {grade_id of a check cell: {"total": points, "checks": {title: points}}}.
Runs as a process of its own, because a homework switches vi_helpers off.
"""

import ast
import contextlib
import io
import json
import os
import signal
import sys

import numpy as np
from cell_rules import is_figure

os.environ["MPLBACKEND"] = "Agg"


def too_slow(*_):
    raise TimeoutError("too slow")


def set_timers(seconds):
    """Stop a check, and each later one of its cell, after so much processor time.

    The clock on the wall would stop a right answer on a busy computer; it only ends a sleep.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds, seconds)


def points_of(source, namespace):
    """Run a check cell; return the number in its last line, and the points of each check."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value)
    exec(compile(ast.Module(body, []), "<check>", "exec"), namespace)
    total = eval(compile(last, "<check>", "eval"), namespace)
    assert type(total) is float, "nbgrader takes anything but a float for full marks"
    return {"total": total, "checks": namespace["score"].results}


def grade(cells, answers, only, seconds):
    """Run the cells in order, the variant's answers in place; return the points of each check."""
    namespace, points = {"__name__": "__main__"}, {}
    with contextlib.redirect_stdout(io.StringIO()), np.errstate():
        for cell in cells:
            tag, source = cell["metadata"]["nbgrader"], "".join(cell["source"])
            name = tag["grade_id"]
            if tag["grade"]:
                if only in (None, name):
                    set_timers(seconds)
                    points[name] = points_of(source, namespace)
                    set_timers(0)
            elif is_figure(name) or (tag["solution"] and only and name not in answers):
                continue
            elif answers.get(name, source) is not None:
                exec(compile(answers.get(name, source), f"<{name}>", "exec"), namespace)
    return points


if __name__ == "__main__":
    job = json.load(sys.stdin)
    for timer in signal.SIGALRM, signal.SIGPROF:
        signal.signal(timer, too_slow)
    with open(job["notebook"], encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    cells = [c for c in cells if c["cell_type"] == "code" and "nbgrader" in c["metadata"]]
    done = [grade(cells, v["answers"], v["only"], job["seconds"]) for v in job["variants"]]
    json.dump(done, sys.stdout)
