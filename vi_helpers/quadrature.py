"""Nodes and weights for expectations under a normal, E[f(z)] ≈ Σ weights f(nodes).

Equal steps, the trapezoid rule: for smooth f it converges geometrically, and where f bends
sharply it errs less than Gauss-Hermite with as many nodes.
"""

from functools import lru_cache

import numpy as np

from vi_helpers import validation

MAX_NODES = 10_000_000


def normal_line(num=1801, reach=9.0):
    """Nodes (num,) on [-reach, reach] and weights (num,) for z ~ N(0, 1); the weights sum to 1."""
    num = validation.integer("num", num, minimum=2)
    return _line(num, validation.positive_number("reach", reach))


@lru_cache(maxsize=8)
def _line(num, reach):
    nodes = np.linspace(-reach, reach, num)
    return _shared(nodes, np.exp(-0.5 * nodes**2))


def normal_plane(step, reach=6.5):
    """Nodes (S, 2) and weights (S,) for z ~ N(0, I) in the plane, with this step on each axis."""
    step = validation.positive_number("step", step)
    reach = validation.positive_number("reach", reach)
    if not (2 * reach / step + 1) ** 2 < MAX_NODES:
        raise ValueError(f"step and reach must make at most {MAX_NODES:,} nodes, got {step:g}")
    return _plane(step, reach)


@lru_cache(maxsize=8)
def _plane(step, reach):
    half = round(reach / step)
    axis = step * np.arange(-half, half + 1)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return _shared(nodes, np.exp(-0.5 * (nodes**2).sum(axis=1)))


def expect_normal(function, mean, std, num=241):
    """E[function(a)], a ~ N(mean, std²), elementwise for arrays mean and std >= 0 that broadcast.

    function : maps arrays elementwise. For the logistic sigmoid, the default num errs by 1e-9 at
    std 15 and by 1e-4 at std 50.
    Raises ValueError for NaN, a negative std, or a function that changes the shape or overflows.
    """
    nodes, weights = normal_line(num)
    mean, std = validation.finite("mean", mean), validation.finite("std", std)
    if (std < 0).any():
        raise ValueError(f"std must not be negative, got a smallest value of {std.min():g}")
    validation.broadcast(mean=mean, std=std)
    a = mean[..., None] + std[..., None] * nodes
    values = validation.function("function", function)(a)
    if np.shape(values) != a.shape:
        raise ValueError(f"function must keep the shape {a.shape}, got {np.shape(values)}")
    return validation.finite("the values of function", values) @ weights


def _shared(nodes, weights):
    """The pair, normalised, and read-only since every caller gets the same arrays."""
    weights = weights / weights.sum()
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights
