"""Checks of arguments. Each error names the argument, what came and what is allowed."""

import numbers

import numpy as np


def finite(name, value, *, ndim=None, shape=None):
    """Return value as a float array, or raise ValueError unless it is finite and fits.

    shape may hold None for a free axis, e.g. (None, 2). Masked and complex arrays are refused:
    as floats they would lose the mask or the imaginary part.
    """
    array = _as_float(name, value)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if shape is not None and not _fits(array.shape, shape):
        wanted = tuple("any" if size is None else size for size in shape)
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        bad = int(np.sum(~np.isfinite(array)))
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite value(s)")
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
    """Like finite, and every entry > 0."""
    array = finite(name, value, **kwargs)
    if (array <= 0).any():
        raise ValueError(f"{name} must be positive, got a smallest value of {array.min():g}")
    return array


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
    if not smallest > (-1e-8 if singular else 0):
        smallest = np.linalg.eigvalsh(array).min()
        wanted = "positive semi-definite" if singular else "positive definite"
        raise ValueError(f"{name} must be {wanted}, got a smallest eigenvalue of {smallest:g}")
    return array


def integer(name, value, *, minimum=1):
    """Return value as int, or raise ValueError unless it is a whole number >= minimum."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return int(value)


def one_of(name, value, allowed):
    """Return value, or raise ValueError unless it is one of the allowed ones."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def generator(name, rng):
    """Return rng, or raise ValueError unless it is a numpy.random.Generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"{name} must be a numpy.random.Generator, got {type(rng).__name__}")
    return rng


def _as_float(name, value):
    """value as a float array; ValueError where that would change what it says."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name} must be a plain array, got a masked one: fill it or drop rows")
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "buifO":
            raise TypeError
        return array.astype(float, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises RuntimeError
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
