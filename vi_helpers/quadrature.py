"""Nodes and weights for expectations under a normal, E[f(z)] ≈ Σ weights f(nodes).

Equal steps, the trapezoid rule: for smooth f it converges geometrically, and where f bends
sharply it errs less than Gauss-Hermite with as many nodes.
"""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)
def normal_line(num=1801, reach=9.0):
    """Nodes (num,) on [-reach, reach] and weights (num,) for z ~ N(0, 1); the weights sum to 1."""
    nodes = np.linspace(-reach, reach, num)
    return _shared(nodes, np.exp(-0.5 * nodes**2))


@lru_cache(maxsize=8)
def normal_plane(step, reach=6.5):
    """Nodes (S, 2) and weights (S,) for z ~ N(0, I) in the plane, with this step on each axis."""
    half = round(reach / step)
    axis = step * np.arange(-half, half + 1)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return _shared(nodes, np.exp(-0.5 * (nodes**2).sum(axis=1)))


def expect_normal(function, mean, std, num=241):
    """E[function(a)], a ~ N(mean, std²), elementwise for arrays mean and std of one shape.

    function : maps arrays elementwise. For the logistic sigmoid, the default num errs by 1e-9 at
    std 15 and by 1e-4 at std 50.
    """
    nodes, weights = normal_line(num)
    mean, std = np.asarray(mean, dtype=float), np.asarray(std, dtype=float)
    return function(mean[..., None] + std[..., None] * nodes) @ weights


def _shared(nodes, weights):
    """The pair, normalised, and read-only since every caller gets the same arrays."""
    weights = weights / weights.sum()
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights
