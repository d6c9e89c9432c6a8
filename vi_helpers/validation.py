"""Checks of arguments. Each error names the argument, what came and what is allowed."""

import numpy as np

from vi_helpers._kinds import flag as flag
from vi_helpers._kinds import function as function
from vi_helpers._kinds import generator as generator
from vi_helpers._kinds import instance as instance
from vi_helpers._kinds import integer as integer
from vi_helpers._kinds import methods as methods
from vi_helpers._kinds import one_of as one_of

# Squares of what lies between, and their inverses, are normal numbers.
SMALLEST, LARGEST = 1e-150, 1e150


def finite(name, value, *, ndim=None, shape=None):
    """Return value as a float array, or raise ValueError unless it is finite and fits.

    Finite means at most LARGEST in size: the square of more would overflow.
    shape may hold None for a free axis, e.g. (None, 2). Masked and complex arrays are refused:
    as floats they would lose the mask or the imaginary part.
    """
    array = _as_float(name, value)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if shape is not None and not _fits(array.shape, shape):
        wanted = tuple("any" if size is None else size for size in shape)
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if not (np.abs(array) <= LARGEST).all():  # NaN compares false
        bad = int(np.sum(~np.isfinite(array)))
        if not bad:
            raise ValueError(f"{name} must be at most {LARGEST:g}, got {np.abs(array).max():g}")
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite value(s)")
    return array


def number(name, value):
    """Return value as a float, or raise ValueError unless it is one finite number."""
    return float(finite(name, value, ndim=0))


def vector(name, value, *, size=None):
    """Return value as a finite float array (D,) with D >= 1, or raise ValueError.

    size : the D wanted; None takes any
    """
    array = finite(name, value, ndim=1, shape=(size,))
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one number, got shape (0,)")
    return array


def data(name, X, *, dim=None):
    """Return X as a finite float array (N, D) with N, D >= 1, or raise ValueError.

    dim : the D that the model wants; None takes any
    """
    array = finite(name, X, shape=(None, dim))
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one number, got shape {array.shape}")
    return array


def positive(name, value, **kwargs):
    """Like finite, and every entry > 0 (at least SMALLEST)."""
    array = finite(name, value, **kwargs)
    if (array < SMALLEST).any():
        wanted = "positive" if array.min() <= 0 else f"at least {SMALLEST:g}"
        raise ValueError(f"{name} must be {wanted}, got a smallest value of {array.min():g}")
    return array


def positive_number(name, value):
    """Return value as a float, or raise ValueError unless it is one finite number > 0."""
    return float(positive(name, value, ndim=0))


def broadcast(**arrays):
    """Raise ValueError, with all names and shapes, unless the arrays broadcast together."""
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"shapes must broadcast together, got {shapes}") from None


def probabilities(name, value, *, tol=1e-8, **kwargs):
    """Like finite, and each row (last axis) is non-negative and sums to one.

    Rows of lower precision than float64 may miss one by 100 of their roundings, and are then
    divided by their sum.
    """
    array = finite(name, value, **kwargs)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must hold at least one probability, got shape {array.shape}")
    if (array < 0).any():
        raise ValueError(f"{name} must be non-negative, got a smallest value of {array.min():g}")
    sums = array.sum(axis=-1)
    rounding = _rounding(value)
    tol = max(tol, 100 * rounding)
    if (np.abs(sums - 1) > tol).any():
        worst = sums.flat[np.argmax(np.abs(sums - 1))]
        raise ValueError(f"{name} must sum to 1 within {tol:g}, got a sum of {worst:.10g}")
    return array / sums[..., None] if rounding > 1e-15 else array


def log_probabilities(name, value, *, shape=None, weighted=False):
    """Return exp(value), or raise ValueError unless each row of value is a log distribution.

    value    : (N, K), -inf where the probability is 0
    weighted : whether a row may sum to any number, that of the times its point counts
    """
    array = _as_float(name, value)
    if array.ndim != 2 or (shape is not None and not _fits(array.shape, shape)):
        wanted = tuple("any" if size is None else size for size in shape or (None, None))
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if weighted and (array < 700).all():
        return np.exp(array)
    if not (array < 1e-6).all():  # NaN compares false
        raise ValueError(f"{name} must hold log probabilities, got NaN or a number above 0")
    return probabilities(f"exp({name})", np.exp(array), tol=max(1e-8, 100 * _rounding(value)))


def covariance(name, value, dim=None, *, shape=None, singular=False):
    """Return a symmetric positive definite (..., D, D) array, or raise ValueError.

    The standard deviations, roots of the diagonal, must be at least SMALLEST.

    dim      : the D wanted;  shape : the whole shape wanted, None for a free axis
    singular : whether eigenvalues of 0 are allowed, too
    """
    array = finite(name, value, shape=shape)
    size = array.shape[-1] if dim is None and array.ndim >= 2 else dim
    if array.ndim < 2 or array.shape[-2:] != (size, size):
        wanted = "(..., D, D)" if size is None else f"(..., {size}, {size})"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one matrix, got shape {array.shape}")
    scale = np.abs(array).max()
    if np.abs(array - np.swapaxes(array, -1, -2)).max() > 1e-8 * scale:
        raise ValueError(f"{name} must be symmetric, got an asymmetric matrix")
    std = np.sqrt(np.maximum(np.diagonal(array, axis1=-2, axis2=-1), 0.0))
    units = np.where(std > 0, std, 1.0)
    correlation = array / units[..., :, None] / units[..., None, :]  # free of units
    smallest = np.linalg.eigvalsh(correlation).min()
    rounding = 4 * size * np.finfo(float).eps  # of a singular matrix's zero, which may come out > 0
    if not smallest > (-1e-8 if singular else rounding) or (std.min() < SMALLEST and not singular):
        smallest = np.linalg.eigvalsh(array).min()
        wanted = "positive semi-definite" if singular else "positive definite"
        raise ValueError(f"{name} must be {wanted}, got a smallest eigenvalue of {smallest:g}")
    return array


def real(name, value):
    """Return value as a float array that may hold inf and -inf; ValueError for NaN."""
    array = _as_float(name, value)
    if np.isnan(array).any():
        raise ValueError(f"{name} must be numbers, got {int(np.isnan(array).sum())} NaN")
    return array


def log_values(name, value):
    """Like real, without +inf: -inf is the log of 0, but no density here is infinite."""
    array = real(name, value)
    if (array == np.inf).any():
        raise ValueError(f"{name} must hold numbers below +inf, got +inf")
    return array


def normal(mean_name, mean, cov_name, cov, *, singular=False):
    """Return the mean (D,), D >= 1, and covariance (D, D) of a normal, or raise ValueError."""
    mean = vector(mean_name, mean)
    shape = (mean.size, mean.size)
    return mean, covariance(cov_name, cov, shape=shape, singular=singular)


def evaluate(name, log_density, x):
    """log_density(x) as (S,) floats: how the course calls a target it was handed.

    Raises ValueError with that name unless it is a function, and for another shape, values that
    are no real numbers, NaN or +inf; -inf is allowed.
    """
    function(name, log_density)
    with np.errstate(all="ignore"):  # far tails may overflow inside a target and still be right
        values = log_density(x)
    if np.shape(values) != (len(x),):
        raise ValueError(f"{name} must map {x.shape} to {(len(x),)}, got shape {np.shape(values)}")
    return log_values(name, values)


def indices(name, value, size):
    """Return value as an array (k,) of different numbers from 0..size-1, or raise ValueError."""
    plain = array(name, value)
    if plain.ndim != 1 or not (plain.size == 0 or plain.dtype.kind in "iu"):
        raise ValueError(f"{name} must be a list of whole numbers, got {value!r}")
    if plain.size and (plain.min() < 0 or plain.max() >= size):
        raise ValueError(f"{name} must lie in 0..{size - 1}, got {plain.min()} to {plain.max()}")
    if len(np.unique(plain)) < plain.size:
        raise ValueError(f"{name} must hold each number once, got {value!r}")
    return plain.astype(int)


def array(name, value):
    """Return value as an array of whatever type, or raise ValueError for a masked or ragged one."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name} must be a plain array, got a masked one: fill it or drop rows")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # torch: it needs a gradient
        came = f"{type(value).__name__}: {error}"
        raise ValueError(f"{name} must be numeric and real, got {came}") from error


def _as_float(name, value):
    """value as a float array; ValueError where that would change what it says."""
    plain = array(name, value)
    try:
        if plain.dtype.kind not in "buifO":
            raise TypeError
        return plain.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        kind = getattr(value, "dtype", type(value).__name__)
        raise ValueError(f"{name} must be numeric and real, got {kind}") from error


def _rounding(value):
    """The rounding of value's own floating type; that of float64 for anything else."""
    kind = np.asarray(value).dtype
    return float(np.finfo(kind if kind.kind == "f" else float).eps)


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        w is None or s == w for s, w in zip(shape, wanted, strict=True)
    )
