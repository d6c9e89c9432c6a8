"""EM for mixtures of Gaussians with full covariances, in log space.

e_step and m_step are the two coordinate updates. fit_em repeats them; on well-scaled data it
sweeps the points once per iteration with the same updates in exponential-family form
(_mixture_sweep), and the tests hold the two equal.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from vi_helpers import results, validation
from vi_helpers._mixture_sweep import Sweep, resolution
from vi_helpers.densities import mvn_logpdf

_EPS = np.finfo(float).eps


@dataclass(frozen=True)
class GMMParams:
    """A mixture of K Gaussians in D dimensions.

    weights : (K,) mixing proportions, which sum to one
    means   : (K, D)
    covs    : (K, D, D) full covariances, symmetric; a singular one has no density, but may be
              held here, and e_step refuses it
    Raises ValueError for anything else.
    """

    weights: np.ndarray
    means: np.ndarray
    covs: np.ndarray

    def __post_init__(self):
        weights = validation.probabilities("weights", self.weights, ndim=1)
        means = validation.finite("means", self.means, shape=(len(weights), None))
        shape = (*means.shape, means.shape[1])
        covs = validation.covariance("covs", self.covs, shape=shape, singular=True)
        vars(self).update(weights=weights, means=means, covs=covs)


def spread_points(X, num_points, rng):
    """Indices (num_points,) of rows of X that lie far apart: the seeding of k-means++.

    X : (N, D); each column counts in units of its standard deviation; rng : numpy Generator
    Each next row is drawn with probability proportional to its squared distance to the nearest
    one so far. Raises ValueError when X holds fewer than num_points distinct rows.
    Source: Arthur and Vassilvitskii 2007.
    """
    X = validation.data("X", X)
    num_points = validation.integer("num_points", num_points)
    rng = validation.generator("rng", rng)
    variances = _column_variances(X)
    nearest = np.full(len(X), np.inf)
    chosen = [rng.integers(len(X))]
    while len(chosen) < num_points:
        nearest = np.minimum(nearest, ((X - X[chosen[-1]]) ** 2 / variances).sum(axis=1))
        if not nearest.any():
            raise ValueError(
                f"X must hold at least {num_points} distinct points, got {len(chosen)}"
            )
        chosen.append(rng.choice(len(X), p=nearest / nearest.sum()))
    return np.array(chosen)


def init_params(X, num_components, rng):
    """A start for fit_em: means from spread_points, equal weights, the data's variances.

    X : (N, D) finite; num_components <= the number of distinct points; rng : numpy Generator
    Every covariance is diagonal with the variances of all the data; a constant column gets
    the mean variance of the others (1 when all are constant), so that the start is valid.
    Raises ValueError when X holds fewer distinct points than components.
    """
    X = validation.data("X", X)
    K = validation.integer("num_components", num_components)
    _check_enough_points(X, K)
    means = X[spread_points(X, K, rng)]
    return GMMParams(np.full(K, 1 / K), means, np.array([np.diag(_column_variances(X))] * K))


def e_step(X, params):
    """Exact posterior over the component of each point, log p(z_n = k | x_n).

    X : (N, D); params : GMMParams
    Returns (log_resp, log_likelihood): (N, K), each row a log distribution, and
    log p(X) in nats, summed over the points. A component of weight 0 gets -inf.
    Raises ValueError for NaN or wrong shapes.
    Holds: with q = resp the ELBO equals log_likelihood.
    Source: Bishop 2006, Eq. (9.23).
    """
    X = _check_data(X, "params", params)
    with np.errstate(divide="ignore"):  # a weight of 0
        log_weights = np.log(params.weights)
    components = zip(params.means, params.covs, strict=True)
    log_joint = log_weights + np.stack([mvn_logpdf(X, m, cov) for m, cov in components], axis=1)
    log_evidence = logsumexp(log_joint, axis=1)
    return log_joint - log_evidence[:, None], float(log_evidence.sum())


def m_step(X, log_resp, reg=0.0):
    """The parameters that maximise the ELBO for fixed responsibilities.

    X : (N, D); log_resp : (N, K), rows log distributions; reg >= 0 is added to every
    covariance's diagonal, in squared units of X.
    Holds: the result maximises ELBO - reg/2 * sum_k N_k tr(inv(cov_k)), N_k = sum_n resp[n, k].
    Raises ValueError when a component is empty, or its covariance singular to rounding.
    Source: Bishop 2006, Eqs. (9.24)-(9.26).
    """
    X = validation.data("X", X)
    resp = validation.log_probabilities("log_resp", log_resp, shape=(len(X), None))
    return _to_params(_moments(X, resp), resolution(X), _check_reg(reg))


def fit_em(X, init, *, max_iter=200, tol=1e-6, reg=0.0):
    """Maximum likelihood by EM from the start init, a GMMParams.

    X        : (N, D), N >= K
    max_iter : most iterations, an M step and an E step each
    tol      : stop when an iteration changes the bound by less, in nats for the whole data set
    reg      : see m_step; with reg > 0 the bound may fall, by no more than the trace term gains
    Returns a FitResult; params is a GMMParams; elbos[i] is the bound after the E step at the
    parameters of iteration i, hence log p(X) there; elbos[0] belongs to init.
    Raises ValueError for bad input and when a component empties or collapses; never NaN.
    Warns once when max_iter comes first.
    Extra memory: one (N, D) array; (N, K) ones only for components so narrow that the fast
    sweep would lose digits.
    Source: Dempster, Laird and Rubin 1977; Neal and Hinton 1998 for the bound.
    """
    X, reg = _check_data(X, "init", init), _check_reg(reg)
    _check_enough_points(X, len(init.weights))
    sweep, rounding = Sweep(X), resolution(X)

    def after_e_step(params, iteration):
        return params, iteration, *_e_step_and_moments(X, params, sweep)

    def update(state):
        _, iteration, _, moments = state
        params = _to_params(moments, rounding, reg, f" in iteration {iteration + 1}")
        return after_e_step(params, iteration + 1)

    fit = results.climb(
        "fit_em", after_e_step(init, 0), update, lambda state: state[2], max_iter=max_iter, tol=tol
    )
    return replace(fit, params=fit.params[0])


def _e_step_and_moments(X, params, sweep):
    """Log-likelihood, and what the next M step needs; by the sweep if it keeps the digits."""
    if sweep.is_safe(params.covs):
        log_likelihood, moments = sweep(params.weights, params.means, params.covs)
        _, _, new_covs = moments
        if sweep.is_safe(new_covs):
            return log_likelihood, moments
    log_resp, log_likelihood = e_step(X, params)
    return log_likelihood, _moments(X, np.exp(log_resp, out=log_resp))


def _moments(X, resp):
    """nk (K,), means (K, D) and covariances (K, D, D) of X weighted by resp."""
    nk = resp.sum(axis=0)
    safe = np.maximum(nk, np.finfo(float).tiny)  # an empty component is reported later
    means = (resp.T @ X) / safe[:, None]
    covs = np.empty((len(nk), X.shape[1], X.shape[1]))
    for k, mean in enumerate(means):
        diff = X - mean
        diff *= np.sqrt(resp[:, k])[:, None]
        covs[k] = diff.T @ diff / safe[k]
    return nk, means, covs


def _to_params(moments, rounding, reg, where=""):
    """The M step from the moments; a ValueError says which component is empty or singular."""
    nk, means, covs = moments
    if (nk <= 10 * _EPS).any():
        k = int(np.argmin(nk))
        raise ValueError(
            f"component {k} is empty{where}: its responsibilities sum to {nk[k]:.3g}; "
            "start elsewhere or use fewer components"
        )
    covs = covs + reg * np.eye(len(rounding))
    well_defined = _well_defined(covs, rounding)
    if not well_defined.all():
        k = int(np.argmin(well_defined))
        raise ValueError(
            f"the covariance of component {k} is singular{where} ({nk[k]:.3g} points); "
            f"use reg > 0 (got {reg:g}), fewer components or another start"
        )
    return GMMParams(nk / nk.sum(), means, covs)


def _well_defined(covs, rounding):
    """Whether each covariance is positive definite beyond the rounding of the data."""
    std = np.sqrt(np.diagonal(covs, axis1=1, axis2=2))
    wide = (std > rounding).all(axis=1)
    std = np.where(std > 0, std, 1.0)
    correlation = covs / (std[:, :, None] * std[:, None, :])
    return wide & (np.linalg.eigvalsh(correlation)[:, 0] > 10 * len(rounding) * _EPS)


def _column_variances(X):
    """(D,); that of a constant column is the mean of the others, or 1."""
    var = X.var(axis=0)
    varies = var > resolution(X) ** 2  # otherwise constant up to rounding
    var[~varies] = var[varies].mean() if varies.any() else 1.0
    return var


def _check_data(X, name, params):
    validation.instance(name, params, GMMParams)
    return validation.data("X", X, dim=params.means.shape[1])


def _check_reg(reg):
    reg = validation.number("reg", reg)
    if reg < 0:
        raise ValueError(f"reg must be >= 0, got {reg:g}")
    return reg


def _check_enough_points(X, K):
    if len(X) < K:
        raise ValueError(f"X must hold at least as many points as components, got {len(X)} < {K}")
