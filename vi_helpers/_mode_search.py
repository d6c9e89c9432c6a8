"""The search for the mode of a log density of which only values are known.

The mode comes from scipy.optimize.minimize (trust-exact, central differences) in coordinates
that are rescaled until the target looks standard normal; there scipy.differentiate (order-8
differences with error estimates) gives the derivatives that count.
"""

import numpy as np
from scipy import differentiate, optimize

GRAD_STEP = 1e-5  # of the current length scale; about eps**(1/3)
HESS_STEP = 1e-3
SMALLEST_STEP = 1e-12
CHUNK = 8192  # points per call of log_joint, so that memory stays small in high dimension
MAX_ROUNDS = 40
HUGE = 1e100  # nats; far beyond it a second difference overflows


class ModeSearch:
    """Where the search stands: coordinates u, with x = point + scale u.

    log_joint : callable (S, D) -> (S,), as laplace_approximation takes it
    point     : (D,) the best point so far; scale : (D, D), its columns the axes of u
    climb, then polish. Both raise ValueError when there is no proper mode.
    """

    def __init__(self, log_joint, start):
        self.log_joint = log_joint
        self.point, self.scale = start, np.diag(np.maximum(1.0, np.abs(start)))
        if not np.isfinite(self.value()):
            raise ValueError(
                f"x0 must lie where log_joint is finite, got {self.value()} (or NaN) there"
            )

    def climb(self):
        """Move point near a mode, and scale to where the Hessian in u is about -I."""
        for _ in range(MAX_ROUNDS):
            move = self._ascend()
            self.point = self.point + self.scale @ move
            if not np.isfinite(self.point).all() or np.abs(self.scale).max() > 1e100:
                break
            curvature, axes = np.linalg.eigh(-self._hessian(self.point))
            if np.linalg.norm(move) < 0.1 and (np.abs(curvature - 1) < 0.5).all():
                return
            self._rescale(curvature, axes)
            if curvature[0] < 0:
                self._leave_saddle(self.scale[:, 0])
        raise ValueError(
            "log_joint must have a mode with a negative definite Hessian, got a target that is "
            f"flat or grows without bound: the search ended at {_text(self.point)}, where a "
            f"length scale was {np.abs(self.scale).max():.3g}"
        )

    def polish(self):
        """Newton steps to the last digits of point.

        Returns a root R of the covariance R R^T and the error of the Hessian in u.
        """
        tol = 1e-8 + 1e4 * np.finfo(float).eps * abs(self.value())
        near, coarse, origin = self.point, self._hessian(self.point), np.zeros(self.point.size)
        for first_step in (0.5, 0.1, 0.02):  # shorter when the support ends close to the mode
            options = {"initial_step": first_step, "tolerances": {"atol": tol, "rtol": tol}}
            self.point = near
            with np.errstate(all="ignore"):  # differences of -inf just outside the support
                for _ in range(2):  # the climb stopped short of the last digits
                    slope = differentiate.jacobian(self._in_u, origin, **options)
                    step = self.scale @ np.linalg.solve(coarse, slope.df)
                    self.point = self.point - np.where(np.isfinite(step), step, 0)
                found = differentiate.hessian(self._in_u, origin, **options)
            curvature = -(found.ddf + found.ddf.T) / 2
            if slope.success.all() and found.success.all() and _near_identity(curvature):
                root = self.scale @ np.linalg.inv(np.linalg.cholesky(curvature)).T
                return root, float(found.error.max())
        raise ValueError(
            "log_joint must have a negative definite Hessian at its mode, got one at "
            f"{_text(near)} that differences cannot measure: a degenerate maximum, a kink or the "
            "edge of the support"
        )

    def value(self, point=None):
        """log_joint at one point, a float, -inf outside the support."""
        return self._values((self.point if point is None else point)[None])[0]

    def _values(self, points):
        """log_joint at (S, D) points, (S,), checked, and evaluated in chunks."""
        chunks = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
        with np.errstate(all="ignore"):  # log of a negative number outside the support
            return np.concatenate([self._one_chunk(chunk) for chunk in chunks])

    def _one_chunk(self, points):
        values = self.log_joint(points)
        if np.ma.isMaskedArray(values) or np.asarray(values).dtype.kind not in "buif":
            came = getattr(values, "dtype", type(values).__name__)
            raise ValueError(f"log_joint must return an array of real numbers, got {came}")
        values = np.asarray(values, dtype=float)
        if points.shape[1] == 1 and values.shape == (len(points), 1):
            values = values[:, 0]
        if values.shape != (len(points),):
            raise ValueError(
                f"log_joint must return shape (S,) for points of shape (S, {points.shape[1]}), "
                f"got {values.shape} for S = {len(points)}"
            )
        if (values > HUGE).any():  # NaN compares false
            where = points[np.nanargmax(values)]
            raise ValueError(
                "log_joint must have a mode with a negative definite Hessian, got a target that "
                f"grows without bound: {np.nanmax(values):.3g} at {_text(where)}"
            )
        return np.where(values > -HUGE, values, -np.inf)

    def _in_u(self, u):
        """The target as scipy.differentiate wants it: (D, ...) -> (...), in the coordinates u."""
        return self._values(self.point + u.reshape(len(u), -1).T @ self.scale.T).reshape(
            u.shape[1:]
        )

    def _ascend(self):
        """Maximise from u = 0; return the u reached."""
        dim = self.point.size

        def at(u):
            return self.point + self.scale @ u

        def inside(u):
            return np.isfinite(self.value(at(u)))

        with np.errstate(all="ignore"):  # a runaway search may overflow; climb sees where it ends
            found = optimize.minimize(
                lambda u: -self.value(at(u)),
                np.zeros(dim),
                jac=lambda u: -self._gradient(at(u)) if inside(u) else np.zeros(dim),
                hess=lambda u: -self._hessian(at(u)) if inside(u) else np.eye(dim),
                method="trust-exact",
                options={"gtol": 1e-6, "maxiter": 100, "max_trust_radius": 1e12},
            )
        return found.x

    def _rescale(self, curvature, axes):
        """Turn the coordinates to the axes of curvature, and make each curvature about one."""
        # A curvature below rounding says nothing: do not shorten that axis, lengthen it and look.
        rounding = 10 * np.finfo(float).eps * abs(self.value()) / HESS_STEP**2
        size = np.where(np.abs(curvature) < rounding, np.minimum(1, curvature), np.abs(curvature))
        self.scale = self.scale @ (axes / np.sqrt(np.clip(size, 1e-6, None)))

    def _leave_saddle(self, direction):
        """Move to the best of point and a step either way along a direction that curves upwards."""
        points = np.stack([self.point, self.point + direction, self.point - direction])
        self.point = points[np.argmax(self._values(points))]

    def _gradient(self, point):
        """Central differences in u."""
        plus, _, minus, step = self._stencil(point, self.scale.T, GRAD_STEP)
        return (plus - minus) / (2 * step)

    def _hessian(self, point):
        """Second differences along sums of two axes of u, all from one batch of points."""
        dim = len(point)
        first, second = np.triu_indices(dim)
        directions = self.scale.T[first] + self.scale.T[second]
        plus, centre, minus, step = self._stencil(point, directions, HESS_STEP)
        curvature = np.zeros((dim, dim))
        curvature[first, second] = (plus - 2 * centre + minus) / step**2
        # Along e_i + e_j the curvature is A_ii + A_jj + 2 A_ij; for i = j that is 4 A_ii.
        diagonal = np.diag(curvature) / 4
        upper = np.triu((curvature - diagonal[:, None] - diagonal) / 2, 1)
        return upper + upper.T + np.diag(diagonal)

    def _stencil(self, point, directions, step):
        """Values at point +- step * directions and at point; the step shrinks to the support."""
        while step > SMALLEST_STEP:
            moves = step * directions
            values = self._values(np.concatenate([point + moves, point[None], point - moves]))
            if np.isfinite(values).all():
                count = len(directions)
                return values[:count], values[count], values[count + 1 :], step
            step /= 10
        raise ValueError(
            "log_joint must have a mode with a negative definite Hessian inside its support, got "
            f"none: it is -inf or NaN next to {_text(point)}, so the maximum lies on an edge, or "
            "the target is flat up to an edge"
        )


def _near_identity(matrix):
    return np.abs(np.linalg.eigvalsh(matrix) - 1).max() < 0.9


def _text(point):
    shown = np.array2string(point[:4], precision=4)
    return shown if len(point) <= 4 else f"{shown[:-1]} ...]"
