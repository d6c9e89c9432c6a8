"""Sent into every grading kernel first: switches vi_helpers off and guards the checks."""


def _make_guard():
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

    class NoCoursePackage:
        """Stops `import vi_helpers` before any other finder is asked."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split(".")[0] == "vi_helpers":
                raise ModuleNotFoundError("vi_helpers is switched off in homework", name=name)

    sys.meta_path.insert(0, NoCoursePackage)

    class OutputLimitError(Exception):
        """A cell printed too much."""

    written = [0]

    class Limited(io.StringIO):
        """Stops a flood where it starts: later it would fill the grader's memory too."""

        def write(self, text):
            written[0] += len(text)
            if written[0] > max_output:  # noqa: F821  (passed in)
                raise OutputLimitError(f"more than {max_output} characters printed")  # noqa: F821
            return super().write(text)

    # every stream keeps its text in one of these until it is sent
    ipykernel.iostream.StringIO = Limited
    for stream in sys.stdout, sys.stderr:
        stream._buffers = collections.defaultdict(Limited)
    events = get_ipython().events  # noqa: F821  (passed in)
    events.register("pre_run_cell", lambda info: written.__setitem__(0, 0))

    watched = [builtins, math, os, contextlib, warnings, ast, numpy, numpy.linalg, numpy.random]
    watched += [integrate, optimize, special]
    pristine = [(module, dict(vars(module))) for module in watched]
    streams = sys.stdout, sys.stderr, sys.displayhook
    quiet = {"_", "display", "get_ipython", "environ", "input"}  # IPython's own changes

    def restore():
        """Undo changes to the modules the checks use; return the names that had been changed."""
        changed = []
        for module, names in pristine:
            for name, value in names.items():
                if vars(module).get(name) is not value and name not in quiet:
                    setattr(module, name, value)
                    if not name.startswith("__"):
                        changed.append(f"{module.__name__}.{name}")
        sys.stdout, sys.stderr, sys.displayhook = streams
        return changed

    def run(locked, source, points):
        """Run a check cell in names of its own, which a submission cannot have redefined.

        The submission's names are copied in, then the instructor's locked cells are run on top.
        """
        changed = restore()
        names = {"__name__": "__main__", "__builtins__": dict(pristine[0][1])}
        shadows = pristine[0][1]
        given = get_ipython().user_ns  # noqa: F821  (passed in)
        names = {key: value for key, value in given.items() if key not in shadows} | names
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            for text in locked:
                exec(compile(text, "<locked cell>", "exec"), names)
            body = ast.parse(source).body
            last = ast.Expression(body.pop().value)
            exec(compile(ast.Module(body, []), "<check>", "exec"), names)
            score = float(eval(compile(last, "<check>", "eval"), names))
        changed += restore()
        if changed:
            print("put back before the check:", ", ".join(sorted(set(changed))))
        return min(max(score, 0.0), points)

    guard = types.ModuleType("_homework_guard")
    guard.run = run
    sys.modules["_homework_guard"] = guard


_make_guard()
del _make_guard
