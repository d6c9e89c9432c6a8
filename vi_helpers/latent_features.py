"""Binary latent factors, z_k ~ Bernoulli(pi_k) and x = W z + b + noise, learned by EM.

An E step returns a Posterior, the few averages of q(z) that the bound and the M step need,
so exact, mean-field and hard (point-mass) EM are one loop with three E steps.
Sources: Ghahramani 1995; Neal and Hinton 1998; Griffiths and Ghahramani 2011 for the images.
"""

from dataclasses import replace
from itertools import product

import numpy as np
from scipy.special import entr, expit, logsumexp

from vi_helpers import results, validation
from vi_helpers._factor_params import LatentParams as LatentParams
from vi_helpers._factor_params import Posterior as Posterior
from vi_helpers.densities import LOG_2PI

MAX_EXACT = 14  # 2^14 states for each point
PI_FLOOR = 1e-6  # the M step keeps pi in [floor, 1 - floor], so that log pi stays finite


def all_states(num_factors):
    """Every z: (2^K, K) zeros and ones."""
    num_factors = validation.integer("num_factors", num_factors)
    if num_factors > MAX_EXACT:
        raise ValueError(f"num_factors must be <= {MAX_EXACT} to enumerate, got {num_factors}")
    return np.array(list(product((0.0, 1.0), repeat=num_factors)))


def log_joint_table(X, states, params):
    """log p(x_n, z_s) in nats, (N, S), for X (N, D) and states (S, K)."""
    _check_params(params)
    X = validation.data("X", X, dim=len(params.bias))
    states = validation.data("states", states, dim=len(params.pi))
    log_prior = states @ np.log(params.pi) + (1 - states) @ np.log1p(-params.pi)
    centres = states @ params.weights.T + params.bias
    squares = ((X - params.bias) ** 2).sum(axis=1)[:, None]
    offsets = centres - params.bias
    squares = squares - 2 * (X - params.bias) @ offsets.T + (offsets**2).sum(axis=1)
    log_norm = 0.5 * X.shape[1] * (LOG_2PI + np.log(params.noise_var))
    return log_prior - log_norm - 0.5 * squares / params.noise_var


def log_evidence(X, params):
    """log p(X) in nats for all the data, by summing over the 2^K states of each point."""
    _check_params(params)
    return float(logsumexp(log_joint_table(X, all_states(len(params.pi)), params), axis=1).sum())


def e_step_exact(X, params, previous=None):
    """q(z_n) = p(z_n | x_n) by enumeration; previous is not used."""
    states = all_states(len(_check_params(params).pi))
    log_p = log_joint_table(X, states, params)
    q = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    pairs = states[:, :, None] * states[:, None, :]
    return Posterior(q @ states, np.tensordot(q, pairs, axes=1), entr(q).sum(axis=1))


def e_step_hard(X, params, previous=None):
    """q(z_n) all on the most probable z_n, so its entropy is zero; previous is not used."""
    states = all_states(len(_check_params(params).pi))
    best = states[log_joint_table(X, states, params).argmax(axis=1)]
    return Posterior(best, best[:, :, None] * best[:, None, :], np.zeros(len(X)))


def update_factor(X, params, mean, k):
    """The best q(z_nk = 1), (N,), while the other factors stay: one coordinate update.

    Only x_n minus what the other factors explain on average, and the size of w_k, matter.
    Raises ValueError for NaN, means outside [0, 1], shapes that disagree, or another k.
    """
    X = validation.data("X", X, dim=len(_check_params(params).bias))
    mean = _check_means(mean, (len(X), len(params.pi)))
    if validation.integer("k", k, minimum=0) >= len(params.pi):
        raise ValueError(f"k must be below {len(params.pi)}, got {k}")
    weight = params.weights[:, k]
    others = mean @ params.weights.T - np.outer(mean[:, k], weight)
    fit = (X - params.bias - others) @ weight - 0.5 * weight @ weight
    return expit(np.log(params.pi[k]) - np.log1p(-params.pi[k]) + fit / params.noise_var)


def e_step_mean_field(X, params, previous=None, sweeps=20):
    """q(z_n) = prod_k Bernoulli(z_nk; mean_nk), by sweeps of coordinate updates.

    previous : Posterior to start from; None starts from mean = pi
    """
    X = validation.data("X", X, dim=len(_check_params(params).bias))
    sweeps, shape = validation.integer("sweeps", sweeps), (len(X), len(params.pi))
    mean = np.array(np.broadcast_to(params.pi, shape))
    if previous is not None:
        start = validation.instance("previous", previous, Posterior).mean
        mean = validation.finite("previous.mean", start, shape=shape).copy()
    # update_factor with its products made once: the factors meet only in overlap = W^T W.
    overlap = params.weights.T @ params.weights / params.noise_var
    alone = (X - params.bias) @ params.weights / params.noise_var - 0.5 * np.diag(overlap)
    alone += np.log(params.pi) - np.log1p(-params.pi)
    for _ in range(sweeps):
        for k in range(len(params.pi)):
            others = mean @ overlap[:, k] - mean[:, k] * overlap[k, k]
            mean[:, k] = expit(alone[:, k] - others)
    return factorised(mean)


def factorised(mean):
    """The Posterior of independent Bernoulli factors with these means (N, K), in [0, 1]."""
    mean = _check_means(mean)
    second = mean[:, :, None] * mean[:, None, :]
    diagonal = np.arange(mean.shape[1])
    second[:, diagonal, diagonal] = mean  # z^2 = z
    return Posterior(mean, second, (entr(mean) + entr(1 - mean)).sum(axis=1))


def elbo(X, params, q):
    """E_q[log p(X, Z)] + entropy in nats for all the data, for a Posterior q of any kind."""
    X = _check_data(X, q, dim=len(_check_params(params).bias))
    if q.mean.shape[1] != len(params.pi):
        raise ValueError(f"q must have {len(params.pi)} factors, got {q.mean.shape[1]}")
    log_prior = (q.mean @ (np.log(params.pi) - np.log1p(-params.pi))).sum()
    log_prior += len(X) * np.log1p(-params.pi).sum()
    log_norm = 0.5 * X.size * (LOG_2PI + np.log(params.noise_var))
    squares = _expected_squares(X, params.weights, params.bias, q.mean, q.second.sum(axis=0))
    return float(log_prior - log_norm - 0.5 * squares / params.noise_var + q.entropy.sum())


def m_step(X, q, *, learn_bias=False, min_noise_var=1e-6):
    """The best LatentParams for given q: least squares on the expected z.

    Without learn_bias, b = 0. noise_var stays at or above min_noise_var, pi off 0 and 1.
    """
    X = _check_data(X, q)
    min_noise_var = validation.positive_number("min_noise_var", min_noise_var)
    validation.flag("learn_bias", learn_bias)
    mean, second = q.mean, q.second.sum(axis=0)
    num_factors = mean.shape[1]
    bias = np.zeros(X.shape[1])
    if learn_bias:  # b is the weight of a factor that is always on
        counts = mean.sum(axis=0)
        second_b = np.block([[second, counts[:, None]], [counts, np.array([[float(len(X))]])]])
        mean_b = np.column_stack([mean, np.ones(len(X))])
        solution = np.linalg.lstsq(second_b, mean_b.T @ X, rcond=1e-12)[0]
        weights, bias = solution[:num_factors].T, solution[num_factors]
    else:
        weights = np.linalg.lstsq(second, mean.T @ X, rcond=1e-12)[0].T
    squares = _expected_squares(X, weights, bias, mean, second)
    pi = np.clip(mean.mean(axis=0), PI_FLOOR, 1 - PI_FLOOR)
    return LatentParams(pi, weights, bias, max(squares / X.size, min_noise_var))


def init_params(X, num_factors, rng):
    """A random start: pi = 1/2, weights around the mean image, bias 0, wide noise."""
    X = validation.data("X", X)
    num_factors = validation.integer("num_factors", num_factors)
    rng = validation.generator("rng", rng)
    scale = np.sqrt(np.mean(X**2))
    if scale < validation.SMALLEST:
        raise ValueError("X must hold something other than zeros")
    weights = 0.5 * scale * rng.normal(size=(X.shape[1], num_factors))
    weights += X.mean(axis=0)[:, None] / num_factors * 2
    return LatentParams(np.full(num_factors, 0.5), weights, np.zeros(X.shape[1]), scale**2)


E_STEPS = {"exact": e_step_exact, "mean_field": e_step_mean_field, "hard": e_step_hard}


def fit_em(
    X, init, *, e_step="exact", learn_bias=False, min_noise_var=1e-6, max_iter=500, tol=1e-6
):
    """EM for binary latent factors until an iteration changes the bound by less than tol.

    X      : (N, D)
    init   : LatentParams to start from, see init_params
    e_step : "exact" or "hard" (by enumeration, K <= 14), or "mean_field"
    tol    : nats for the whole data set
    Returns FitResult: params a LatentParams; elbos[i] the bound after the i-th M step and the
    E step that follows it, in nats; it never falls, but for rounding. With "exact" it is log p(X).
    Raises ValueError on bad input; warns once when max_iter comes first.
    """
    X = validation.data("X", X, dim=len(validation.instance("init", init, LatentParams).bias))
    step = E_STEPS[validation.one_of("e_step", e_step, tuple(E_STEPS))]
    validation.positive("min_noise_var", min_noise_var, ndim=0)

    def update(state):
        _, q = state
        params = m_step(X, q, learn_bias=learn_bias, min_noise_var=min_noise_var)
        return params, step(X, params, q)

    fit = results.climb(
        "fit_em",
        (init, step(X, init)),
        update,
        lambda state: elbo(X, *state),
        max_iter=max_iter,
        tol=tol,
    )
    return replace(fit, params=fit.params[0])


def _expected_squares(X, weights, bias, mean, second):
    """Sum over n of E_q |x_n - W z_n - b|^2; second is summed over n."""
    residual = X - mean @ weights.T - bias
    spread = second - mean.T @ mean  # sum of the covariances of z_n under q
    return float((residual**2).sum() + (weights.T @ weights * spread).sum())


def _check_params(params):
    return validation.instance("params", params, LatentParams)


def _check_means(mean, shape=(None, None)):
    mean = validation.finite("mean", mean, shape=shape)
    if mean.size and not 0 <= mean.min() <= mean.max() <= 1:
        raise ValueError(f"mean must lie in [0, 1], got {mean.min():g} to {mean.max():g}")
    return mean


def _check_data(X, q, dim=None):
    """X checked, with a row for each row of q."""
    validation.instance("q", q, Posterior)
    X = validation.data("X", X, dim=dim)
    if len(X) != len(q.mean):
        raise ValueError(f"X must have {len(q.mean)} rows like q, got {len(X)}")
    return X
