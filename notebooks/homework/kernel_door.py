"""The submission's side of the door: calls what the student wrote, one request at a time.

Runs in the student's kernel, so nothing here is trusted by the tests: it sees the arguments of
each call and answers with plain values. kernel_side.py opens it before the student's code.
"""

import builtins
import contextlib
import importlib
import os
import sys
import warnings

import numpy as np
import plain_values
from plain_values import NotPlainError


class Door:
    """Serves requests on a listening socket; names is the kernel's namespace."""

    def __init__(self, listener, names):
        self.listener, self.names = listener, names
        self.objects, self.channel = [], None

    def serve(self):
        """Answer one caller until it hangs up; one that has left already does not count."""
        while True:
            connection, _ = self.listener.accept()
            self.objects, self.channel = [], plain_values.Channel(connection)
            with connection:
                try:
                    self.channel.receive()
                    self.channel.send({"value": "hello"})
                except (OSError, NotPlainError):
                    continue
                return self.converse()

    def converse(self):
        while True:
            try:
                self.channel.send(self.answer(self.channel.receive()))
            except KeyboardInterrupt:
                continue  # it came too late to stop anything
            except OSError:
                return
            except Exception as error:
                self.channel.send({"error": ["TypeError", str(error)[:200]]})

    def answer(self, request):
        try:
            with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                quiet = contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere)
                # a student may have had numpy raise: exp(-5000) = 0 is no mistake
                with quiet[0], quiet[1], np.errstate(all="ignore"):
                    return self.perform(request)
        except BaseException as error:
            return {"error": [type(error).__name__[:80], str(error)[:200]]}

    def perform(self, request):
        target = self.target(request["target"])
        if request["do"] == "get":
            return {"value": self.encode(target)}
        inputs = [plain_values.decode(request[key], self.resolve) for key in ("args", "kwargs")]
        before = plain_values.encode(inputs, lambda _: None)
        reply = {"value": self.encode(target(*inputs[0], **inputs[1]))}
        after = plain_values.encode(inputs, lambda _: None)
        return reply | ({"after": after} if repr(after) != repr(before) else {})

    def target(self, path):
        """What a request names: a global name or a numbered object, and attributes of it."""
        first, *attributes = path
        if isinstance(first, int):
            value = self.objects[first]
        elif first in self.names:
            value = self.names[first]
        else:
            raise NameError(f"name '{first}' is not defined")
        for name in attributes:
            value = getattr(value, name)
        return value

    def encode(self, value):
        return plain_values.encode(value, self.refer)

    def refer(self, value):
        """The nearest plain value of what is not quite plain; else a numbered object."""
        if isinstance(value, np.ndarray) and value.dtype == object:
            return self.encode(value.tolist())
        for base in (bool, int, float, complex, str, tuple, list, dict):
            if isinstance(value, base):
                return self.encode(base(value))
        if isinstance(value, range | type({}.keys()) | type({}.values()) | type({}.items())):
            return self.encode(list(value))
        if hasattr(value, "__next__") and not hasattr(value, "send"):  # map, zip, filter
            return self.encode(list(value))
        if not isinstance(value, type) and not callable(value):
            if hasattr(value, "__array__"):
                return self.encode(np.asarray(value))
            if hasattr(value, "__float__"):
                return self.encode(float(value))
        self.objects.append(value)
        return ["object", len(self.objects) - 1, type(value).__name__[:80], callable(value)]

    def resolve(self, node):
        name, *rest = node
        if name == "object":
            return self.objects[rest[0]]
        if name == "name":
            return self.target(rest)
        if name == "import":
            value = importlib.import_module(rest[0])
            for attribute in rest[1].split("."):
                value = getattr(value, attribute)
            return value
        if name == "function":
            return lambda *args, **kwargs: self.call_back(rest[0], args, kwargs)
        raise NotPlainError(f"an unknown kind of value: {name}")

    def call_back(self, number, args, kwargs):
        """Call a function that lives with the tests; gradients of torch pass through it."""
        torch = sys.modules.get("torch")
        if torch and any(isinstance(v, torch.Tensor) and v.requires_grad for v in args):
            return differentiable(torch, lambda *more: self.ask(number, *more)).apply(*args)
        return self.ask(number, args, kwargs)

    def ask(self, number, args, kwargs, upstream=None):
        message = {"callback": number, "args": self.encode(list(args))}
        message |= {"kwargs": self.encode(kwargs), "upstream": self.encode(upstream)}
        self.channel.send(message)
        reply = self.channel.receive()
        if "error" in reply:
            kind = getattr(builtins, reply["error"][0], RuntimeError)
            raise kind(reply["error"][1])
        return plain_values.decode(reply["value"], self.resolve)


def differentiable(torch, ask):
    class Remote(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            ctx.args = args
            return ask([v.detach() if isinstance(v, torch.Tensor) else v for v in args], {})

        @staticmethod
        def backward(ctx, upstream):
            values = [v.detach() if isinstance(v, torch.Tensor) else v for v in ctx.args]
            return tuple(ask(values, {}, upstream))

    return Remote
