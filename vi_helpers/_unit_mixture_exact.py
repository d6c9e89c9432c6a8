"""Engine of mean_field: the exact posterior of the unit-variance mixture, by listing it whole."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from vi_helpers import validation
from vi_helpers.densities import LOG_2PI

MAX_ASSIGNMENTS = 2_000_000


@dataclass(frozen=True)
class UnitMixturePosterior:
    """The exact posterior of the mixture: one Gaussian of mu for each of the T = K**N assignments.

    labels    : (T, N) small integers 0..K-1, one assignment a row
    log_joint : (T,) log p(x, c) in nats, mu integrated out
    means     : (T, K) E[mu | c, x];  stds : (T, K) their standard deviations
    """

    labels: np.ndarray
    log_joint: np.ndarray
    means: np.ndarray
    stds: np.ndarray

    @property
    def log_evidence(self):
        """log p(x) in nats."""
        return float(logsumexp(self.log_joint))

    @property
    def probs(self):
        """(T,) p(c | x)."""
        return np.exp(self.log_joint - self.log_evidence)

    def sample(self, num_samples, rng):
        """Independent draws of mu from p(mu | x): (S, K)."""
        rows = rng.choice(len(self.log_joint), size=num_samples, p=self.probs)
        return self.means[rows] + self.stds[rows] * rng.standard_normal(
            (num_samples, self.means.shape[1])
        )

    def same_component(self):
        """(N, N) p(c_i = c_j | x): free of the naming of the components."""
        num_labels, probs = self.means.shape[1], self.probs
        ones = (self.labels == k for k in range(num_labels))
        return sum((one * probs[:, None]).T @ one for one in ones)


def exact_posterior(x, num_components, *, prior_std):
    """The exact posterior of the mixture by listing all K**N assignments.

    x : (N,).  Returns UnitMixturePosterior.
    Raises ValueError when the table would have more than MAX_ASSIGNMENTS rows.
    """
    x = validation.vector("x", x)
    num_components = validation.integer("num_components", num_components)
    prior_std = validation.positive_number("prior_std", prior_std)
    size = _table_size(num_components, len(x))
    powers = num_components ** np.arange(len(x))[::-1]
    labels = (np.arange(size)[:, None] // powers % num_components).astype(np.int8)
    counts, sums = np.zeros((size, num_components)), np.zeros((size, num_components))
    for point, column in zip(x, labels.T, strict=True):
        hit = column[:, None] == np.arange(num_components)
        counts += hit
        sums += point * hit
    variances = 1 / (1 / prior_std**2 + counts)
    means = variances * sums
    constant = -len(x) * (np.log(num_components) + 0.5 * LOG_2PI) - 0.5 * x @ x
    log_joint = constant + (0.5 * np.log(variances / prior_std**2) + 0.5 * means * sums).sum(axis=1)
    return UnitMixturePosterior(labels, log_joint, means, np.sqrt(variances))


def _table_size(num_components, num_points):
    size = num_components**num_points
    if size > MAX_ASSIGNMENTS:
        digits = num_points * np.log10(num_components)
        shown = f"{size:,}" if digits < 15 else f"about 10**{digits:.0f}"
        raise ValueError(
            f"num_components**len(x) must be at most {MAX_ASSIGNMENTS:,} rows, "
            f"got {num_components}**{num_points}, {shown}"
        )
    return size
