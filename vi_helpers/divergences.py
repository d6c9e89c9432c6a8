"""Distances between distributions: KL(q||p) = E_q[log q - log p] in nats, and Wasserstein.

KL comes in closed form, by quadrature and by Monte Carlo. The Gaussians that are closest to a
target in either direction of KL are fitted in gaussian_fits; their names are kept here too.
"""

import numpy as np
from scipy.special import ndtr, rel_entr

from vi_helpers import quadrature, validation
from vi_helpers.densities import evaluate
from vi_helpers.gaussian_fits import (
    GaussianFit,
    PlaneFit,
    all_minima,
    exclusive_derivatives,
    fit_gaussian,
    fit_gaussian_plane,
)

__all__ = [
    "GaussianFit",
    "PlaneFit",
    "all_minima",
    "exclusive_derivatives",
    "fit_gaussian",
    "fit_gaussian_plane",
    "kl_bernoulli",
    "kl_categorical",
    "kl_mc",
    "kl_mvn",
    "kl_normal",
    "kl_quad",
    "mean_and_error",
    "wasserstein",
]


def kl_normal(mean_q, std_q, mean_p, std_p):
    """KL(N(mean_q, std_q²) || N(mean_p, std_p²)); the four arguments broadcast.

    Raises ValueError for NaN, a std that is not positive, or shapes that do not broadcast.
    Source: Kingma and Welling 2014, appendix B, for mean_p = 0, std_p = 1.
    """
    mean_q, mean_p = validation.finite("mean_q", mean_q), validation.finite("mean_p", mean_p)
    std_q, std_p = validation.positive("std_q", std_q), validation.positive("std_p", std_p)
    validation.broadcast(mean_q=mean_q, std_q=std_q, mean_p=mean_p, std_p=std_p)
    log_ratio = np.log(std_q) - np.log(std_p)
    # expm1 keeps the digits, and the sign, when the two are nearly equal
    return 0.5 * (np.expm1(2 * log_ratio) + ((mean_q - mean_p) / std_p) ** 2) - log_ratio


def kl_mvn(mean_q, cov_q, mean_p, cov_p):
    """KL(N(mean_q, cov_q) || N(mean_p, cov_p)); leading axes broadcast.

    means : (..., D);  covs : (..., D, D), symmetric positive definite.  Returns (...,).
    Raises ValueError for NaN, shapes that disagree, or a covariance not positive definite.
    """
    mean_q, mean_p = validation.finite("mean_q", mean_q), validation.finite("mean_p", mean_p)
    if mean_q.ndim == 0:
        raise ValueError("mean_q must have shape (..., D), got a scalar: use kl_normal")
    dim = mean_q.shape[-1]
    if mean_p.ndim == 0 or mean_p.shape[-1] != dim:
        raise ValueError(f"mean_p must have shape (..., {dim}) like mean_q, got {mean_p.shape}")
    cov_q = validation.covariance("cov_q", cov_q, dim=dim)
    cov_p = validation.covariance("cov_p", cov_p, dim=dim)
    validation.broadcast(
        mean_q=mean_q[..., 0], cov_q=cov_q[..., 0, 0], mean_p=mean_p[..., 0], cov_p=cov_p[..., 0, 0]
    )
    chol_q, chol_p = np.linalg.cholesky(cov_q), np.linalg.cholesky(cov_p)
    ratio = np.linalg.solve(chol_p, chol_q)
    shift = np.linalg.solve(chol_p, (mean_q - mean_p)[..., None])[..., 0]
    log_ratio = np.log(np.diagonal(ratio, axis1=-2, axis2=-1)).sum(axis=-1)
    trace = (ratio**2).sum(axis=(-2, -1))
    return np.maximum(0.5 * (trace - dim + (shift**2).sum(axis=-1)) - log_ratio, 0.0)


def kl_categorical(q, p):
    """KL(q || p) for probabilities on the last axis, (..., K); leading axes broadcast.

    0 log 0 counts as 0; the result is inf where q > 0 and p = 0.
    Raises ValueError for NaN, negative entries, sums other than 1, or shapes that disagree.
    """
    q, p = validation.probabilities("q", q), validation.probabilities("p", p)
    if q.shape[-1] != p.shape[-1]:
        raise ValueError(f"p must have {q.shape[-1]} entries per row like q, got {p.shape[-1]}")
    validation.broadcast(q=q, p=p)
    return np.maximum(rel_entr(q, p).sum(axis=-1), 0.0)


def kl_bernoulli(q, p):
    """KL between Bernoullis with success probabilities q and p in [0, 1]; broadcasts.

    inf where p says never, or always, and q does not.
    """
    q, p = validation.finite("q", q), validation.finite("p", p)
    for name, value in (("q", q), ("p", p)):
        if ((value < 0) | (value > 1)).any():
            raise ValueError(f"{name} must lie in [0, 1], got {value.min():g} to {value.max():g}")
    validation.broadcast(q=q, p=p)
    return np.maximum(rel_entr(q, p) + rel_entr(1 - q, 1 - p), 0.0)


def kl_quad(log_q, log_p, low, high, num=20_001):
    """KL(q || p) on the line by the trapezoid rule with num nodes on [low, high].

    log_q, log_p : normalised log densities, (S,) -> (S,); may return -inf
    Returns inf where q > 0 and p = 0. Raises ValueError for NaN, and unless the nodes hold the
    mass of q to 1e-3.
    """
    low = validation.number("low", low)
    high = validation.number("high", high)
    if low >= high:
        raise ValueError(f"low must be below high, got {low:g} and {high:g}")
    x = np.linspace(low, high, validation.integer("num", num, minimum=3))
    at_q, at_p = evaluate("log_q", log_q, x), evaluate("log_p", log_p, x)
    density = np.exp(at_q)
    mass = np.trapezoid(density, x)
    if abs(mass - 1) > 1e-3:
        raise ValueError(
            f"low, high and num must hold the mass of q, got {mass:.4g} on [{low:g}, {high:g}]"
        )
    inside = density > 0  # where it underflows to 0, p may be 0, too
    integrand = np.zeros_like(x)
    integrand[inside] = density[inside] * (at_q[inside] - at_p[inside])
    return float(np.inf if np.isposinf(integrand).any() else np.trapezoid(integrand, x))


def kl_mc(log_q, log_p, samples):
    """Monte Carlo KL(q || p) from samples of q, as (estimate, standard_error).

    log_q, log_p : callables on the samples, (S,) -> (S,) or (S, D) -> (S,); samples: S >= 2.
    (inf, inf) when a sample falls where p = 0. The estimate can be negative by chance.
    Raises ValueError for NaN, or for a sample where q = 0: it cannot have come from q.
    """
    samples = validation.finite("samples", samples)
    if samples.ndim not in (1, 2) or len(samples) < 2:
        raise ValueError(f"samples must be (S,) or (S, D) with S >= 2, got shape {samples.shape}")
    at_q, at_p = evaluate("log_q", log_q, samples), evaluate("log_p", log_p, samples)
    if np.isneginf(at_q).any():
        raise ValueError("samples must come from q, got at least one where log_q is -inf")
    if np.isneginf(at_p).any():
        return np.inf, np.inf
    return mean_and_error(at_q - at_p)


def mean_and_error(values):
    """The mean of independent draws (S,), S >= 2, and its standard error."""
    values = validation.finite("values", values, ndim=1)
    if len(values) < 2:
        raise ValueError(f"values must hold at least two draws, got {len(values)}")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def wasserstein(quantile_q, quantile_p, order=1):
    """W_order between two distributions on the line, from their quantile functions.

    quantile_q, quantile_p : callables, (S,) in (0, 1) -> (S,); order : 1 or 2.
    W_r = (∫ |Q_q(u) - Q_p(u)|^r du)^(1/r), in the units of x. W_1 is the earth mover's distance;
    W_2² the least mean squared displacement. Source: Peyré and Cuturi 2019, remark 2.30.
    """
    validation.one_of("order", order, (1, 2))
    z, weights = quadrature.normal_line(3001, 7.5)  # beyond, 1 - u rounds to 0
    u = ndtr(z)  # equal steps in z make the integrand a polynomial when both are normal
    at_q, at_p = (
        validation.finite(name, validation.function(name, quantile)(u), shape=u.shape)
        for name, quantile in (("quantile_q", quantile_q), ("quantile_p", quantile_p))
    )
    return float((weights @ np.abs(at_q - at_p) ** order) ** (1 / order))
