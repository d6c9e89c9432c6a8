"""Log densities, and the targets that the figures of the course approximate.

All values are in nats. A target on the line maps (S,) -> (S,); a target in D dimensions maps
(S, D) -> (S,). Functions named *_logpdf and *_mixture are normalised; bishop_10_1 is not.
"""

import numpy as np
from scipy.special import logsumexp

from vi_helpers import validation
from vi_helpers.validation import evaluate as evaluate

LOG_2PI = float(np.log(2 * np.pi))


def normal_logpdf(x, mean=0.0, std=1.0):
    """Log density of N(mean, std**2) at x; the three arguments broadcast.

    -inf at x = inf or -inf, and where its square overflows.
    Raises ValueError for NaN, a non-finite mean or a std that is not positive.
    """
    x = validation.real("x", x)
    mean = validation.finite("mean", mean)
    std = validation.positive("std", std)
    validation.broadcast(x=x, mean=mean, std=std)
    with np.errstate(over="ignore"):
        return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * LOG_2PI


def mvn_logpdf(x, mean, cov):
    """Log density of N(mean, cov) at the points x.

    x : (..., D);  mean : (D,);  cov : (D, D), symmetric positive definite.  Returns (...,),
    -inf at an infinite x, and where a square overflows.
    Raises ValueError for shapes that disagree or a covariance that is not positive definite.
    """
    mean, cov = validation.normal("mean", mean, "cov", cov)
    x = _points(x, len(mean))
    chol = np.linalg.cholesky(cov)
    white = np.linalg.solve(chol, (x - mean).reshape(-1, len(mean)).T)  # (D, number of points)
    log_norm = np.log(np.diag(chol)).sum() + 0.5 * len(mean) * LOG_2PI
    with np.errstate(over="ignore"):
        return (-0.5 * (white**2).sum(axis=0) - log_norm).reshape(x.shape[:-1])


def normal_mixture(weights, means, stds):
    """The log density of a mixture of K normals on the line, as a callable (S,) -> (S,).

    weights, means, stds : (K,); the weights sum to one.
    Raises ValueError as normal_logpdf does, and for weights that are no distribution.
    """
    weights = validation.probabilities("weights", weights, ndim=1)
    means = validation.finite("means", means, shape=weights.shape)
    stds = validation.positive("stds", stds, shape=weights.shape)

    def log_p(x):
        components = normal_logpdf(validation.real("x", x)[..., None], means, stds)
        return logsumexp(components, axis=-1, b=weights)

    return log_p


def mvn_mixture(weights, means, covs):
    """The log density of a mixture of K normals in D dimensions, as a callable (S, D) -> (S,).

    weights : (K,);  means : (K, D);  covs : (K, D, D).  Raises ValueError as mvn_logpdf does.
    """
    weights = validation.probabilities("weights", weights, ndim=1)
    means = validation.finite("means", means, shape=(len(weights), None))
    covs = validation.covariance("covs", covs, shape=(*means.shape, means.shape[1]))

    def log_p(x):
        components = [mvn_logpdf(x, mean, cov) for mean, cov in zip(means, covs, strict=True)]
        return logsumexp(np.stack(components, axis=-1), axis=-1, b=weights)

    return log_p


def two_modes(separation=4.0, std=0.5):
    """½ N(-separation/2, std²) + ½ N(+separation/2, std²), as a callable (S,) -> (S,)."""
    half = validation.number("separation", separation) / 2
    std = validation.positive_number("std", std)
    return normal_mixture([0.5, 0.5], [-half, half], [std, std])


def log_sigmoid(x):
    """log 1/(1 + exp(-x)), without overflow; 0 at inf and -inf at -inf. ValueError for NaN."""
    return -np.logaddexp(0.0, -validation.real("x", x))


def bishop_10_1(z):
    """The unnormalised log density -z²/2 + log σ(20 z + 4), (S,) -> (S,).

    Its log normaliser is 0.372383, its mean 0.672800, its variance 0.413872. -inf at inf and -inf.
    Source: Bishop 2006, figures 4.14 and 10.1.
    """
    z = validation.real("z", z)
    with np.errstate(over="ignore"):
        return -0.5 * z**2 + log_sigmoid(20 * z + 4)


def _points(x, dim):
    x = np.clip(validation.real("x", x), -validation.LARGEST, validation.LARGEST)
    if x.ndim == 0 or x.shape[-1] != dim:
        raise ValueError(f"x must have shape (..., {dim}), got {x.shape}")
    return x
