"""The process that holds the tests. It runs check cells; the student's names in them are proxies.

A proxy sends its arguments through the door (plain_values.py) to the student's kernel and gets
plain values back, so no code of a submission ever runs here. Jobs come as JSON lines on stdin,
events go out as JSON lines on stdout; checking.py is at the other end.
"""

import ast
import builtins
import contextlib
import io
import json
import os
import queue
import random
import re
import signal
import socket
import sys
import threading
import time
import warnings

import numpy as np
from answer_door import GRACE, Answer, Door, KernelLost, TooSlow

HURRY = 10  # seconds a check may take once another one of its task ran out of time
EVENTS = os.fdopen(os.dup(1), "w", encoding="utf-8")  # what a check prints goes nowhere


def emit(**event):
    print(json.dumps(event), file=EVENTS, flush=True)


class Marks:
    """The points of one check cell; Score in that cell is made here."""

    def __init__(self, door, hidden_lines, limit):
        self.door, self.hidden_lines, self.limit = door, hidden_lines, limit
        self.points = 0.0

    def scorer(self):
        marks = self

        class Score:
            def check(self, name, points, **options):
                return lambda test: marks.run(test, name, points)

            def total(self):
                return marks.points

        return Score

    def run(self, test, name, points):
        """Run one check; what it earns is reported at once, so that nothing can take it away."""
        started = time.monotonic()
        self.door.limit = started + self.limit
        alarm(self.limit + GRACE + 2)
        message = ""
        try:
            with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.redirect_stdout(nowhere), np.errstate(all="ignore"):
                    test()
            if time.monotonic() > self.door.limit:
                raise TooSlow
        except (TooSlow, MemoryError) as error:
            kind = f"stopped after {self.limit:.3g} s"
            message = kind if isinstance(error, TooSlow) else "out of memory"
            self.limit = min(self.limit, HURRY, max(self.limit / 6, 1))
        except (KernelLost, AssertionError) as error:
            message = str(error)[:200] or "wrong"
        except BaseException as error:
            message = f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            alarm(0)
        self.points += 0 if message else points
        hidden = test.__code__.co_firstlineno in self.hidden_lines
        seconds = round(time.monotonic() - started, 3)
        emit(event="check", name=name, points=points, passed=not message, message=message,
             hidden=hidden, seconds=seconds)  # fmt: skip


def alarm(seconds):
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def on_alarm(*_):
    raise TooSlow


class Tests:
    """Runs check cells over the names of the locked cells that come before them."""

    def __init__(self):
        self.done, self.names = [], {}

    def locked(self, texts):
        """The names of the instructor's locked cells; each cell is run once."""
        if texts[: len(self.done)] != self.done:
            self.done, self.names = [], {}
        if not self.done:
            self.names = {"__name__": "__main__", "__builtins__": builtins}
        for text in texts[len(self.done) :]:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, "<locked cell>", "exec"), self.names)
            self.done.append(text)
        if sys.modules.get("vi_helpers", 0) is None:  # switched off for students only
            del sys.modules["vi_helpers"]
        return dict(self.names)

    def run(self, job):
        """Run one check cell; job holds source, locked, answers, address, limit and hidden."""
        global current
        current = None
        names = self.locked(job["locked"])
        known = {name: value for name, value in names.items() if not name.startswith("_")}
        current = door = Door(job["address"], known, lambda: emit(event="interrupt"))
        source = job["source"]
        lines = hidden_lines(source)
        if not job["hidden"]:
            kept = enumerate(source.splitlines(), start=1)
            source = "\n".join("" if number in lines else text for number, text in kept)
        marks = Marks(door, lines, job["limit"])
        names |= {"Score": marks.scorer(), "__name__": "__main__"}
        wanted = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        for name, kind in job["answers"].items():
            names.pop(name, None)
            if kind == "function":
                names[name] = Answer(door, [name])
            elif name in wanted:
                door.limit = time.monotonic() + GRACE
                with contextlib.suppress(Exception):
                    names[name] = door.get([name])
        try:
            body = ast.parse(source).body
            last = body.pop() if isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), "<check>", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "<check>", "eval"), names)
            emit(event="score", value=float(value))
        finally:
            door.socket.close()


def hidden_lines(source):
    """The numbers of the lines of the hidden tests."""
    lines, inside = set(), False
    for number, line in enumerate(source.splitlines(), start=1):
        inside = inside or bool(re.match(r"\s*### BEGIN HIDDEN TESTS", line))
        if inside:
            lines.add(number)
        inside = inside and not re.match(r"\s*### END HIDDEN TESTS", line)
    return lines


current = None


def read_jobs(jobs):
    """Put jobs in a queue; hang up at once when the kernel is gone."""
    for line in sys.stdin:
        job = json.loads(line)
        if job["do"] in ("run", "forget"):
            jobs.put(job)
        elif current is not None:
            with contextlib.suppress(OSError):
                current.socket.shutdown(socket.SHUT_RDWR)
    jobs.put(None)


def seed():
    """Make each check cell random in the same way, whatever ran before."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - a check may use the old functions
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def main():
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, on_alarm)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.chdir(sys.argv[1])
    os.environ["MPLBACKEND"] = "agg"
    jobs, tests = queue.Queue(), Tests()
    threading.Thread(target=read_jobs, args=(jobs,), daemon=True).start()
    while job := jobs.get():
        error = ""
        if job["do"] == "forget":  # the next submission
            tests = Tests()
            continue
        seed()
        try:
            tests.run(job)
        except BaseException as problem:
            kind = "" if isinstance(problem, KernelLost) else f"{type(problem).__name__}: "
            error = f"{kind}{str(problem)[:200]}"
        stuck = current is None or current.stuck
        emit(event="done", error=error, stuck=stuck)


if __name__ == "__main__":
    main()
