"""Sent into every grading kernel first: switches vi_helpers off and guards the checks.

The sender runs this text in names and built-ins of its own and then calls install.
"""

import ast
import builtins
import collections
import contextlib
import io
import math
import os
import sys
import types
import warnings

import ipykernel.iostream
import numpy
from scipy import integrate, optimize, special

WATCHED = [builtins, math, os, contextlib, warnings, ast, numpy, numpy.linalg, numpy.random]
WATCHED += [integrate, optimize, special]
QUIET = {"_", "display", "get_ipython", "environ", "input"}  # IPython's own changes


class OutputLimitError(Exception):
    """A cell printed too much."""


class NoCoursePackage:
    """Stops `import vi_helpers` before any other finder is asked."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "vi_helpers":
            raise ModuleNotFoundError("vi_helpers is switched off in homework", name=name)


def limit_output(events, max_output):
    """Stop a flood where it starts: later it would fill the grader's memory too."""
    written = [0]

    class Limited(io.StringIO):
        def write(self, text):
            written[0] += len(text)
            if written[0] > max_output:
                raise OutputLimitError(f"more than {max_output} characters printed")
            return super().write(text)

    # every stream keeps its text in one of these until it is sent
    ipykernel.iostream.StringIO = Limited
    for stream in sys.stdout, sys.stderr:
        stream._buffers = collections.defaultdict(Limited)
    events.register("pre_run_cell", lambda info: written.__setitem__(0, 0))


class Guard:
    """Runs check cells apart from the submission: its names, its changes to shared modules."""

    def __init__(self, shell):
        self.shell = shell
        self.pristine = [(module, dict(vars(module))) for module in WATCHED]
        self.streams = sys.stdout, sys.stderr, sys.displayhook

    def restore(self):
        """Undo changes to the modules the checks use; return the names that had been changed."""
        changed = []
        for module, names in self.pristine:
            for name, value in names.items():
                if vars(module).get(name) is not value and name not in QUIET:
                    setattr(module, name, value)
                    if not name.startswith("__"):
                        changed.append(f"{module.__name__}.{name}")
        sys.stdout, sys.stderr, sys.displayhook = self.streams
        return changed

    def run(self, locked, source, points):
        """Run a check cell in names of its own, which a submission cannot have redefined.

        The submission's names are copied in, then the instructor's locked cells are run on top.
        """
        changed = self.restore()
        shadows = self.pristine[0][1]
        names = {key: value for key, value in self.shell.user_ns.items() if key not in shadows}
        names |= {"__name__": "__main__", "__builtins__": dict(shadows)}
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            for text in locked:
                exec(compile(text, "<locked cell>", "exec"), names)
            body = ast.parse(source).body
            last = ast.Expression(body.pop().value)
            exec(compile(ast.Module(body, []), "<check>", "exec"), names)
            score = float(eval(compile(last, "<check>", "eval"), names))
        changed += self.restore()
        if changed:
            print("put back before the check:", ", ".join(sorted(set(changed))))
        return min(max(score, 0.0), points)


def install(shell, max_output):
    """Switch vi_helpers off, limit what is printed, and make `import _homework_guard` work."""
    sys.meta_path.insert(0, NoCoursePackage)
    limit_output(shell.events, max_output)
    guard = types.ModuleType("_homework_guard")
    guard.run = Guard(shell).run
    sys.modules["_homework_guard"] = guard
