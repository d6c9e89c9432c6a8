"""Laplace's approximation: a Gaussian from the mode of a density and its curvature there.

Only values of the log density are used. The mode comes from scipy.optimize.minimize (trust-exact,
central differences) in coordinates that are rescaled until the target looks standard normal; there
scipy.differentiate (order-8 differences with error estimates) gives the derivatives that count.
"""

from dataclasses import dataclass

import numpy as np
from scipy import differentiate, optimize

from vi_helpers import validation

GRAD_STEP = 1e-5  # of the current length scale; about eps**(1/3)
HESS_STEP = 1e-3
CHUNK = 8192  # points per call of log_joint, so that memory stays small in high dimension
MAX_ROUNDS = 40
HUGE = 1e100  # nats; far beyond it a second difference overflows
SMALLEST_STEP = 1e-12


@dataclass(frozen=True)
class LaplaceResult:
    """N(mean, cov) matched to a log joint density at its mode.

    mean         : (D,) the mode
    cov          : (D, D) inverse of minus the Hessian of log_joint at the mode
    log_evidence : log_joint(mode) + D/2 log(2 pi) + 1/2 log|cov|, in nats; neither an upper nor
                   a lower bound on the true one
    hessian_error: scipy's estimate of the largest error of an entry of the Hessian, in units
                   where the Hessian is minus the identity
    """

    mean: np.ndarray
    cov: np.ndarray
    log_evidence: float
    hessian_error: float


def laplace_approximation(log_joint, x0):
    """Laplace's approximation of a density near a mode, and of its integral.

    log_joint : callable, (S, D) -> (S,), in nats; need not normalise. Outside the support it
                returns -inf (NaN is read as -inf there). For D = 1 also (S, 1) -> (S, 1).
    x0        : (D,) start of the search, where log_joint is finite; a scalar counts as (1,)
    Returns a LaplaceResult. With several modes it describes the one that the search reaches.
    Raises ValueError when x0 or an output is unusable, or when there is no mode with a negative
    definite Hessian: an unbounded or flat target, or a maximum on the boundary of the support.
    Source: Bishop 2006, section 4.4; MacKay 2003, chapter 27.
    """
    start = np.atleast_1d(validation.finite("x0", x0))
    if start.ndim != 1 or start.size == 0:
        raise ValueError(f"x0 must be a scalar or have shape (D,), got shape {start.shape}")
    target = _Target(log_joint, start.size)
    value = target(start[None])[0]
    if not np.isfinite(value):
        raise ValueError(f"x0 must lie where log_joint is finite, got {value} (or NaN) there")
    centre, scale = _climb(target, start)
    mode, root, error = _polish(target, centre, scale)
    log_det_root = np.linalg.slogdet(root)[1]
    log_evidence = target(mode[None])[0] + 0.5 * mode.size * np.log(2 * np.pi) + log_det_root
    return LaplaceResult(mode, root @ root.T, float(log_evidence), error)


class _Target:
    """log_joint with its output checked, evaluated in chunks."""

    def __init__(self, log_joint, dim):
        self.log_joint, self.dim = log_joint, dim

    def __call__(self, points):
        chunks = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
        with np.errstate(all="ignore"):  # log of a negative number outside the support
            return np.concatenate([self._one_chunk(chunk) for chunk in chunks])

    def _one_chunk(self, points):
        values = np.asarray(self.log_joint(points), dtype=float)
        if self.dim == 1 and values.shape == (len(points), 1):
            values = values[:, 0]
        if values.shape != (len(points),):
            raise ValueError(
                f"log_joint must return shape (S,) for points of shape (S, {self.dim}), "
                f"got {values.shape} for S = {len(points)}"
            )
        if (values > HUGE).any():  # NaN compares false
            where = points[np.nanargmax(values)]
            raise ValueError(
                "log_joint must have a mode with a negative definite Hessian, got a target that "
                f"grows without bound: {np.nanmax(values):.3g} at {_text(where)}"
            )
        return np.where(values > -HUGE, values, -np.inf)


def _climb(target, centre):
    """Return a point near a mode, and a (D, D) matrix of scales that make its Hessian about -I."""
    scale = np.diag(np.maximum(1.0, np.abs(centre)))
    for _ in range(MAX_ROUNDS):
        move = _ascend(target, centre, scale)
        centre = centre + scale @ move
        if not np.isfinite(centre).all() or np.abs(scale).max() > 1e100:
            break
        curvature, axes = np.linalg.eigh(-_hessian(target, centre, scale))
        if np.linalg.norm(move) < 0.1 and (np.abs(curvature - 1) < 0.5).all():
            return centre, scale
        # A curvature below rounding says nothing: do not shorten that axis, lengthen it and look.
        rounding = 10 * np.finfo(float).eps * abs(target(centre[None])[0]) / HESS_STEP**2
        size = np.where(np.abs(curvature) < rounding, np.minimum(1, curvature), np.abs(curvature))
        scale = scale @ (axes / np.sqrt(np.clip(size, 1e-6, None)))
        if curvature[0] < 0:
            centre = _leave_saddle(target, centre, scale[:, 0])
    raise ValueError(
        "log_joint must have a mode with a negative definite Hessian, got a target that is flat "
        f"or grows without bound: the search ended at {_text(centre)}, where a length scale was "
        f"{np.abs(scale).max():.3g}"
    )


def _ascend(target, centre, scale):
    """Maximise in the coordinates u of centre + scale u, from u = 0; return the u reached."""

    def inside(point):
        return np.isfinite(target(point[None])[0])

    def gradient(u):
        point = centre + scale @ u
        return -_gradient(target, point, scale) if inside(point) else np.zeros(len(u))

    def hessian(u):
        point = centre + scale @ u
        return -_hessian(target, point, scale) if inside(point) else np.eye(len(u))

    with np.errstate(all="ignore"):  # a runaway search may overflow; the caller sees where it ends
        found = optimize.minimize(
            lambda u: -target((centre + scale @ u)[None])[0],
            np.zeros(target.dim),
            jac=gradient,
            hess=hessian,
            method="trust-exact",
            options={"gtol": 1e-6, "maxiter": 100, "max_trust_radius": 1e12},
        )
    return found.x


def _leave_saddle(target, centre, direction):
    """Return the best of centre and a step either way along a direction that curves upwards."""
    points = np.stack([centre, centre + direction, centre - direction])
    return points[np.argmax(target(points))]


def _gradient(target, point, scale):
    """Central differences along the columns of scale."""
    plus, _, minus, step = _stencil(target, point, scale.T, GRAD_STEP)
    return (plus - minus) / (2 * step)


def _hessian(target, point, scale):
    """Second differences along sums of two columns of scale, all from one batch of points."""
    dim = len(point)
    first, second = np.triu_indices(dim)
    directions = scale.T[first] + scale.T[second]
    plus, centre, minus, step = _stencil(target, point, directions, HESS_STEP)
    curvature = np.zeros((dim, dim))
    curvature[first, second] = (plus - 2 * centre + minus) / step**2
    # Along e_i + e_j the curvature is H_ii + H_jj + 2 H_ij; for i = j that is 4 H_ii.
    diagonal = np.diag(curvature) / 4
    upper = np.triu((curvature - diagonal[:, None] - diagonal) / 2, 1)
    return upper + upper.T + np.diag(diagonal)


def _stencil(target, point, directions, step):
    """Values at point +- step * directions and at point; the step shrinks to fit the support."""
    while step > SMALLEST_STEP:
        moves = step * directions
        values = target(np.concatenate([point + moves, point[None], point - moves]))
        if np.isfinite(values).all():
            count = len(directions)
            return values[:count], values[count], values[count + 1 :], step
        step /= 10
    raise ValueError(_boundary(point))


def _polish(target, centre, scale):
    """Return the mode, a root R of the covariance R R^T, and the error of the Hessian."""
    tol = 1e-8 + 1e4 * np.finfo(float).eps * abs(target(centre[None])[0])
    coarse = _hessian(target, centre, scale)
    for first_step in (0.5, 0.1, 0.02):  # shorter when the support ends close to the mode
        options = {"initial_step": first_step, "tolerances": {"atol": tol, "rtol": tol}}
        origin, mode = np.zeros(target.dim), centre
        with np.errstate(all="ignore"):  # differences of -inf just outside the support
            for _ in range(2):  # Newton steps: the search stopped short of the last digits
                slope = differentiate.jacobian(_around(target, mode, scale), origin, **options)
                step = scale @ np.linalg.solve(coarse, slope.df)
                mode = mode - np.where(np.isfinite(step), step, 0)
            found = differentiate.hessian(_around(target, mode, scale), origin, **options)
        curvature = -(found.ddf + found.ddf.T) / 2
        if slope.success.all() and found.success.all() and _near_identity(curvature):
            root = scale @ np.linalg.inv(np.linalg.cholesky(curvature)).T
            return mode, root, float(found.error.max())
    raise ValueError(
        f"log_joint must have a negative definite Hessian at its mode, got one at {_text(centre)} "
        "that differences cannot measure: a degenerate maximum, a kink or the edge of the support"
    )


def _around(target, centre, scale):
    """The target as scipy.differentiate wants it: (D, ...) -> (...), in the coordinates u."""

    def values(u):
        return target(centre + u.reshape(len(u), -1).T @ scale.T).reshape(u.shape[1:])

    return values


def _near_identity(matrix):
    return np.abs(np.linalg.eigvalsh(matrix) - 1).max() < 0.9


def _boundary(point):
    return (
        "log_joint must have a mode with a negative definite Hessian inside its support, got none: "
        f"it is -inf or NaN next to {_text(point)}, so the maximum lies on an edge, or the target "
        "is flat up to an edge"
    )


def _text(point):
    shown = np.array2string(point[:4], precision=4)
    return shown if len(point) <= 4 else f"{shown[:-1]} ...]"
