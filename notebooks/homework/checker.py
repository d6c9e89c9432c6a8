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
import re
import signal
import socket
import sys
import threading
import time
import warnings

import numpy as np
import plain_values
from plain_values import Channel, NotPlainError

GRACE = 4  # seconds for the other side to notice an interrupt
HURRY = 10  # seconds a check may take once another one of its task ran out of time
SHARED = ("builtins", "math", "cmath", "operator", "numpy", "scipy", "torch")
# what an answer may raise here; the rest, such as StopIteration, could end a loop of the check
RAISED = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
    if not re.search("Iter|Unicode|Group|Timeout", name)
}


EVENTS = os.fdopen(os.dup(1), "w", encoding="utf-8")  # what a check prints goes nowhere


def emit(**event):
    print(json.dumps(event), file=EVENTS, flush=True)


class StudentError(Exception):
    """An exception of the student's code that Python itself does not have."""


class TooSlow(BaseException):
    """A check has used up its time."""


class Answer:
    """Stands for what a student wrote: a function, or an object that one returned."""

    def __init__(self, door, path, kind="function"):
        self.__dict__.update(_door=door, _path=path, _kind=kind, __name__=str(path[-1]))

    def __call__(self, *args, **kwargs):
        return self._door.call(self._path, args, kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._door.get([*self._path, name])

    def _refuse(self, *_):
        raise TypeError(f"a {self._kind} came back where a plain value was expected")

    __bool__ = __len__ = __iter__ = __float__ = __int__ = __index__ = __complex__ = _refuse
    __array__ = __getitem__ = __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse
    __hash__ = object.__hash__


class Door:
    """The tests' side of the door to one kernel."""

    def __init__(self, address, locked):
        self.locked = locked  # {name: value} of the instructor's locked cells
        self.functions, self.limit, self.stuck = [], None, False
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(GRACE)
        self.socket.connect(address if isinstance(address, str) else tuple(address))
        self.channel = Channel(self.socket)

    def get(self, path):
        reply = self.request({"do": "get", "target": path})
        return plain_values.decode(reply["value"], self.resolve)

    def call(self, path, args, kwargs):
        sent = {"args": self.encode(list(args)), "kwargs": self.encode(kwargs)}
        reply = self.request({"do": "call", "target": path, **sent})
        if "after" in reply:
            args_now, kwargs_now = plain_values.decode(reply["after"], self.resolve)
            plain_values.update(list(args), args_now)
            plain_values.update(kwargs, kwargs_now)
        return plain_values.decode(reply["value"], self.resolve)

    def request(self, message):
        """Send a request, answer calls back, return the reply or raise what it says."""
        if self.stuck:
            raise ConnectionError("Python had to be stopped in an earlier check")
        try:
            self.channel.send(message)
            reply = self.receive()
            while "callback" in reply:
                self.channel.send(self.called_back(reply))
                reply = self.receive()
        except OSError:
            self.stuck = True
            raise ConnectionError("Python stopped while this ran") from None
        if "error" in reply:
            name, text = (str(part)[:200] for part in reply["error"])
            if name in RAISED:
                raise RAISED[name](text)
            raise StudentError(f"{name[:80]}: {text}")
        if "value" not in reply:
            raise NotPlainError("a value that cannot be read")
        return reply

    def receive(self):
        """The next message; when the time of the check is up, have the kernel interrupted."""
        try:
            self.socket.settimeout(max(0.01, self.limit - time.monotonic()))
            reply = self.channel.receive()
        except TimeoutError:
            emit(event="interrupt")
            self.socket.settimeout(GRACE)
            try:
                self.channel.receive()
            except (OSError, NotPlainError):
                self.stuck = True
            raise TooSlow from None
        if not isinstance(reply, dict):
            raise NotPlainError("a value that cannot be read")
        return reply

    def called_back(self, message):
        """Run a function that the student's code was given."""
        try:
            function = self.functions[message["callback"]]
            parts = [message[key] for key in ("args", "kwargs", "upstream")]
            args, kwargs, upstream = (plain_values.decode(p, self.resolve) for p in parts)
            if upstream is None:
                return {"value": self.encode(function(*args, **kwargs))}
            import torch

            inputs = [v.requires_grad_() if is_real(torch, v) else v for v in args]
            asked = [v for v in inputs if is_real(torch, v)]
            found = torch.autograd.grad(function(*inputs), asked, upstream, allow_unused=True)
            given = dict(zip(map(id, asked), found, strict=True))
            return {"value": self.encode([given.get(id(v)) for v in inputs])}
        except Exception as error:
            return {"error": [type(error).__name__, str(error)[:200]]}

    def encode(self, value):
        return plain_values.encode(value, self.refer)

    def refer(self, value):
        """A node for what is no plain value: by its name if both sides know it."""
        if isinstance(value, Answer):
            path = value._path
            return ["object", *path] if isinstance(path[0], int) else ["name", *path]
        for name, known in self.locked.items():
            if known is value and callable(value):
                return ["name", name]
        if where := library_name(value):
            return ["import", *where]
        if callable(value):
            self.functions.append(value)
            return ["function", len(self.functions) - 1]
        raise NotPlainError(f"the check passes a {type(value).__name__}, which is not plain")

    def resolve(self, node):
        if len(node) == 4 and node[0] == "object" and type(node[1]) is int:
            return Answer(self, [node[1]], str(node[2])[:80])
        return None


def library_name(value):
    """(module, name) under which both sides can import value, or None."""
    if type(value).__module__ == "torch":  # torch.float64 and its like
        return "torch", repr(value).split(".")[-1]
    if isinstance(value, np.ufunc):
        return ("numpy" if hasattr(np, value.__name__) else "scipy.special"), value.__name__
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "<")
    bound = not isinstance(getattr(value, "__self__", sys), type(sys))
    shared = module and module.split(".")[0] in SHARED and "<" not in name and not bound
    return (module, name) if shared else None


def is_real(torch, value):
    return isinstance(value, torch.Tensor) and value.is_floating_point()


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
                with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                    test()
            if time.monotonic() > self.door.limit:
                raise TooSlow
        except (TooSlow, MemoryError) as error:
            kind = f"stopped after {self.limit:g} s"
            message = kind if isinstance(error, TooSlow) else "out of memory"
            self.limit = min(self.limit, HURRY)
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
        current = door = Door(job["address"], {k: v for k, v in names.items() if k[0] != "_"})
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
        if job["do"] == "run":
            jobs.put(job)
        elif current is not None:
            with contextlib.suppress(OSError):
                current.socket.shutdown(socket.SHUT_RDWR)
    jobs.put(None)


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
        try:
            tests.run(job)
        except BaseException as problem:
            error = f"{type(problem).__name__}: {str(problem)[:200]}"
        stuck = current is None or current.stuck
        emit(event="done", error=error, stuck=stuck)


if __name__ == "__main__":
    main()
