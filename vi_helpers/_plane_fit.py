"""Engine of gaussian_fits: the Gaussian nearest to a target in the plane, by exclusive KL."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from vi_helpers import quadrature, validation
from vi_helpers.densities import LOG_2PI, evaluate
from vi_helpers.results import warn_not_converged


@dataclass(frozen=True)
class PlaneFit:
    """A Gaussian fitted to a target in the plane.

    mean, cov : of q, (2,) and (2, 2)
    kl        : KL(q || p) in nats
    """

    mean: np.ndarray
    cov: np.ndarray
    kl: float
    converged: bool
    n_iter: int


def fit_gaussian_plane(log_p, init_mean, init_cov, *, diagonal=False, max_iter=500):
    """The local minimum of KL(q||p) over two-dimensional Gaussians reached from a start.

    log_p : normalised callable (S, 2) -> (S,), nats; init_mean : (2,); init_cov : (2, 2)
    diagonal : keep the two coordinates of q independent (only the diagonal of init_cov counts)
    Returns a PlaneFit; its kl is short of KL(q||p) by log Z when log_p is not normalised.
    Raises ValueError for a start of another shape, for NaN or -inf near the start, and for a
    target that does not decay, so that q grows without end.
    """
    validation.flag("diagonal", diagonal)
    max_iter = validation.integer("max_iter", max_iter)
    mean = validation.finite("init_mean", init_mean, shape=(2,))
    cov = validation.covariance("init_cov", init_cov, shape=(2, 2))
    chol = np.sqrt(np.diag(np.diag(cov))) if diagonal else np.linalg.cholesky(cov)

    def unpack(v):
        # v = (mean, two log standard deviations, slant); chol is lower triangular
        return v[:2], np.array([[np.exp(v[2]), 0.0], [v[4], np.exp(v[3])]])

    def objective(v, z, w):
        mean, chol = unpack(v)
        values = evaluate("log_p", log_p, mean + z @ chol.T)
        if np.isneginf(values).any():
            raise ValueError("log_p must be finite near q, got -inf: KL(q||p) is infinite there")
        weighted = w * values
        # d E[log p(m + Lz)] / d(m, L) by Stein's identity, as in exclusive_derivatives
        by_mean = np.linalg.solve(chol.T, weighted @ z)
        by_chol = (weighted[:, None] * z).T @ z - weighted.sum() * np.eye(2)
        by_chol = np.linalg.solve(chol.T, by_chol)
        by_log_std = 1 + np.diag(by_chol) * np.diag(chol)
        slant = 0.0 if diagonal else by_chol[1, 0]
        value = -(1 + LOG_2PI) - v[2] - v[3] - weighted.sum()
        return value, -np.array([*by_mean, *by_log_std, slant])

    at = np.array([*mean, *np.log(np.diag(chol)), chol[1, 0]])
    steps = 0
    for step, gtol in ((0.2, 1e-4), (0.05, 1e-7)):  # go far on a coarse grid, end on a fine one
        options = {"gtol": gtol, "maxiter": max_iter}
        nodes = quadrature.normal_plane(step)
        try:
            with np.errstate(over="raise", invalid="raise"):
                fit = minimize(objective, at, args=nodes, jac=True, method="BFGS", options=options)
        except (FloatingPointError, np.linalg.LinAlgError):
            raise ValueError("log_p must decay in every direction, got an endless fit") from None
        at, steps = fit.x, steps + fit.nit
        if np.abs(at[2:4]).max() > 30:  # log standard deviations
            raise ValueError("log_p must decay in every direction, got an endless fit")
    size = np.abs(fit.jac).max()
    converged = bool(size <= 1e-5)  # rounding may stop BFGS a little short of gtol
    if not converged:
        warn_not_converged("fit_gaussian_plane", steps, size, 1e-5, "slope of KL(q||p), in nats,")
    mean, chol = unpack(at)
    return PlaneFit(mean, chol @ chol.T, float(fit.fun), converged, steps)
