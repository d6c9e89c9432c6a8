"""Run an exercise's check on an answer: not answered yet, correct, or in one line why not."""

import linecache
import numbers
import traceback
from functools import wraps
from types import FunctionType

import numpy as np

from vi_helpers import validation


class NotYet(AssertionError):
    """A wrong answer. Jupyter shows its one line, without a traceback."""

    def _render_traceback_(self):
        return [str(self)]


def try_answer(label, check, answer):
    """Run check(answer) and print the verdict in one line.

    answer : a value, or a function. `...` (Ellipsis), or a function that raises
             NotImplementedError, counts as not answered yet.
    A wrong answer raises NotYet with the check's hint. Whatever else goes wrong, in the answer or
    in the check that uses it, becomes a NotYet that says what came.
    """
    validation.function("check", check)
    if answer is ...:
        print(f"Exercise {label}: not answered yet")
        return
    calls = []
    watched = _watch(answer, calls) if isinstance(answer, FunctionType) else answer
    try:
        check(watched)
    except NotImplementedError:
        print(f"Exercise {label}: not answered yet")
    except AssertionError as error:
        raise NotYet(f"Exercise {label}: not yet. {error}") from None
    except Exception as error:
        reason = _explain(error, answer, calls)
        raise NotYet(f"Exercise {label}: not yet. {reason}") from None
    else:
        print(f"Exercise {label}: correct")


def as_numbers(value, *, shape=None, what="the answer"):
    """Return value as a float array, or raise AssertionError that says what came and is wanted.

    value : number, list, array or torch tensor of real, finite numbers
    shape : the wanted shape; a number stands for shape (). None takes any
    """
    if np.ma.isMaskedArray(value):
        raise AssertionError(f"{what} must be a plain array, got a masked one")
    try:
        array = np.asarray(_without_torch(value))
    except ValueError:  # a ragged list
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise AssertionError(f"{what} must be real numbers, got {describe(value)}")
    array = array.astype(float)
    if shape is not None and array.shape != tuple(shape):
        wanted = "one number" if tuple(shape) == () else f"shape {tuple(shape)}"
        raise AssertionError(f"{what} must be {wanted}, got {describe(value)}")
    if not np.isfinite(array).all():
        raise AssertionError(f"{what} must be finite, got NaN or infinity")
    return array


def _without_torch(value):
    """value with arrays in the place of tensors, also of those in a list or tuple."""
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    return [_without_torch(v) for v in value] if isinstance(value, (list, tuple)) else value


def as_probabilities(value, *, what="the answer"):
    """Like as_numbers, and each row (last axis) is non-negative and sums to one within 1e-6.

    Returns the rows divided by their sums, so that nothing is won by rounding.
    """
    array = as_numbers(value, what=what)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise AssertionError(f"{what} must be a list of probabilities, got {describe(value)}")
    if (array < 0).any():
        raise AssertionError(f"{what} must not be negative, got {array.min():.6g}")
    sums = array.sum(axis=-1, keepdims=True)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 1e-6:
        raise AssertionError(f"{what} must sum to one, got a sum of {worst:.6g}")
    return array / sums


def assert_close(value, expected, *, what="the answer", rtol=1e-6, atol=1e-9, hint=""):
    """Raise AssertionError unless value has expected's shape and entries, within the tolerance."""
    expected = np.asarray(expected, dtype=float)
    array = as_numbers(value, shape=expected.shape, what=what)
    excess = np.abs(array - expected) - (atol + rtol * np.abs(expected))
    if excess.size and excess.max() > 0:
        worst = np.unravel_index(excess.argmax(), excess.shape)
        where = f" at {tuple(int(i) for i in worst)}" if worst else ""
        came = f"got {array[worst]:.6g}{where}, expected {expected[worst]:.6g}"
        raise AssertionError(f"{what}: {came}{'; ' + hint if hint else ''}")


def describe(value):
    """What value is, in a few words: its type, and its shape, length or content."""
    if value is None:
        return "None (is a return missing?)"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "a number" if tuple(value.shape) == () else f"an array of shape {tuple(value.shape)}"
        return f"{kind} of type {value.dtype}"
    if isinstance(value, (bool, str, numbers.Number)):
        return f"{value!r} ({type(value).__name__})"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(describe(v) for v in value[:4])
        return f"a {type(value).__name__} of {len(value)}: [{inside}{', …' * (len(value) > 4)}]"
    return f"a {type(value).__name__}"


def _watch(function, calls):
    """function, noting the arguments and the result of its last call in calls."""

    @wraps(function)
    def watched(*args, **kwargs):
        calls[:] = [[args, kwargs]]
        result = function(*args, **kwargs)
        calls[0].append(result)
        return result

    return watched


def _explain(error, answer, calls):
    """A sentence for an error other than the check's own: whose line raised it, and on what."""
    message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if calls and len(calls[0]) == 3:
        return f"The check cannot use what came back, {describe(calls[0][2])} ({message})"
    if not calls:
        return f"The check cannot use {describe(answer)} ({message})"
    args, kwargs = calls[0]
    given = [describe(a) for a in args] + [f"{k}={describe(v)}" for k, v in kwargs.items()]
    lines = [f for f in traceback.walk_tb(error.__traceback__) if f[0].f_code is answer.__code__]
    where = ""
    if lines:
        frame, number = lines[-1]
        where = linecache.getline(frame.f_code.co_filename, number).strip()
        where = f" in the line `{where}`" if where else f" in its line {number}"
    return f"Your function raised {message}{where}, when it was called with {'; '.join(given)}"
