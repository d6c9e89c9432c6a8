"""Bayesian logistic regression: p(y = 1 | x, theta) = sigmoid(x . theta), theta ~ N(0, s² I).

s is called prior_std.
X : (N, D), with a column of ones when an intercept is wanted (it then has the same prior)
y : (N,), zeros and ones
Under q(theta) = N(mean, cov) the activation x . theta is normal, so that every expectation here is
an integral over one variable, quadrature.expect_normal.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, log_expit

from vi_helpers import validation
from vi_helpers.densities import LOG_2PI
from vi_helpers.quadrature import expect_normal
from vi_helpers.results import climb


@dataclass(frozen=True)
class GaussianPosterior:
    """q(theta) = N(mean, cov): mean (D,), cov (D, D). Raises ValueError for anything else."""

    mean: np.ndarray
    cov: np.ndarray

    def __post_init__(self):
        mean, cov = validation.normal("mean", self.mean, "cov", self.cov)
        vars(self).update(mean=mean, cov=cov)


def log_joint(X, y, prior_std):
    """log p(y, theta | X) with all constants, as a callable (S, D) -> (S,), in nats."""
    X, y, prior_std = _check_data(X, y, prior_std)
    signed = (2 * y - 1)[:, None] * X
    log_norm = X.shape[1] * (np.log(prior_std) + 0.5 * LOG_2PI)

    def log_p(theta):
        theta = np.clip(validation.real("theta", theta), -validation.LARGEST, validation.LARGEST)
        if theta.ndim != 2 or theta.shape[1] != X.shape[1]:
            raise ValueError(f"theta must have shape (S, {X.shape[1]}), got {theta.shape}")
        log_prior = -0.5 * (theta**2).sum(axis=1) / prior_std**2 - log_norm
        return log_expit(theta @ signed.T).sum(axis=1) + log_prior

    return log_p


def elbo(X, y, prior_std, mean, cov):
    """E_q[log p(y | X, theta)] - KL(q || prior), in nats for the whole data set.

    Raises ValueError for NaN, shapes that disagree, labels other than 0 and 1, or a cov that is
    not positive definite.
    Holds: elbo <= log p(y | X). Source: Opper and Archambeau 2009.
    """
    return _elbo(*_check_data(X, y, prior_std), *_check_q(X, mean, cov))


def _elbo(X, y, prior_std, mean, cov):
    a_mean, a_std = _activation(X, mean, cov)
    log_lik = expect_normal(log_expit, (2 * y - 1) * a_mean, a_std).sum()
    dim = len(mean)
    fit = (np.trace(cov) + mean @ mean) / prior_std**2
    log_det_ratio = np.linalg.slogdet(cov)[1] - 2 * dim * np.log(prior_std)
    return float(log_lik - 0.5 * (fit - dim - log_det_ratio))


def expected_derivatives(X, y, prior_std, mean, cov):
    """E_q of the gradient (D,) and of minus the Hessian (D, D) of the log joint in theta.

    At the exclusive optimum the first is 0 and the second is the precision of q; with a
    factorised q only its diagonal is. Zeros for cov give them at the mean itself.
    Raises ValueError as elbo does, but allows a cov with eigenvalues of 0.
    """
    return _derivatives(*_check_data(X, y, prior_std), *_check_q(X, mean, cov, singular=True))


def _derivatives(X, y, prior_std, mean, cov):
    a_mean, a_std = _activation(X, mean, cov)
    gradient = X.T @ (y - expect_normal(expit, a_mean, a_std)) - mean / prior_std**2
    weight = expect_normal(lambda a: expit(a) * expit(-a), a_mean, a_std)
    return gradient, (X.T * weight) @ X + np.eye(len(mean)) / prior_std**2


def update_q(X, y, prior_std, mean, cov, *, factorised=False, step=1.0):
    """One step towards the exclusive optimum: return the new (mean, cov).

    A Newton step in the mean, and the precision moved to the expected curvature; step in (0, 1]
    damps both. Without expectations this is Newton's method for the mode.
    Raises ValueError as elbo does, and for another step.
    """
    step = validation.positive_number("step", step)
    if step > 1:
        raise ValueError(f"step must lie in (0, 1], got {step:g}")
    validation.flag("factorised", factorised)
    given = *_check_data(X, y, prior_std), *_check_q(X, mean, cov)
    return _updated_q(*given, factorised, step)


def _updated_q(X, y, prior_std, mean, cov, factorised, step):
    gradient, curvature = _derivatives(X, y, prior_std, mean, cov)
    new_mean = mean + step * np.linalg.solve(curvature, gradient)
    if factorised:
        precision = (1 - step) / np.diag(cov) + step * np.diag(curvature)
        return new_mean, np.diag(1 / precision)
    new_cov = np.linalg.inv((1 - step) * np.linalg.inv(cov) + step * curvature)
    return new_mean, (new_cov + new_cov.T) / 2


def fit_gaussian(X, y, prior_std, *, factorised=False, max_iter=200, tol=1e-10):
    """The Gaussian q with least KL(q || posterior); full covariance or factorised.

    The start is mean 0, cov I / (1 / prior_std² + N / 4). A step that would lower the ELBO is
    halved, so the trace never falls; tol is on the rise of the ELBO in nats.
    Returns a FitResult whose params are a GaussianPosterior. Raises ValueError for bad data.
    """
    X, y, prior_std = _check_data(X, y, prior_std)
    dim, factorised = X.shape[1], validation.flag("factorised", factorised)
    mean, cov = np.zeros(dim), np.eye(dim) / (1 / prior_std**2 + len(y) / 4)
    fit = climb(
        "fit_gaussian",
        (mean, cov, _elbo(X, y, prior_std, mean, cov)),
        lambda state: _rising_step(X, y, prior_std, *state, factorised),
        lambda state: state[2],
        max_iter=max_iter,
        tol=tol,
    )
    return replace(fit, params=GaussianPosterior(*fit.params[:2]))


def predict(X, mean, cov):
    """P(y = 1 | x) averaged over q = N(mean, cov), (N,); zeros for cov give the plug-in one.

    Raises ValueError for NaN, shapes that disagree, or a cov with a negative eigenvalue.
    """
    mean, cov = validation.normal("mean", mean, "cov", cov, singular=True)
    return expect_normal(expit, *_activation(validation.data("X", X, dim=mean.size), mean, cov))


def _activation(X, mean, cov):
    """Mean and standard deviation (N,), (N,) of x . theta under q, for each row of X (N, D)."""
    variance = np.einsum("nd,de,ne->n", X, cov, X)
    return X @ mean, np.sqrt(np.maximum(variance, 0.0))  # a singular cov may round below 0


def _rising_step(X, y, prior_std, mean, cov, current, factorised):
    for halvings in range(20):
        step = 0.5**halvings
        new = _updated_q(X, y, prior_std, mean, cov, factorised, step)
        value = _elbo(X, y, prior_std, *new)
        if value >= current:
            return *new, value
    return mean, cov, current  # nothing left to gain but rounding


def _check_q(X, mean, cov, singular=False):
    mean = validation.vector("mean", mean, size=np.shape(X)[-1])
    return validation.normal("mean", mean, "cov", cov, singular=singular)


def _check_data(X, y, prior_std):
    X = validation.data("X", X)
    y = validation.finite("y", y, shape=(len(X),))
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"y must hold zeros and ones, got {np.unique(y)[:5]}")
    return X, y, validation.positive_number("prior_std", prior_std)
