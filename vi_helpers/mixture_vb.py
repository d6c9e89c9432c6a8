"""Variational Bayes for Gaussian mixtures with Dirichlet and Normal-Wishart priors.

The model: pi ~ Dir(alpha0), Lambda_k ~ Wishart(W0, nu0),
mu_k | Lambda_k ~ N(m0, (beta0 Lambda_k)^-1) and, for each point,
z_n | pi ~ Cat(pi), x_n | z_n = k ~ N(mu_k, Lambda_k^-1).
The family: q(z) q(pi, mu, Lambda).
Source: Bishop 2006, section 10.2, with every constant kept.
"""

from dataclasses import fields, replace

import numpy as np
from scipy.special import logsumexp, xlogy

from vi_helpers import _conjugate, mixture_em, results, validation
from vi_helpers._vb_params import Prior as Prior
from vi_helpers._vb_params import VBParams as VBParams
from vi_helpers._vb_params import check_params, check_prior
from vi_helpers.densities import LOG_2PI


def log_norm_dirichlet(alpha):
    """log of the constant in front of prod_k pi_k^(alpha_k - 1), for alpha (K,) > 0."""
    return _conjugate.log_norm_dirichlet(
        validation.positive("alpha", validation.vector("alpha", alpha))
    )


def default_prior(X, alpha0=1.0):
    """A weak prior on the scale of the data: m0 its mean, and E[covariance] its covariance.

    X : (N, D), N > D, not lying in a plane. The prior then depends on the data; give fit_vb
    a Prior of your own when that matters.
    """
    X = validation.data("X", X)
    dim = X.shape[1]
    spread = X.std(axis=0)
    if len(X) < 2 or (spread == 0).any():
        raise ValueError("X must vary in every column to make a default prior; pass prior")
    correlation = np.corrcoef(X.T).reshape(dim, dim)
    if np.linalg.eigvalsh(correlation).min() < 1e-10:
        raise ValueError("X must not lie in a plane to make a default prior; pass prior")
    W0 = np.linalg.inv(correlation) / np.outer(spread, spread)  # nu0 - D - 1 = 1
    return Prior(alpha0, 1.0, X.mean(axis=0), (W0 + W0.T) / 2, dim + 2.0)


def init_resp(X, num_components, rng):
    """Hard responsibilities (N, K): each point to the nearest of mixture_em.spread_points.

    Distances count each column in units of its standard deviation. Where X holds fewer than
    K distinct points, the components beyond them start empty.
    """
    X = validation.data("X", X)
    num_components = validation.integer("num_components", num_components)
    distinct = len(np.unique(X, axis=0))
    centres = X[mixture_em.spread_points(X, min(num_components, distinct), rng)]
    spread = X.std(axis=0)
    spread[spread == 0] = 1.0
    distances = [(((X - centre) / spread) ** 2).sum(axis=1) for centre in centres]
    return np.eye(num_components)[np.argmin(distances, axis=0)]


def _log_rho(X, params):
    """log rho (N, K): E_q[log pi_k] + E_q[log N(x_n; mu_k, Lambda_k^-1)], in nats."""
    log_pi = _conjugate.expected_log_weights(params.alpha)
    return log_pi + _conjugate.expected_log_density(X, params.beta, params.m, params.W, params.nu)


def e_step(X, params):
    """The best q(z) for given q(pi, mu, Lambda).

    Returns log_resp (N, K) and sum_n log sum_k rho_nk, so that after this step
    ELBO = that sum - kl_to_prior(params, prior).
    Raises ValueError for NaN or another D. Source: Bishop 2006, (10.46)-(10.49).
    """
    X = validation.data("X", X, dim=check_params(params).m.shape[1])
    log_rho = _log_rho(X, params)
    log_norm = logsumexp(log_rho, axis=1, keepdims=True)
    return log_rho - log_norm, float(log_norm.sum())


def m_step(X, prior, log_resp):
    """The best q(pi, mu, Lambda) for given q(z); an empty component returns to the prior.

    X : (N, D), N >= 0;  log_resp : (N, K), rows log distributions, or log distributions plus
    the log of how often the point counts.  Returns VBParams.
    Raises ValueError for NaN or shapes that disagree. Source: Bishop 2006, (10.58)-(10.63).
    """
    X = validation.finite("X", X, shape=(None, check_prior(prior).m0.size))
    shape = (len(X), None)
    resp = validation.log_probabilities("log_resp", log_resp, shape=shape, weighted=True)
    if resp.shape[1] == 0:
        raise ValueError("log_resp must hold at least one component, got none")
    nk = resp.sum(axis=0)
    beta = prior.beta0 + nk
    # Centred on m0 and on m_k, so that data far from the origin lose no digits.
    m = prior.m0 + (resp.T @ (X - prior.m0)) / beta[:, None]
    offset = prior.m0 - m
    inv_W = np.linalg.inv(prior.W0) + prior.beta0 * offset[:, :, None] * offset[:, None, :]
    for k in range(len(nk)):
        diff = X - m[k]
        inv_W[k] += (resp[:, k, None] * diff).T @ diff
    root = np.linalg.inv(np.linalg.cholesky(inv_W))
    W = np.swapaxes(root, 1, 2) @ root
    return VBParams(prior.alpha0 + nk, beta, m, W, prior.nu0 + nk)


def kl_to_prior(params, prior):
    """KL(q(pi, mu, Lambda) || p(pi, mu, Lambda)) in nats, all constants kept."""
    check_prior(prior, dim=check_params(params).m.shape[1])
    beta, m, W, nu = params.beta, params.m, params.W, params.nu
    kl_weights = _conjugate.kl_dirichlet(params.alpha, np.full(len(beta), prior.alpha0))
    kl_components = _conjugate.kl_means(beta, m, nu[:, None, None] * W, prior.beta0, prior.m0)
    kl_components = kl_components + _conjugate.kl_wishart(nu, W, prior.nu0, prior.W0)
    return float(kl_weights + kl_components.sum())


def elbo(X, prior, log_resp, params):
    """E_q[log p(X, z, pi, mu, Lambda) - log q] in nats, for any q(z) and q(pi, mu, Lambda)."""
    X = validation.data("X", X, dim=check_params(params).m.shape[1])
    shape = (len(X), len(params.alpha))
    resp = validation.log_probabilities("log_resp", log_resp, shape=shape)
    expected = (resp * _log_rho(X, params)).sum() - xlogy(resp, resp).sum()
    return float(expected) - kl_to_prior(params, prior)


def fit_vb(X, num_components, *, prior=None, init=None, max_iter=500, tol=1e-6, rng=None):
    """Coordinate ascent on the ELBO until an iteration changes it by less than tol.

    X     : (N, D)
    prior : Prior, or a dict of its fields; None takes default_prior(X)
    init  : VBParams, responsibilities (N, K), or GMMParams whose E step gives them;
            None takes init_resp(X, num_components, rng)
    rng   : numpy Generator for that start; None takes a fixed one, so the fit is repeatable
    tol   : nats for the whole data set
    Returns FitResult: params a VBParams, elbos[i] the ELBO after the i-th M step and the E step
    that follows it, in nats with all constants. It never falls, but for rounding.
    Raises ValueError on bad input; warns once when max_iter comes first.
    Source: Bishop 2006, (10.46)-(10.77).
    """
    X = validation.data("X", X)
    num_components = validation.integer("num_components", num_components)
    prior = default_prior(X) if prior is None else prior
    if isinstance(prior, dict):
        if prior.keys() != {field.name for field in fields(Prior)}:
            raise ValueError(f"prior must have the fields of a Prior, got {sorted(prior)}")
        prior = Prior(**prior)
    check_prior(prior, dim=X.shape[1])
    rng = np.random.default_rng(0) if rng is None else validation.generator("rng", rng)

    def after_e_step(params):
        log_resp, fit_term = e_step(X, params)
        return params, log_resp, fit_term - kl_to_prior(params, prior)

    fit = results.climb(
        "fit_vb",
        after_e_step(_start(X, num_components, prior, init, rng)),
        lambda state: after_e_step(m_step(X, prior, state[1])),
        lambda state: state[2],
        max_iter=max_iter,
        tol=tol,
    )
    return replace(fit, params=fit.params[0])


def expected_mixture(params):
    """The GMMParams with weights E[pi], means E[mu_k] and covariances E[Lambda_k]^-1."""
    check_params(params)
    covs = np.linalg.inv(params.W) / params.nu[:, None, None]
    return mixture_em.GMMParams(params.alpha / params.alpha.sum(), params.m, covs)


def log_predictive(X_new, params):
    """log q(x): the mixture of Student-t densities E_q[sum_k pi_k N(x; mu_k, Lambda_k^-1)], (S,).

    X_new : (S, D). Source: Bishop 2006, (10.81).
    """
    X_new = validation.data("X_new", X_new, dim=check_params(params).m.shape[1])
    log_weights = np.log(params.alpha) - np.log(params.alpha.sum())
    log_terms = _conjugate.log_predictive(X_new, params.beta, params.m, params.W, params.nu)
    return logsumexp(log_weights + log_terms, axis=1)


def log_evidence_one_component(X, prior):
    """log p(X) in nats if one component made all of X (N, D): its mean and precision summed out.

    Raises ValueError for NaN or another D. Source: Murphy 2007, "Conjugate Bayesian analysis of
    the Gaussian distribution", section 8.
    """
    dim = check_prior(prior).m0.size
    X = validation.finite("X", X, shape=(None, dim))
    post = m_step(X, prior, np.zeros((len(X), 1)))
    return float(
        _conjugate.log_norm_wishart(prior.nu0, prior.W0)
        - _conjugate.log_norm_wishart(post.nu, post.W)[0]
        + 0.5 * dim * (np.log(prior.beta0) - np.log(post.beta[0]) - len(X) * LOG_2PI)
    )


def _start(X, num_components, prior, init, rng):
    if isinstance(init, VBParams):
        validation.finite("init.m", init.m, shape=(num_components, X.shape[1]))
        return init
    if init is None:
        init = init_resp(X, num_components, rng)
    if isinstance(init, mixture_em.GMMParams):
        init = np.exp(mixture_em.e_step(X, init)[0])
    resp = validation.probabilities("init", init, shape=(len(X), num_components))
    with np.errstate(divide="ignore"):  # a hard assignment has log responsibility -inf
        return m_step(X, prior, np.log(resp))
