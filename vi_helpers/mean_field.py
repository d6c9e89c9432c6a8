"""Mean field by coordinate ascent, on two models whose exact answers are known.

A Gaussian target N(mean, cov), with a factor of q for each block of coordinates:
at the optimum of one block the others enter only through their means.

A Bayesian mixture of K unit-variance Gaussians on the line, with uniform weights:
mu_k ~ N(0, prior_std²), c_n ~ uniform on K labels, x_n | c_n = k ~ N(mu_k, 1),
and q(mu, c) = prod_k N(mu_k; means[k], stds[k]²) prod_n resp[n, c_n].
Source: Blei, Kucukelbir, McAuliffe 2017, sections 2.4 and 3.
"""

from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from scipy.special import xlogy

from vi_helpers import results, validation
from vi_helpers._unit_mixture_exact import UnitMixturePosterior as UnitMixturePosterior
from vi_helpers._unit_mixture_exact import exact_posterior as exact_posterior
from vi_helpers.densities import LOG_2PI


@dataclass(frozen=True)
class GaussianQ:
    """N(mean, cov), mean (D,), cov (D, D) with zeros between coordinates of different blocks."""

    mean: np.ndarray
    cov: np.ndarray

    def __post_init__(self):
        mean, cov = validation.normal("mean", self.mean, "cov", self.cov)
        vars(self).update(mean=mean, cov=cov)


@dataclass(frozen=True)
class UnitMixtureQ:
    """prod_k N(mu_k; means[k], stds[k]²) prod_n resp[n, c_n].

    means, stds : (K,), stds > 0;  resp : (N, K), rows that sum to one
    """

    means: np.ndarray
    stds: np.ndarray
    resp: np.ndarray

    def __post_init__(self):
        means, stds = _check_factors(self.means, self.stds)
        resp = validation.probabilities("resp", self.resp, shape=(None, means.size))
        vars(self).update(means=means, stds=stds, resp=resp)


# A Gaussian target


def update_q_block(q_mean, block, mean, precision):
    """The mean of q after the best update of one block, the other blocks held.

    q_mean, mean : (D,), of q and of the target;  block : list of indices
    precision    : (D, D) of the target
    The block's covariance is the inverse of precision[block, block], whatever q_mean is.
    Raises ValueError for NaN, shapes that disagree, or a precision that is not positive definite.
    """
    mean, precision = validation.normal("mean", mean, "precision", precision)
    q_mean = validation.vector("q_mean", q_mean, size=mean.size)
    return _updated_block(q_mean, validation.indices("block", block, mean.size), mean, precision)


def _updated_block(q_mean, block, mean, precision):
    rest = np.setdiff1d(np.arange(len(mean)), block)
    pull = precision[np.ix_(block, rest)] @ (q_mean[rest] - mean[rest])
    updated = np.array(q_mean, dtype=float)
    updated[block] = mean[block] - np.linalg.solve(precision[np.ix_(block, block)], pull)
    return updated


def factorised_cov(precision, blocks):
    """(D, D) covariance of the best q that factorises over blocks: each block inverted alone."""
    precision = validation.covariance("precision", precision)
    if precision.ndim != 2:
        raise ValueError(f"precision must have shape (D, D), got {precision.shape}")
    return _factorised(precision, _blocks(blocks, len(precision)))


def _factorised(precision, blocks):
    cov = np.zeros_like(precision)
    for block in blocks:
        cov[np.ix_(block, block)] = np.linalg.inv(precision[np.ix_(block, block)])
    return cov


def fit_gaussian_target(mean, cov, init_mean, *, blocks=None, max_iter=500, tol=1e-10):
    """Coordinate ascent for the target N(mean, cov), sweep after sweep over the blocks.

    mean, init_mean : (D,);  cov : (D, D)
    blocks : lists of indices that hold each of 0..D-1 once; None takes every coordinate alone
    Returns FitResult: params a GaussianQ; elbos = -KL(q || target) in nats after each sweep,
    elbos[0] with the means of init_mean and the covariance of the optimum. They never fall.
    Raises ValueError for bad input; warns once when max_iter comes first.
    """
    mean, cov = validation.normal("mean", mean, "cov", cov)
    start = validation.vector("init_mean", init_mean, size=mean.size)
    blocks = _blocks([[i] for i in range(mean.size)] if blocks is None else blocks, mean.size)
    precision = np.linalg.inv(cov)
    precision = (precision + precision.T) / 2
    q_cov = _factorised(precision, blocks)
    lost = 0.5 * (np.linalg.slogdet(cov)[1] - np.linalg.slogdet(q_cov)[1])  # the trace term is 0

    def sweep(q_mean):
        for block in blocks:
            q_mean = _updated_block(q_mean, block, mean, precision)
        return q_mean

    def elbo_at(q_mean):
        return -lost - 0.5 * (q_mean - mean) @ precision @ (q_mean - mean)

    fit = results.climb("fit_gaussian_target", start, sweep, elbo_at, max_iter=max_iter, tol=tol)
    return results.FitResult(GaussianQ(fit.params, q_cov), fit.elbos, fit.converged, fit.n_iter)


# The Bayesian mixture of unit-variance Gaussians


def update_q_assignments(x, means, stds):
    """The best q(c) for a given q(mu): resp (N, K), from x (N,), means (K,), stds (K,).

    log resp[n, k] = -E_q[(x_n - mu_k)²] / 2 + const, the same constant for all k.
    Raises ValueError for NaN, shapes that disagree, or stds that are not positive.
    """
    return _assignments(validation.vector("x", x), *_check_factors(means, stds))


def _assignments(x, means, stds):
    log_rho = -0.5 * (np.subtract.outer(x, means) ** 2 + stds**2)
    rho = np.exp(log_rho - log_rho.max(axis=1, keepdims=True))
    return rho / rho.sum(axis=1, keepdims=True)


def update_q_means(x, resp, *, prior_std):
    """The best q(mu) for a given q(c): means (K,), stds (K,), from x (N,), resp (N, K).

    A component without points has mean 0 and std prior_std: its prior.
    Raises ValueError for NaN, rows of resp that do not sum to one, or shapes that disagree.
    """
    x = validation.vector("x", x)
    resp = validation.probabilities("resp", resp, shape=(len(x), None))
    return _means(x, resp, validation.positive_number("prior_std", prior_std))


def _means(x, resp, prior_std):
    variances = 1 / (1 / prior_std**2 + resp.sum(axis=0))
    return variances * (x @ resp), np.sqrt(variances)


def elbo(x, q, *, prior_std):
    """E_q[log p(x, c, mu) - log q(c, mu)] in nats, all constants kept, for any UnitMixtureQ.

    x : (N,).  Holds: elbo <= log evidence.
    Raises ValueError for NaN, or a q with another number of rows than x.
    """
    x, q = validation.vector("x", x), validation.instance("q", q, UnitMixtureQ)
    if len(x) != len(q.resp):
        raise ValueError(f"x must hold {len(q.resp)} points like q, got {len(x)}")
    return _elbo(x, q, validation.positive_number("prior_std", prior_std))


def _elbo(x, q, prior_std):
    num_points, num_components = q.resp.shape
    squares = (np.subtract.outer(x, q.means) ** 2 + q.stds**2) * q.resp
    fit = -0.5 * (squares.sum() + num_points * LOG_2PI)
    assignments = -num_points * np.log(num_components) - xlogy(q.resp, q.resp).sum()
    ratio = q.stds / prior_std
    kl_means = 0.5 * (ratio**2 + (q.means / prior_std) ** 2 - 1) - np.log(ratio)
    return float(fit + assignments - kl_means.sum())


def fit_unit_mixture(x, num_components, *, prior_std, init=None, rng=None, max_iter=500, tol=1e-8):
    """Coordinate ascent on q(c), then on q(mu), until the ELBO changes by less than tol.

    x         : (N,), N >= num_components
    prior_std : standard deviation of the prior on each mean, > 0
    init      : UnitMixtureQ, responsibilities (N, K), or means (K,); the last two start with the
                updates that they determine. None takes K of the points, drawn by rng, moved by
                a tenth of the noise, so that two equal points do not start as one component
    rng       : numpy Generator for that start; None takes a fixed one, so the fit is repeatable
    Returns FitResult: params a UnitMixtureQ, elbos in nats with all constants. They never fall,
    but for rounding. Local optima are many: compare several starts.
    Raises ValueError for bad input; warns once when max_iter comes first.
    """
    x = validation.vector("x", x)
    num_components = validation.integer("num_components", num_components)
    if num_components > len(x):
        raise ValueError(
            f"num_components must be at most the number of points, {len(x)}, got {num_components}"
        )
    prior_std = validation.positive_number("prior_std", prior_std)

    def sweep(q):
        resp = _assignments(x, q.means, q.stds)
        return UnitMixtureQ(*_means(x, resp, prior_std), resp)

    rng = np.random.default_rng(0) if rng is None else validation.generator("rng", rng)
    start = _start(x, num_components, prior_std, init, rng)
    bound = partial(_elbo, x, prior_std=prior_std)
    return results.climb("fit_unit_mixture", start, sweep, bound, max_iter=max_iter, tol=tol)


def unit_mixture_log_evidence(x, num_components, *, prior_std):
    """log p(x) in nats, exact: the sum over all K**N assignments, each with mu integrated out.

    Raises ValueError when the table would have more than MAX_ASSIGNMENTS rows.
    """
    return exact_posterior(x, num_components, prior_std=prior_std).log_evidence


def _check_factors(means, stds):
    means = validation.vector("means", means)
    return means, validation.positive("stds", stds, shape=means.shape)


def _blocks(blocks, dim):
    """Blocks as integer arrays, or ValueError unless they hold each of 0..dim-1 once."""
    try:
        listed = [list(block) for block in blocks]
        complete = all(listed) and sorted(chain.from_iterable(listed)) == list(range(dim))
    except TypeError as error:
        raise ValueError(f"blocks must be lists of indices, got {blocks!r}") from error
    if not complete:
        raise ValueError(
            f"blocks must hold each of 0..{dim - 1} exactly once and none be empty, got {blocks!r}"
        )
    return [np.array(block, dtype=int) for block in listed]


def _start(x, num_components, prior_std, init, rng):
    shape = (len(x), num_components)
    if isinstance(init, UnitMixtureQ):
        validation.finite("init.resp", init.resp, shape=shape)
        return init
    if init is None:
        init = rng.choice(x, num_components, replace=False)
        init = init + 0.1 * rng.standard_normal(num_components)
    init = validation.finite("init", init)
    if init.ndim == 1:
        means = validation.finite("init", init, shape=(num_components,))
        resp = _assignments(x, means, np.zeros(num_components))  # equal stds cancel
    else:
        resp = validation.probabilities("init", init, shape=shape)
    return UnitMixtureQ(*_means(x, resp, prior_std), resp)
