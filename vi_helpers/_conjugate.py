"""The Dirichlet and the Normal-Wishart distribution: constants, expectations, KL, predictions.

Everything is in nats. K distributions at once: beta, nu (K,), m (K, D), W (K, D, D).
Source: Bishop 2006, appendix B.
"""

import numpy as np
from scipy.special import digamma, gammaln, multigammaln

from vi_helpers.densities import LOG_2PI


def log_norm_dirichlet(alpha):
    """log of the constant in front of prod_k pi_k^(alpha_k - 1)."""
    return gammaln(alpha.sum()) - gammaln(alpha).sum()


def expected_log_weights(alpha):
    """E[log pi_k] for Dir(alpha), (K,)."""
    return digamma(alpha) - digamma(alpha.sum())


def kl_dirichlet(alpha, alpha0):
    """KL(Dir(alpha) || Dir(alpha0)); both (K,)."""
    change = (alpha - alpha0) @ expected_log_weights(alpha)
    return change + log_norm_dirichlet(alpha) - log_norm_dirichlet(alpha0)


def log_norm_wishart(nu, W):
    """log of the constant in front of |Lambda|^((nu - D - 1) / 2) exp(-tr(W^-1 Lambda) / 2)."""
    dim = W.shape[-1]
    log_gamma = multigammaln(np.asarray(nu) / 2, dim)
    return -0.5 * nu * (dim * np.log(2) + np.linalg.slogdet(W)[1]) - log_gamma


def expected_log_det(nu, W):
    """E[log |Lambda|] for Wishart(W, nu); nu (K,), W (K, D, D)."""
    dim = W.shape[-1]
    halves = (nu[:, None] - np.arange(dim)) / 2
    return digamma(halves).sum(axis=1) + dim * np.log(2) + np.linalg.slogdet(W)[1]


def kl_wishart(nu, W, nu0, W0):
    """KL(Wishart(W_k, nu_k) || Wishart(W0, nu0)) for each k, (K,)."""
    trace = np.linalg.solve(W0, W).trace(axis1=1, axis2=2)
    return (
        0.5 * (nu - nu0) * expected_log_det(nu, W)
        + 0.5 * nu * (trace - W.shape[-1])
        + log_norm_wishart(nu, W)
        - log_norm_wishart(nu0, W0)
    )


def kl_means(beta, m, expected_precision, beta0, m0):
    """E_Lambda[KL(N(m_k, (beta_k Lambda)^-1) || N(m0, (beta0 Lambda)^-1))], (K,).

    expected_precision : (K, D, D), the mean of Lambda
    """
    offset, ratio = m - m0, beta0 / beta
    squares = np.einsum("kd,kde,ke->k", offset, expected_precision, offset)
    return 0.5 * (m.shape[1] * (ratio - 1 - np.log(ratio)) + beta0 * squares)


def expected_log_density(X, beta, m, W, nu):
    """E[log N(x; mu_k, Lambda_k^-1)] under each Normal-Wishart, (S, K) for X (S, D)."""
    dim = X.shape[1]
    misfit = np.empty((len(X), len(m)))
    for k, root in enumerate(np.linalg.cholesky(W)):
        misfit[:, k] = dim / beta[k] + nu[k] * (((X - m[k]) @ root) ** 2).sum(axis=1)
    return 0.5 * (expected_log_det(nu, W) - dim * LOG_2PI - misfit)


def log_predictive(X, beta, m, W, nu):
    """log E[N(x; mu_k, Lambda_k^-1)] under each Normal-Wishart: Student-t, (S, K) for X (S, D)."""
    dim = X.shape[1]
    shrink, dof = beta / (1 + beta), nu + 1 - dim
    tails = np.empty((len(X), len(m)))
    roots = np.linalg.cholesky(W)
    for k, root in enumerate(roots):
        tails[:, k] = np.log1p(shrink[k] * (((X - m[k]) @ root) ** 2).sum(axis=1))
    log_norm = gammaln((dof + dim) / 2) - gammaln(dof / 2) + 0.5 * dim * np.log(shrink / np.pi)
    half_log_det = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    return log_norm + half_log_det - 0.5 * (dof + dim) * tails
