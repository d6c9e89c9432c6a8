"""E step and moments of a Gaussian mixture in one pass over the points.

log pi_k + log N(x | mu_k, Sigma_k) is linear in the features (1, x_i, x_i x_j): the E step is
one product of the natural parameters with the features, and the moments that the M step
needs are another. No (N, K) array is kept.
"""

import numpy as np

from vi_helpers.densities import LOG_2PI


class Sweep:
    """Made once for X (N, D); called with weights, means, covs at each iteration.

    The features are those of the scaled data, (x - mean) / standard deviation. Squares cost
    digits: about max |z|^2 / (smallest variance of a component) units of rounding.
    is_safe(covs) says whether at least ten digits are left.
    """

    max_loss = 1e5

    def __init__(self, X):
        self.center, self.scale = X.mean(axis=0), X.std(axis=0)
        self.Z, self.radius2 = None, np.inf  # for a constant column: never safe
        if (self.scale > resolution(X)).all():
            self.Z = np.empty(X.shape[::-1])  # (D, N): a coordinate is one block of memory
            np.subtract(X.T, self.center[:, None], out=self.Z)
            self.Z /= self.scale[:, None]
            self.radius2 = np.einsum("dn,dn->n", self.Z, self.Z).max()

    def is_safe(self, covs):
        """Whether a sweep with covariances covs (K, D, D), or one that led to them, is exact
        to ten digits."""
        if self.Z is None or not np.isfinite(covs).all():
            return False
        smallest = np.linalg.eigvalsh(covs / np.outer(self.scale, self.scale)).min()
        return bool(smallest * self.max_loss > self.radius2)

    def __call__(self, weights, means, covs):
        """Returns log p(X) in nats and the moments nk (K,), means (K, D), covs (K, D, D)."""
        D, N = self.Z.shape
        natural = self._natural_parameters(weights, means, covs)
        moments, log_likelihood = np.zeros_like(natural), 0.0
        for rows in blocks(N, natural.shape[1]):
            phi = _features(self.Z[:, rows])
            resp = natural @ phi  # log pi_k N(x_n | mu_k, Sigma_k), turned into r_nk in place
            top = resp.max(axis=0)
            resp -= top
            np.maximum(resp, -600.0, out=resp)  # subnormal numbers are slow, and add nothing
            np.exp(resp, out=resp)
            total = resp.sum(axis=0)
            resp /= total
            log_likelihood += (np.log(total) + top).sum()
            moments += resp @ phi.T
        nk = moments[:, 0].copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            moments /= nk[:, None]
        mean, second = moments[:, 1 : D + 1], _symmetric(moments[:, D + 1 :], D)
        cov = second - mean[:, :, None] * mean[:, None, :]
        outer = np.outer(self.scale, self.scale)
        return float(log_likelihood), (nk, self.center + self.scale * mean, cov * outer)

    def _natural_parameters(self, weights, means, covs):
        """Coefficients (K, F) of the features in log pi_k N(x | mu_k, Sigma_k)."""
        means = (means - self.center) / self.scale
        whiten, log_const = whiteners(weights, covs / np.outer(self.scale, self.scale))
        precision = np.swapaxes(whiten, 1, 2) @ whiten
        linear = np.einsum("kij,kj->ki", precision, means)
        constant = log_const - np.log(self.scale).sum()
        constant -= 0.5 * np.einsum("ki,ki->k", linear, means)
        i, j = np.triu_indices(means.shape[1])
        quadratic = precision[:, i, j] * np.where(i == j, -0.5, -1.0)
        return np.concatenate([constant[:, None], linear, quadratic], axis=1)


def whiteners(weights, covs):
    """Inverse Cholesky factors (K, D, D), and log pi_k - log |2 pi Sigma_k| / 2, (K,)."""
    try:
        whiten = np.linalg.inv(np.linalg.cholesky(covs))
    except np.linalg.LinAlgError as error:
        raise ValueError("covs must be positive definite, got one that is not") from error
    log_det = np.log(np.diagonal(whiten, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):  # weight 0
        log_weights = np.log(weights)
    return whiten, log_weights + log_det - 0.5 * covs.shape[1] * LOG_2PI


def resolution(X):
    """(D,) size below which differences between rows of X are rounding."""
    return 10 * np.finfo(float).eps * np.maximum(X.max(axis=0), -X.min(axis=0))


def blocks(num_rows, width):
    """Slices that cover the rows; a block of width numbers a row should stay in cache."""
    size = max(1024, 2**16 // width)
    return [slice(start, start + size) for start in range(0, num_rows, size)]


def _features(Z):
    """(D, n) -> (F, n): one, the coordinates, and the products z_i z_j with i <= j."""
    D, n = Z.shape
    phi = np.empty((1 + D + D * (D + 1) // 2, n))
    phi[0], phi[1 : D + 1] = 1.0, Z
    start = D + 1
    for i in range(D):
        np.multiply(Z[i], Z[i:], out=phi[start : start + D - i])
        start += D - i
    return phi


def _symmetric(upper, D):
    full = np.empty((len(upper), D, D))
    i, j = np.triu_indices(D)
    full[:, i, j] = full[:, j, i] = upper
    return full
