"""The evidence lower bound, ELBO(q) = E_q[log p(x, z) - log q(z)], in nats, all constants kept.

Four ways to the same number: by enumeration (z discrete), on a grid (z on the line), in closed
form (conjugate normal model) and by Monte Carlo (anything). A log joint that normalises to Z
instead of p(x) is as good: the same functions then bound log Z.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, log_softmax, logsumexp

from vi_helpers import validation
from vi_helpers.densities import LOG_2PI, evaluate, normal_logpdf
from vi_helpers.divergences import kl_normal, mean_and_error


class DiagonalNormal:
    """The family q(z) = N(z; mean, diag(std²)), std = exp(log_std).

    mean, log_std : (D,), D >= 1, or scalars for D = 1.
    Raises ValueError unless finite, of one shape, and std a number in floating point's range.
    """

    def __init__(self, mean, log_std):
        self.mean = validation.vector("mean", np.atleast_1d(validation.finite("mean", mean)))
        log_std = np.atleast_1d(validation.finite("log_std", log_std))
        self.log_std = validation.finite("log_std", log_std, shape=self.mean.shape)
        if np.abs(self.log_std).max() > np.log(validation.LARGEST):
            worst = log_std[np.abs(log_std).argmax()]
            raise ValueError(f"log_std must lie within ±345, got {worst:g}")
        self.std = np.exp(self.log_std)

    def __repr__(self):
        return f"DiagonalNormal(mean={self.mean}, log_std={self.log_std})"

    def sample(self, num_samples, rng):
        """num_samples independent draws, (S, D)."""
        size = (validation.integer("num_samples", num_samples), len(self.mean))
        return self.mean + self.std * validation.generator("rng", rng).standard_normal(size)

    def log_prob(self, z):
        """Log density at z, (S, D) -> (S,). Raises ValueError for another shape."""
        z = validation.finite("z", z, shape=(None, len(self.mean)))
        return normal_logpdf(z, self.mean, self.std).sum(axis=1)

    def entropy(self):
        """-E_q[log q]; a differential entropy, so it can be negative."""
        return float(np.sum(self.log_std + 0.5 * (1 + LOG_2PI)))


def elbo_enumerated(log_joint_table, q):
    """Exact ELBO of a discrete z: energy Σ q log p(x, z) plus entropy -Σ q log q.

    log_joint_table : (..., K), log p(x, z) at each state, -inf where p(x, z) = 0
    q               : (..., K), rows sum to one.  Returns (...,).
    -inf when q > 0 on a state with p(x, z) = 0. Raises ValueError for NaN or +inf, for a q that
    is no distribution, or for different numbers of states.
    Holds: the result is at most logsumexp(log_joint_table), with equality for the posterior.
    """
    log_joint_table = validation.log_values("log_joint_table", log_joint_table)
    q = validation.probabilities("q", q)
    if log_joint_table.ndim == 0 or log_joint_table.shape[-1] != q.shape[-1]:
        raise ValueError(
            f"log_joint_table must have {q.shape[-1]} states like q, got {log_joint_table.shape}"
        )
    return _expect(q, log_joint_table) + entr(q).sum(axis=-1)


def grid_weights(grid):
    """Trapezoid weights (G,) of an increasing grid (G,), so that Σ weights f(grid) ≈ ∫ f dz."""
    grid = validation.finite("grid", grid, ndim=1)
    steps = np.diff(grid)
    if len(steps) == 0 or (steps <= 0).any():
        raise ValueError(f"grid must hold at least two increasing nodes, got {len(grid)} node(s)")
    return 0.5 * (np.append(steps, 0.0) + np.append(0.0, steps))


def elbo_grid(log_joint, q, grid):
    """ELBO of a z on the line by the trapezoid rule.

    log_joint : callable, (S, 1) -> (S,);  q : family with log_prob;  grid : (G,), increasing.
    -inf where log_joint is -inf and q is not. Raises ValueError when the grid holds less than the
    whole mass of q to 1e-6.
    """
    validation.methods("q", q, "log_prob")
    weights, z = grid_weights(grid), np.asarray(grid, dtype=float)[:, None]
    log_q = evaluate("q.log_prob", q.log_prob, z)
    mass = _check_mass("q", weights, log_q)
    return float(_expect(mass, evaluate("log_joint", log_joint, z)) - _expect(mass, log_q))


def elbo_forms(log_prior, log_likelihood, log_q, weights=1.0):
    """The ELBO in its four forms, as a dict of floats that agree.

    log_prior, log_likelihood, log_q : (K,), log p(z), log p(x|z), log q(z) at the states of z, or
    at the nodes of a grid with these weights (K,). -inf is allowed in each, and comes out where
    q has mass and p has none.
    Only the first form uses log p(x). Raises ValueError unless q sums to one within 1e-6.
    Source: Blei, Kucukelbir, McAuliffe 2017, section 2.2.
    """
    log_prior = validation.log_values("log_prior", log_prior)
    log_likelihood = validation.log_values("log_likelihood", log_likelihood)
    log_q = validation.log_values("log_q", log_q)
    weights = validation.positive("weights", weights)
    arrays = dict(log_prior=log_prior, log_likelihood=log_likelihood, log_q=log_q, weights=weights)
    validation.broadcast(**arrays)
    log_prior, log_likelihood, log_q, weights = np.broadcast_arrays(*arrays.values())
    if log_q.ndim != 1:
        raise ValueError(f"log_prior, log_likelihood and log_q must be (K,), got {log_q.shape}")
    mass = _check_mass("log_q", weights, log_q)
    log_joint = log_prior + log_likelihood
    # Normalised on its own: with log_evidence inside the KL the first form would hold for any
    # wrong value of it.
    log_posterior = log_softmax(log_joint + np.log(weights)) - np.log(weights)
    log_evidence = logsumexp(log_joint, b=weights)
    kl_posterior = _expect(mass, log_q) - _expect(mass, log_posterior)
    kl_prior = _expect(mass, log_q) - _expect(mass, log_prior)
    entropy = np.sum(weights * entr(np.exp(log_q)))
    inside = mass > 0
    log_ratio = log_joint[inside] - log_q[inside]
    return {
        "log p(x) - KL(q||posterior)": float(log_evidence - kl_posterior),
        "E[log p(x|z)] - KL(q||prior)": float(_expect(mass, log_likelihood) - kl_prior),
        "E[log p(x,z)] + entropy": float(_expect(mass, log_joint) + entropy),
        "E[log p(x,z) - log q(z)]": float(np.sum(mass[inside] * log_ratio)),
    }


def elbo_mc(log_joint, q, num_samples, rng):
    """Monte Carlo ELBO, E_q[log p(x, z) - log q(z)].

    log_joint : callable, (S, D) -> (S,), in nats; need not normalise over z
    q         : family with sample(S, rng) -> (S, D) and log_prob -> (S,)
    Returns (estimate, standard_error) in nats for the whole data set; num_samples >= 2.
    Raises ValueError when log_joint returns a non-finite value.
    Holds: estimate <= log evidence up to its error, with equality for the posterior.
    Source: Blei, Kucukelbir, McAuliffe 2017, section 2.2.
    """
    num_samples = validation.integer("num_samples", num_samples, minimum=2)
    return mean_and_error(_sampled_log_weights(log_joint, q, num_samples, rng))


def importance_bound(log_joint, q, num_samples, num_repeats, rng):
    """The k-sample bound, E[log (1/k) Σ_i p(x, z_i)/q(z_i)], z_i ~ q, k = num_samples.

    Arguments as elbo_mc; num_repeats >= 2 independent sets of k samples are averaged.
    Returns (estimate, standard_error) in nats. Raises ValueError as elbo_mc does.
    Holds: k = 1 is the ELBO; the bound never falls as k grows, and stays below log p(x).
    Source: Burda, Grosse, Salakhutdinov 2016, theorem 1.
    """
    k = validation.integer("num_samples", num_samples)
    repeats = validation.integer("num_repeats", num_repeats, minimum=2)
    log_weights = _sampled_log_weights(log_joint, q, k * repeats, rng).reshape(repeats, k)
    return mean_and_error(logsumexp(log_weights, axis=1) - np.log(k))


@dataclass(frozen=True)
class ConjugateNormal:
    """z ~ N(prior_mean, prior_std²), x_n | z ~ N(z, noise_std²): everything in closed form.

    x : (N,), N >= 0.  The callables map z, (S, 1) -> (S,).  Raises ValueError for bad numbers.
    Source: Bishop 2006, equations 2.141 and 2.142 (posterior).
    """

    x: np.ndarray
    noise_std: float = 1.0
    prior_mean: float = 0.0
    prior_std: float = 1.0

    def __post_init__(self):
        x = validation.finite("x", self.x, ndim=1)
        noise_std = validation.positive_number("noise_std", self.noise_std)
        prior_mean = validation.number("prior_mean", self.prior_mean)
        prior_std = validation.positive_number("prior_std", self.prior_std)
        vars(self).update(x=x, noise_std=noise_std, prior_mean=prior_mean, prior_std=prior_std)

    def log_prior(self, z):
        return normal_logpdf(z, self.prior_mean, self.prior_std)[:, 0]

    def log_likelihood(self, z):
        return normal_logpdf(self.x, z, self.noise_std).sum(axis=1)

    def log_joint(self, z):
        return self.log_prior(z) + self.log_likelihood(z)

    def posterior(self):
        """p(z|x) as a DiagonalNormal: precisions add, means are averaged with them."""
        prior, noise = self.prior_std**-2, self.noise_std**-2
        precision = prior + noise * len(self.x)
        mean = (prior * self.prior_mean + noise * self.x.sum()) / precision
        return DiagonalNormal(mean, -0.5 * np.log(precision))

    def log_evidence(self):
        """log p(x): x is jointly normal with covariance noise_std² I + prior_std² 1 1ᵀ."""
        n, noise, prior = len(self.x), self.noise_std**2, self.prior_std**2
        residual = self.x - self.prior_mean
        total = noise + n * prior  # the one eigenvalue along 1; the other n - 1 are noise
        square = (residual @ residual - prior / total * residual.sum() ** 2) / noise
        log_det = n * np.log(noise) + np.log(total / noise)
        return float(-0.5 * (n * LOG_2PI + log_det + square))

    def expected_log_likelihood(self, q):
        """E_q[log p(x|z)] for a DiagonalNormal q with D = 1."""
        spread = ((self.x - q.mean[0]) ** 2 + q.std[0] ** 2) / self.noise_std**2
        return float(-0.5 * np.sum(spread + LOG_2PI + 2 * np.log(self.noise_std)))

    def kl_prior(self, q):
        """KL(q || prior)."""
        return float(kl_normal(q.mean[0], q.std[0], self.prior_mean, self.prior_std))

    def kl_posterior(self, q):
        """KL(q || posterior)."""
        p = self.posterior()
        return float(kl_normal(q.mean[0], q.std[0], p.mean[0], p.std[0]))

    def elbo(self, q):
        """E_q[log p(x|z)] - KL(q || prior)."""
        return self.expected_log_likelihood(q) - self.kl_prior(q)


def _expect(mass, values):
    """Σ mass values on the last axis; no mass times -inf counts as 0."""
    return np.sum(mass * np.where(mass > 0, values, 0.0), axis=-1)


def _check_mass(name, weights, log_q):
    with np.errstate(over="ignore"):
        mass = weights * np.exp(log_q)
    if not abs(mass.sum() - 1) <= 1e-6:
        raise ValueError(
            f"{name} must sum to 1 within 1e-6 on the states or grid, got {mass.sum():.8g}"
        )
    return mass


def _sampled_log_weights(log_joint, q, num_samples, rng):
    validation.methods("q", q, "sample", "log_prob")
    z = q.sample(num_samples, validation.generator("rng", rng))
    values = evaluate("log_joint", log_joint, z)
    validation.finite("log_joint(z)", values)  # one -inf would hide every other draw
    return values - evaluate("q.log_prob", q.log_prob, z)
