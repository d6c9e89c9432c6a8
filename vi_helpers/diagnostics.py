"""Did it work? Importance weights of a fit, and calibration by simulation.

log_weights are log p(x, z_s) - log q(z_s) at draws z_s ~ q, (S,), in nats; a constant that is
added to all of them changes nothing here. Both numbers look at the places where q puts its draws:
a mode far enough away escapes them.
"""

from dataclasses import dataclass

import numpy as np
from arviz_stats.base import array_stats
from scipy import stats
from scipy.special import logsumexp

from vi_helpers import validation

SMALLEST_SAMPLE = 25  # the tail is the largest fifth, and the library wants five weights in it


def effective_sample_size(log_weights):
    """(Σ w)² / Σ w²: how many equal weights would average as well; from 1 to S, a float.

    log_weights : (S,), -inf for a weight of zero. Raises ValueError for NaN, +inf, or all zero.
    Source: Kong 1992; Owen 2013, chapter 9.
    """
    log_weights = _check_weights(log_weights)
    with np.errstate(over="ignore"):
        log_weights = log_weights - log_weights.max()
    return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)))


def pareto_k(log_weights):
    """Shape k̂ of the generalised Pareto tail of the weights; above 0.7 do not trust them.

    log_weights : (S,), S >= 25. The tail is the largest min(S/5, 3 √S) weights; the fit is
    that of arviz-stats, a maintained library with the published method. -inf when all of the tail
    is equal, as for q = p: there is no tail. The moments of the weights of order below 1/k exist.
    Raises ValueError for NaN or +inf, for S < 25, when fewer weights than the tail needs are
    positive, or when they tie.
    Source: Vehtari, Simpson, Gelman, Yao, Gabry 2024; as a check of VI: Yao et al. 2018.
    """
    log_weights = _check_weights(log_weights)
    num = len(log_weights)
    if num < SMALLEST_SAMPLE:
        raise ValueError(f"log_weights must hold at least {SMALLEST_SAMPLE} values, got {num}")
    tail = int(3 * np.sqrt(num)) if num > 225 else num // 5
    kept = min(6 * tail, num)  # the library sorts all it gets, and looks at the tail only
    log_weights = np.partition(log_weights, num - kept)[-kept:]
    largest = np.sort(log_weights)[-tail - 1 :]
    if largest[0] == -np.inf:
        positive = int(np.sum(largest > -np.inf))
        raise ValueError(f"log_weights must hold over {tail} weights above zero, got {positive}")
    if largest[-1] - largest[1] <= 1e-10 * max(1.0, abs(largest[-1])):
        return -np.inf
    if largest[tail // 4 + 1] == largest[0]:
        raise ValueError(
            f"log_weights must differ in their tail, got {len(np.unique(largest))} values among "
            f"the largest {tail}; the weights of a discrete z are bounded, k says nothing there"
        )
    # psislw is made for leave-one-out: it takes log likelihoods and turns their sign itself. Its
    # tail is floor(3 sqrt(S / r_eff)) for S r_eff > 225, else floor(S / 5): here the same tail.
    r_eff = 1.0 if kept == num else 9 * kept / (tail + 0.5) ** 2
    return float(array_stats.psislw(-log_weights, r_eff=r_eff)[1])


@dataclass(frozen=True)
class Calibration:
    """Ranks of simulated truths among draws of their approximate posteriors.

    ranks     : (R, D), integers from 0 to num_draws, uniform when every posterior is exact
    num_draws : draws in each posterior
    """

    ranks: np.ndarray
    num_draws: int

    def counts(self, num_bins):
        """Histogram of each dimension's ranks, (D, num_bins).

        Raises ValueError unless num_bins divides num_draws + 1: else bins would not be equal.
        """
        num_bins = validation.integer("num_bins", num_bins, minimum=2)
        if (self.num_draws + 1) % num_bins:
            raise ValueError(f"num_bins must divide {self.num_draws + 1}, got {num_bins}")
        which = self.ranks * num_bins // (self.num_draws + 1)
        return np.stack([np.bincount(column, minlength=num_bins) for column in which.T])

    def p_values(self, num_bins=10):
        """Pearson's test that the ranks are uniform, one p-value for each dimension, (D,)."""
        return stats.chisquare(self.counts(num_bins), axis=1).pvalue


def calibrate(simulate, posterior_draws, num_simulations, rng):
    """Simulation-based calibration: draw a truth and data, fit, rank the truth; repeat.

    simulate        : rng -> (z (D,), data), z from the prior and data given z
    posterior_draws : (data, rng) -> (L, D) independent draws of the approximate posterior
    Returns a Calibration. Raises ValueError for shapes that change or numbers that are not finite.
    Holds: with exact posteriors each rank is uniform on 0..L.
    Source: Talts, Betancourt, Simpson, Vehtari, Gelman 2018.
    """
    num_simulations = validation.integer("num_simulations", num_simulations)
    validation.function("simulate", simulate)
    validation.function("posterior_draws", posterior_draws)
    rng, ranks, shape = validation.generator("rng", rng), [], (None, None)
    for _ in range(num_simulations):
        drawn = simulate(rng)
        if not isinstance(drawn, tuple) or len(drawn) != 2:
            raise ValueError(f"simulate must return (z, data), got {type(drawn).__name__}")
        truth, data = drawn
        truth = validation.finite("simulate's z", truth, ndim=1)
        shape = (shape[0], len(truth))
        draws = validation.finite("posterior_draws", posterior_draws(data, rng), shape=shape)
        shape = draws.shape
        ranks.append((draws < truth).sum(axis=0))
    return Calibration(np.array(ranks), shape[0])


def _check_weights(log_weights):
    log_weights = validation.log_values("log_weights", log_weights)
    if log_weights.ndim != 1 or log_weights.size == 0:
        raise ValueError(f"log_weights must have shape (S,), got {log_weights.shape}")
    if np.isneginf(log_weights).all():
        raise ValueError("log_weights must hold a weight above zero, got only -inf")
    return log_weights
