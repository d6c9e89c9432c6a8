"""Brute force: slow, obvious forms that the tests compare the package with."""

import itertools

import numpy as np
from scipy.stats import multivariate_normal


def gmm_log_likelihood_by_assignments(X, params):
    """log p(X) of a Gaussian mixture as a sum over all K^N assignments, in nats."""
    K = len(params.weights)
    total = 0.0
    for assignment in itertools.product(range(K), repeat=len(X)):
        joint = 1.0
        for x, k in zip(X, assignment, strict=True):
            gaussian = multivariate_normal(params.means[k], params.covs[k])
            joint *= params.weights[k] * gaussian.pdf(x)
        total += joint
    return float(np.log(total))


def gmm_elbo(X, resp, params):
    """E_q[log p(X, z)] + entropy of q for q(z) = prod_n resp[n, z_n], term by term, in nats."""
    total = 0.0
    for x, row in zip(X, resp, strict=True):
        for k, r in enumerate(row):
            if r > 0:
                gaussian = multivariate_normal(params.means[k], params.covs[k])
                total += r * (np.log(params.weights[k]) + gaussian.logpdf(x) - np.log(r))
    return float(total)


def gmm_m_step(X, resp):
    """Weighted averages, one point and one component at a time: weights, means, covs."""
    N = len(X)
    weights, means, covs = [], [], []
    for r in resp.T:
        nk = sum(r)
        mean = sum(r[n] * X[n] for n in range(N)) / nk
        cov = sum(r[n] * np.outer(X[n] - mean, X[n] - mean) for n in range(N)) / nk
        weights.append(nk / N)
        means.append(mean)
        covs.append(cov)
    return np.array(weights), np.array(means), np.array(covs)
