"""The door between a submission and its tests: plain values pass, nothing else does."""

import socket
import threading
import time

import numpy as np
import plain_values
import pytest
import torch
from answer_door import Answer, Door, KernelLost, StudentError, TooSlow
from kernel_door import Door as KernelDoor

if not hasattr(socket, "AF_UNIX"):
    pytest.skip("needs sockets with a path", allow_module_level=True)


def locked_shift(x):
    return x + 100


class Model:
    """What a student may return: an object with state and methods."""

    def __init__(self, scale):
        self.scale = scale

    def encode(self, x, power=1):
        return self.scale * x**power


def fill(x, seen):
    x[:] = 7
    seen["count"] += 1


def refuse(x):
    raise ValueError("no " + x)


STUDENT = {
    "same": lambda *a: a if len(a) != 1 else a[0],
    "fill": fill,
    "refuse": refuse,
    "Model": Model,
    "draw": lambda rng: rng.normal(size=3),
    "apply": lambda f, *a: f(*a),
    "twice": lambda model, x: model.encode(model.encode(x)),
    "locked_shift": locked_shift,
    "stop": lambda: next(iter(())),
    "wait": lambda: time.sleep(60),
    "leave": lambda: (_ for _ in ()).throw(SystemExit),
    "answer": 42.0,
}


@pytest.fixture
def door(tmp_path):
    """Both ends of a door in one process: names of a student here, the tests' side returned."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "d"))
    listener.listen(4)
    kernel = KernelDoor(listener, STUDENT)
    threading.Thread(target=kernel.serve, daemon=True).start()
    interrupts = []
    door = Door(str(tmp_path / "d"), {"locked_shift": locked_shift}, lambda: interrupts.append(1))
    door.limit, door.interrupts, door.kernel = time.monotonic() + 20, interrupts, kernel
    yield door
    door.socket.close()


VALUES = [
    None, True, 3, -(2**70), 0.1, float("inf"), 1 + 2j, "text ü", [1, (2.5, "a")], {"k": [1]},
    {1, 2}, slice(1, None), np.float32(0.1), np.bool_(True), np.arange(6).reshape(2, 3),
    np.zeros((0, 3)), np.array(["a", "bc"]), np.array([1 + 1j]), np.array(3.5), b"".decode(),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_come_back_as_they_went(door, value):
    back = Answer(door, ["same"])(value)
    assert type(back) is type(value)
    if isinstance(value, np.ndarray | np.generic):
        assert back.dtype == value.dtype and back.shape == value.shape
    assert np.array_equal(back, value) if isinstance(value, np.ndarray) else back == value


def test_tensors_keep_their_type_and_whether_they_want_a_gradient(door):
    value = torch.tensor([1.5, 2.5], requires_grad=True)
    back = Answer(door, ["same"])(value)
    assert torch.equal(back, value) and back.requires_grad and back.dtype == value.dtype


def test_what_a_call_changes_in_its_arguments_is_changed_here_too(door):
    x, seen = np.arange(3.0), {"count": 1}
    assert Answer(door, ["fill"])(x, seen) is None
    assert np.array_equal(x, [7, 7, 7]) and seen == {"count": 2}


def test_a_generator_goes_on_where_the_call_left_it(door):
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(2):
        assert np.array_equal(Answer(door, ["draw"])(ours), theirs.normal(size=3))


def test_an_exception_comes_back_by_its_name_and_short_text(door):
    with pytest.raises(ValueError, match="no way"):
        Answer(door, ["refuse"])("way")
    with pytest.raises(ValueError) as caught:
        Answer(door, ["refuse"])("x" * 10_000)
    assert len(str(caught.value)) == 200
    for name in "stop", "leave":  # these would end a loop of the check, or the check itself
        with pytest.raises(StudentError):
            Answer(door, [name])()
    with pytest.raises(NameError):
        Answer(door, ["nowhere"])()


def test_functions_go_by_their_name_or_call_back(door):
    apply = Answer(door, ["apply"])
    assert apply(locked_shift, 1) == 101
    assert apply(np.tanh, 0.5) == np.tanh(0.5)
    factor = 3
    assert apply(lambda x: factor * x, 2) == 6
    with pytest.raises(ZeroDivisionError):
        apply(lambda x: 1 / x, 0)


def test_gradients_pass_through_a_function_that_the_test_gives(door):
    rate = torch.tensor(2.0, dtype=torch.float64)

    def loss_gradient(f, z):
        z = z.clone().requires_grad_()
        (f(z) * 3).sum().backward()
        return z.grad

    door.kernel.names = STUDENT | {"loss_gradient": loss_gradient}
    z = torch.tensor([0.5, -1.0], dtype=torch.float64)
    got = Answer(door, ["loss_gradient"])(lambda z: torch.exp(rate * z), z)
    assert torch.allclose(got, 6 * torch.exp(2 * z))


def test_an_object_stays_there_and_its_methods_can_be_called(door):
    model = Answer(door, ["Model"])(2.0)
    assert isinstance(model, Answer)
    assert model.scale == 2.0
    assert np.array_equal(model.encode(np.ones(2), power=2), [2, 2])
    assert Answer(door, ["twice"])(model, 1.5) == 6.0
    for use in (float, bool, list, np.asarray, lambda m: m == 3, lambda m: m < 3):
        with pytest.raises(TypeError, match="Model came back"):
            use(model)


def test_a_variable_comes_as_its_value(door):
    assert door.get(["answer"]) == 42.0


def test_a_call_that_takes_too_long_is_interrupted_and_then_given_up(door, monkeypatch):
    monkeypatch.setattr("answer_door.GRACE", 0.2)
    door.limit = time.monotonic() + 0.3
    with pytest.raises(TooSlow):
        Answer(door, ["wait"])()
    assert door.interrupts == [1] and door.stuck
    with pytest.raises(KernelLost):
        Answer(door, ["same"])(1)


class Odd(float):
    """A number that is equal to all others."""

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


def test_subclasses_arrive_as_the_plain_type(door):
    door.kernel.names = {
        "number": lambda: Odd(3.0),
        "matrix": lambda: np.matrix([[1.0, 2.0]]),
        "objects": lambda: np.array([1.0, None], dtype=object),
    }
    assert type(Answer(door, ["number"])()) is float
    assert type(Answer(door, ["matrix"])()) is np.ndarray
    assert Answer(door, ["objects"])() == [1.0, None]


NONSENSE = [
    [], ["array"], ["array", "<f8", [2], "AAAA"], ["array", "O", [1], "AAAAAAAAAAA="],
    ["array", "<f8", [10**18, 0], ""], ["random", ["dict", []]], ["dict", [1]], ["slice", 1],
    {"a": 1}, ["complex", "x", 1], ["set", [["list", []]]],
]  # fmt: skip


@pytest.mark.parametrize("node", NONSENSE, ids=repr)
def test_what_is_no_value_is_refused(node):
    try:
        value = plain_values.decode(node, lambda node: None)
    except plain_values.NotPlainError:
        return
    assert value is None or value.size == 0
