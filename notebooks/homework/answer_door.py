"""The tests' side of the door: stands in for what a student wrote, and sends plain values."""

import builtins
import re
import socket
import sys
import time

import numpy as np
import plain_values
from plain_values import Channel, NotPlainError

HELLO = 30  # seconds for the kernel to come to the door
GRACE = 4  # seconds for the other side to notice an interrupt
SHARED = ("builtins", "math", "cmath", "operator", "numpy", "scipy", "torch")
# what an answer may raise here; the rest, such as StopIteration, could end a loop of the check
RAISED = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
    if not re.search("Iter|Unicode|Group|Timeout", name)
}


class StudentError(Exception):
    """An exception of the student's code that Python itself does not have."""


class KernelLost(Exception):
    """The student's Python is gone."""


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

    def __init__(self, address, locked, interrupt):
        self.locked, self.interrupt = locked, interrupt  # {name: value} of the locked cells
        self.functions, self.limit, self.stuck = [], None, False
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(HELLO)
        self.channel = Channel(self.socket)
        try:
            self.socket.connect(address if isinstance(address, str) else tuple(address))
            self.channel.send({"do": "hello"})
            self.channel.receive()
        except (OSError, NotPlainError):
            self.socket.close()
            raise KernelLost("the answers cannot be called") from None

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
            raise KernelLost("not run: an earlier check stopped Python")
        try:
            self.channel.send(message)
            reply = self.receive()
            while "callback" in reply:
                self.channel.send(self.called_back(reply))
                reply = self.receive()
        except OSError:
            self.stuck = True
            raise KernelLost("this stopped Python") from None
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
            self.interrupt()
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
