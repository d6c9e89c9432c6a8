"""Laplace's approximation: a Gaussian from the mode of a density and its curvature there."""

from dataclasses import dataclass

import numpy as np

from vi_helpers import validation
from vi_helpers._mode_search import ModeSearch
from vi_helpers.densities import LOG_2PI


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
    validation.function("log_joint", log_joint)
    x0 = np.atleast_1d(validation.finite("x0", x0))
    if x0.ndim != 1 or x0.size == 0:
        raise ValueError(f"x0 must be a scalar or have shape (D,), got shape {x0.shape}")
    search = ModeSearch(log_joint, x0)
    search.climb()
    root, hessian_error = search.polish()
    mode, cov = search.point, root @ root.T  # cov = (-Hessian)^-1
    half_log_det = np.linalg.slogdet(root)[1]
    log_evidence = search.value() + 0.5 * mode.size * LOG_2PI + half_log_det
    return LaplaceResult(mode, cov, float(log_evidence), hessian_error)
