"""Whatever comes into a public function: a right answer, or an error that names the argument.

For every public function and class of vi_helpers, found in the package itself, recipes.py gives
right inputs. Here one argument at a time is replaced by what a student may well pass instead.
VI_FUZZ=200 python -m pytest tests/test_any_input.py tries as many random inputs for each function.
"""

import ast
import copy
import dataclasses
import faulthandler
import importlib
import inspect
import os
import pkgutil
import re
import traceback
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from recipes import RECIPES, RECORDS, Draw

import vi_helpers
from vi_helpers import _mnist_files, elbo

hypothesis = pytest.importorskip(
    "hypothesis", reason='needs hypothesis: python -m pip install -e ".[dev]"'
)

EXAMPLES = int(os.environ.get("VI_FUZZ", "1"))
DEADLINE_S = 120 + 10 * EXAMPLES  # for one function; a hang inside LAPACK, too, ends

LEFT_OUT = {  # what is a text, or is itself what the right value is measured by
    "elbo.elbo_forms": {"weights"},
    "exercises.as_numbers": {"shape"},
    "results.warn_not_converged": {"quantity"},
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::vi_helpers.results.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*is not used:UserWarning"),
]


def public_names(module):
    """What a module offers: its __all__, or what it defines, assigns or re-exports by one name."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    names = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names if alias.asname == alias.name]
    return [name for name in names if not name.startswith("_")]


def public_functions():
    """{"module.name": function or class} of the package, without its exceptions."""
    found = {}
    for info in pkgutil.iter_modules(vi_helpers.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"vi_helpers.{info.name}")
        for name in public_names(module):
            value = getattr(module, name)
            is_error = isinstance(value, type) and issubclass(value, BaseException)
            if callable(value) and not is_error:
                found[f"{info.name}.{name}"] = value
    return found


FUNCTIONS = public_functions()


def test_every_public_function_has_a_recipe():
    assert len(FUNCTIONS) > 100
    covered = {id(FUNCTIONS[name]) for name in RECIPES if name in FUNCTIONS}
    missing = {n for n, f in FUNCTIONS.items() if id(f) not in covered} - RECORDS
    assert not missing, f"tests/recipes.py has none for {sorted(missing)}"
    gone = (RECIPES.keys() | RECORDS) - FUNCTIONS.keys()
    assert not gone, f"tests/recipes.py names {sorted(gone)}, which are not public"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("any_input")


@pytest.fixture(autouse=True, scope="module")
def no_data_from_elsewhere():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("VI_DATA_DIR", raising=False)
        patch.setattr(_mnist_files, "MNIST_MIRRORS", ())
        patch.setattr(_mnist_files, "cache_folders", list)
        yield


@pytest.fixture(autouse=True)
def deadline(capfd):
    """A hang ends the process, with the line that hangs, wherever it is: a signal would wait."""
    with capfd.disabled():  # what a process writes to a captured stream dies with it
        terminal = os.dup(2)
    faulthandler.dump_traceback_later(DEADLINE_S, exit=True, file=terminal)
    yield
    faulthandler.cancel_dump_traceback_later()
    os.close(terminal)
    plt.close("all")


@pytest.mark.parametrize("name", [n for n in sorted(RECIPES) if not n.startswith("validation.")])
def test_a_recipe_gives_every_argument(name, folder):
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    given = RECIPES[name].make(Draw(0, folder)).keys()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        given &= named
    assert given >= named - LEFT_OUT.get(name, set())


def seeded(test):
    """test(name, seed, folder) for EXAMPLES seeds, always the same ones."""
    settings = hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None
    )
    return settings(hypothesis.given(seed=hypothesis.strategies.integers(0, 2**32 - 1))(test))


@pytest.mark.parametrize("name", sorted(RECIPES))
@seeded
def test_a_right_input_gets_a_finite_answer_that_obeys_its_law(name, seed, folder):
    plt.close("all")  # the figures of the example before
    recipe, given = RECIPES[name], RECIPES[name].make(Draw(seed, folder))
    before = {key: copy.deepcopy(numbers(value)) for key, value in given.items()}
    try:
        answer = FUNCTIONS[name](**given)
    except recipe.errors:
        assert recipe.may_fail
        return
    assert infinite(answer, FUNCTIONS[name]) is None
    if recipe.law:
        recipe.law(answer, given)
    for key, value in given.items():
        if key not in recipe.changes:
            assert equal(before[key], numbers(value)), f"{name} changed its argument {key}"
    for key, value in given.items():
        if key in recipe.trusted or not isinstance(value, (np.ndarray, torch.Tensor)):
            continue
        for label, other in same_numbers(value):
            again = FUNCTIONS[name](**{**recipe.make(Draw(seed, folder)), key: other})
            assert equal(numbers(answer), numbers(again), rtol=1e-6), f"{key} as {label}"


@pytest.mark.parametrize("name", sorted(RECIPES))
@seeded
def test_a_wrong_input_is_refused_by_name_and_nothing_becomes_nan(name, seed, folder):
    recipe, wrong = RECIPES[name], []
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    arguments = recipe.make(Draw(seed, folder))
    for key, right in arguments.items():
        if key in recipe.trusted:
            continue
        optional = key in parameters and parameters[key].default is None
        for label, other in wrong_kinds(right):
            if (other is None and optional) or (label == "nan inside" and recipe.nan_passes):
                continue
            wrong.append(attempt(name, recipe, seed, folder, key, label, other, refuse=True))
        for label, other in odd_values(right):
            wrong.append(attempt(name, recipe, seed, folder, key, label, other, refuse=False))
    wrong = [line for line in wrong if line]
    assert not wrong, "\n".join(["", *wrong])


def attempt(name, recipe, seed, folder, key, label, other, refuse):
    """What is wrong with the answer to one odd argument, in one line; None if nothing is."""
    plt.close("all")  # the figures of the attempt before
    given = recipe.make(Draw(seed, folder)) | {key: other}
    names = [recipe.says.get(k, k) for k in ([key] if refuse else given)]
    before, call = copy.deepcopy(numbers(other)), f"{name}({key}={label})"
    try:
        answer = FUNCTIONS[name](**given)
    except recipe.errors as error:
        named = any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", str(error)) for n in names)
        if not named and not in_the_recipe(error):
            return f"{call} names no argument: {type(error).__name__}: {error}"
    except Exception as error:
        if in_the_recipe(error):  # an argument that is a function was handed what it cannot use
            return None
        return f"{call} raised {type(error).__name__}: {error}"
    else:
        if refuse:
            return f"{call} is accepted: {answer!r:.70}"
        if (problem := infinite(answer, FUNCTIONS[name])) and not recipe.nan_passes:
            return f"{call} is accepted, and the answer holds {problem}: {answer!r:.70}"
    if key not in recipe.changes and not equal(before, numbers(other)):
        return f"{call} is changed in place"
    return None


def in_the_recipe(error):
    """Whether one of the functions that the tests pass in raised it."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(path.endswith("recipes.py") or path == __file__ for path in frames[1:])


# What may come in place of a right value


def wrong_kinds(right):
    """(label, value) of what is never right in its place."""
    yield "None", None
    yield "an object", object()
    if not isinstance(right, os.PathLike):
        yield "text", "text"
    if isinstance(right, bool):
        return
    if not isinstance(right, dict):
        yield "a dict", {"a": 1}
    if callable(right) or isinstance(right, (str, dict)) or dataclasses.is_dataclass(right):
        yield "3.0", 3.0
        yield "an array", np.zeros(2)
    if isinstance(right, (np.random.Generator, torch.Generator)):
        yield "a seed", 0
        yield "the old RandomState", np.random.RandomState(0)
    if isinstance(right, int):
        yield from {"nan": np.nan, "-1": -1, "a list": [right]}.items()
    if isinstance(right, (int, float)):
        yield "complex", 1j * right
    if isinstance(right, float):
        yield from {"nan": np.nan, "a list of text": ["a"]}.items()
    if isinstance(right, np.ndarray):
        yield "complex", right * (1 + 1j)
        yield (
            "masked",
            np.ma.masked_array(right, mask=np.arange(right.size).reshape(right.shape) == 0),
        )
        yield "objects", np.full(right.shape, object())
        yield "texts", np.full(right.shape, "a")
        if right.dtype.kind == "f":
            yield "nan inside", spoilt(right, np.nan)
    if isinstance(right, torch.Tensor):
        yield "complex", right * (1 + 1j)
        if right.dtype.is_floating_point:
            yield "nan inside", spoilt(right, np.nan)


def odd_values(right):
    """(label, value) of what is right for some arguments and wrong for others."""
    if isinstance(right, (bool, str)):
        return
    if isinstance(right, int):
        yield from {"0": 0, "1": 1, "2.5": 2.5, "True": True, "int64": np.int64(right)}.items()
    if isinstance(right, float):
        yield from {
            "0": 0, "0.0": 0.0, "-1.0": -1.0, "inf": np.inf, "-inf": -np.inf, "1e308": 1e308,
            "1e-308": 1e-308, "True": True, "float32": np.float32(right), "0-d": np.array(right),
            "(1,)": np.array([right]), "tensor": torch.tensor(right), "empty": [],
        }.items()  # fmt: skip
    if isinstance(right, (np.ndarray, torch.Tensor)):
        numpy = isinstance(right, np.ndarray)
        lib = np if numpy else torch
        yield "a number", 0.5
        yield "0-d", lib.ones(())
        yield "empty", right[:0]
        yield "no columns", right[..., :0]
        yield "one axis more", right[None]
        yield "one axis less", right[0]
        yield "one row less", right[1:]
        yield "one column less", right[..., 1:]
        yield "a row twice", right[[*range(len(right)), 0]]
        yield "integers", right.astype(int) if numpy else right.long()
        yield "booleans", right > 0
        yield "tensor or array", torch.tensor(right) if numpy else right.numpy()
        yield "needing a gradient", torch.tensor(np.array(right, dtype=float), requires_grad=True)
        if numpy and right.dtype.kind != "f":
            return
        yield "float32", right.astype(np.float32) if numpy else right.float()
        yield "float16", right.astype(np.float16) if numpy else right.half()
        yield "zeros", 0 * right
        yield "negative", -right
        yield "huge", 1e308 * lib.sign(right)
        yield "tiny", 1e-308 * right
        yield "inf inside", spoilt(right, np.inf)
        yield "-inf inside", spoilt(right, -np.inf)
    if isinstance(right, Sequence):
        yield from {"empty": [], "of empty": [[]], "of text": ["a"], "of None": [None]}.items()
        yield "of nan", [np.nan]
    if callable(right):
        yield "a function that returns None", lambda *a, **k: None
        yield "a function that returns text", lambda *a, **k: "text"
        yield "a function that returns nan", lambda *a, **k: np.nan
        yield "a function that returns a number", lambda *a, **k: 0.0
        yield "a function that returns too much", lambda *a, **k: np.zeros((3, 5, 7))
        yield "a function that returns objects", lambda *a, **k: np.array([object()])
    if callable(right) and not isinstance(right, torch.nn.Module):
        for label, turn in TURNED.items():
            yield label, lambda *a, turn=turn, **k: turn(right(*a, **k))


TURNED = {
    "a function that returns complex numbers": lambda v: v * (1 + 1j),
    "a function that returns nan inside": lambda v: v * np.nan,
    "a function that returns inf": lambda v: v + np.inf,
    "a function that returns -inf": lambda v: v - np.inf,
    "a function that returns a column": lambda v: v[:, None],
    "a function that returns float32": lambda v: np.asarray(v, dtype=np.float32),
}


def same_numbers(right):
    """(label, value): the same numbers, otherwise laid out in memory."""
    if isinstance(right, torch.Tensor):
        yield "strided", torch.repeat_interleave(right, 2, 0)[::2]
        return
    yield "in Fortran's order", np.asfortranarray(right)
    yield "strided", np.repeat(right, 2, axis=0)[::2]
    fixed = right.copy()
    fixed.flags.writeable = False
    yield "read-only", fixed


def spoilt(right, number):
    """A copy of right with number in the first place."""
    copied = right.copy() if isinstance(right, np.ndarray) else right.clone()
    copied[(0,) * right.ndim] = number
    return copied


# What comes out


def numbers(value):
    """All numbers in an answer or an argument, as a flat list of arrays."""
    if isinstance(value, torch.nn.Module):
        return [p.detach().numpy() for p in value.parameters()]
    if isinstance(value, torch.Tensor):
        return [value.detach().numpy()]
    if isinstance(value, (bool, int, float, np.ndarray, np.number)):
        return [] if np.asarray(value).dtype.kind == "O" else [np.asarray(value)]
    if dataclasses.is_dataclass(value):
        return numbers([getattr(value, f.name) for f in dataclasses.fields(value)])
    if isinstance(value, elbo.DiagonalNormal):
        return numbers([value.mean, value.log_std])
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in numbers(part)]
    return []


def equal(left, right, rtol=0.0):
    pairs = zip(left, right, strict=True)
    return all(
        a.shape == b.shape
        and (
            np.allclose(a, b, rtol=rtol, atol=rtol, equal_nan=True)
            if a.dtype.kind == "f"
            else (a == b).all()
        )
        for a, b in pairs
    )


def infinite(answer, function):
    """ "NaN" or "an infinity that the docstring does not mention", or None."""
    arrays = [a for a in numbers(answer) if a.dtype.kind == "f"]
    documented = re.search(r"\binf\b", inspect.getdoc(function) or "")
    if any(np.isnan(a).any() for a in arrays):
        return None if documented and "are NaN" in inspect.getdoc(function) else "NaN"
    if any(np.isinf(a).any() for a in arrays) and not documented:
        return "an infinity that the docstring does not mention"
    return None
