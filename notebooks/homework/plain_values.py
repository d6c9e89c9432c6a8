"""What may pass the door between a submission and the tests: plain values, as JSON.

Numbers, strings, None, lists, tuples, sets, dictionaries, numpy arrays, torch tensors and random
generators travel as copies; of anything else only a reference travels. Nothing is unpickled, so
what arrives has exactly these types, whatever the sender is. Used on both sides of the door.
"""

import base64
import json
import math
import re
import struct
import sys

import numpy as np

MAX_BYTES = 64 << 20
DTYPE = re.compile(r"[<>|=][biufcU]\d{1,4}")
CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


class NotPlainError(TypeError):
    """A value that cannot pass the door."""


def encode(value, refer):
    """value as nested JSON lists; refer(value) makes the node of whatever is not plain."""
    kind = type(value)
    if value is None or kind in (bool, str, float) or (kind is int and abs(value) < 1 << 1000):
        return value
    if kind is complex:
        return ["complex", value.real, value.imag]
    if kind.__name__ in CONTAINERS and kind is CONTAINERS[kind.__name__]:
        return [kind.__name__, [encode(item, refer) for item in value]]
    if kind is dict:
        return ["dict", [[encode(k, refer), encode(v, refer)] for k, v in value.items()]]
    if kind is slice:
        return ["slice", [encode(v, refer) for v in (value.start, value.stop, value.step)]]
    if isinstance(value, np.ndarray | np.generic) and DTYPE.fullmatch(value.dtype.str):
        name = "array" if isinstance(value, np.ndarray) else "scalar"
        array = np.asarray(value)
        return [name, array.dtype.str, list(array.shape), pack(array.tobytes())]
    if kind is np.random.Generator and type(value.bit_generator).__name__ in BIT_GENERATORS:
        return ["random", encode(value.bit_generator.state, refer)]
    torch = sys.modules.get("torch")
    if torch and isinstance(value, torch.Tensor):
        array = encode(value.detach().cpu().numpy(), refer)
        return ["tensor", bool(value.requires_grad), array]
    if torch and kind is torch.Generator:
        return ["torch random", encode(value.get_state(), refer)]
    return refer(value)


def decode(node, resolve):
    """The value of a node; resolve(node) makes the values that do not travel as copies.

    Raises NotPlainError for whatever encode would not have written.
    """
    try:
        return _decode(node, resolve)
    except NotPlainError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise NotPlainError(f"a value that cannot be read ({type(error).__name__})") from None


def _decode(node, resolve):
    if type(node) is not list:
        if node is None or type(node) in (bool, int, float, str):
            return node
        raise NotPlainError("a value that cannot be read")
    name, rest = node[0], node[1:]
    if name == "complex":
        return complex(float(rest[0]), float(rest[1]))
    if name in CONTAINERS:
        return CONTAINERS[name](_decode(item, resolve) for item in rest[0])
    if name == "dict":
        return {_decode(k, resolve): _decode(v, resolve) for k, v in rest[0]}
    if name == "slice":
        return slice(*(_decode(item, resolve) for item in rest[0]))
    if name in ("array", "scalar"):
        dtype, shape, text = rest
        if not DTYPE.fullmatch(dtype):
            raise NotPlainError("an array of an unknown type")
        array = np.frombuffer(base64.b64decode(text), dtype)
        if array.size != math.prod(shape):
            raise NotPlainError("an array of the wrong size")
        array = array.reshape([int(length) for length in shape]).copy()
        return array if name == "array" else array[()]
    if name == "random":
        state = _decode(rest[0], resolve)
        if state["bit_generator"] not in BIT_GENERATORS:
            raise NotPlainError("an unknown random generator")
        generator = getattr(np.random, state["bit_generator"])(0)
        generator.state = state
        return np.random.Generator(generator)
    if name == "tensor":
        array, torch = _decode(rest[1], resolve), sys.modules.get("torch")
        if torch is None:
            return array
        return torch.from_numpy(np.asarray(array)).requires_grad_(rest[0] is True)
    if name == "torch random":
        import torch

        return torch.Generator().set_state(_decode(rest[0], resolve))
    return resolve(node)


def update(old, new):
    """Give a mutable old value the contents of new, which came back from a call."""
    torch = sys.modules.get("torch")
    if type(old) is not type(new):
        return
    if isinstance(old, np.ndarray):
        if old.shape == new.shape and old.dtype == new.dtype and old.flags.writeable:
            old[...] = new
    elif isinstance(old, np.random.Generator):
        old.bit_generator.state = new.bit_generator.state
    elif type(old) in (list, tuple) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            update(before, after)
            if type(old) is list and type(after) in (bool, int, float, str, complex):
                old[index] = after
    elif type(old) is list:
        old[:] = new
    elif type(old) is set:
        old.clear()
        old.update(new)
    elif type(old) is dict:
        for key in [key for key in old if key not in new]:
            del old[key]
        for key, after in new.items():
            update(old.get(key), after)
            if key not in old or type(after) in (bool, int, float, str, complex):
                old[key] = after
    elif torch and isinstance(old, torch.Tensor):
        with torch.no_grad():
            old.copy_(new)
    elif torch and isinstance(old, torch.Generator):
        old.set_state(new.get_state())


def pack(data):
    return base64.b64encode(data).decode("ascii")


class Channel:
    """Messages over a socket: four bytes of length, then JSON."""

    def __init__(self, socket):
        self.socket, self.buffer = socket, b""

    def send(self, message):
        data = json.dumps(message).encode()
        if len(data) > MAX_BYTES:
            raise NotPlainError(f"a value of more than {MAX_BYTES >> 20} MiB")
        self.socket.sendall(struct.pack(">I", len(data)) + data)

    def receive(self):
        """The next message; ConnectionError at the end, NotPlainError if it is no message."""
        length = struct.unpack(">I", self.take(4))[0]
        if length > MAX_BYTES:
            raise ConnectionError("a message that is too long")
        try:
            return json.loads(self.take(length))
        except (ValueError, RecursionError):
            raise NotPlainError("a value that cannot be read") from None

    def take(self, count):
        while len(self.buffer) < count:  # what has come stays, should this be interrupted
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("the other side is gone")
            self.buffer += piece
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data
