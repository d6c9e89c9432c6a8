"""Answers to the exercises of notebook 01: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy import integrate, optimize

from vi_helpers import divergences
from vi_helpers.densities import normal_mixture

# 1.1


def exponential_by_quadrature(a, b):
    def term(x):
        return a * math.exp(-a * x) * (math.log(a / b) - (a - b) * x)

    return integrate.quad(term, 0, np.inf)[0]


def exponential_by_torch(a, b):
    q, p = (torch.distributions.Exponential(torch.tensor(float(rate))) for rate in (a, b))
    return torch.distributions.kl_divergence(q, p)


# 1.2


def marginals_by_loops(table):
    rows, columns = table.shape
    return (
        [sum(table[i, j] for j in range(columns)) for i in range(rows)],
        [sum(table[i, j] for i in range(rows)) for j in range(columns)],
    )


def exclusive_product(table):
    """Coordinate descent on KL(q||p): the other direction."""
    q_y = np.full(table.shape[1], 1 / table.shape[1])
    for _ in range(200):
        q_x = np.exp(np.log(table) @ q_y)
        q_x /= q_x.sum()
        q_y = np.exp(q_x @ np.log(table))
        q_y /= q_y.sum()
    return q_x, q_y


def normalised(v):
    return v / v.sum()


# 1.3


def fits(cov):
    return 1 / np.diag(np.linalg.inv(cov)), np.diag(cov)


def fits_by_package(cov):
    zero, (exclusive, inclusive) = np.zeros(len(cov)), fits(cov)
    return (
        exclusive.tolist(),
        inclusive.tolist(),
        float(divergences.kl_mvn(zero, np.diag(exclusive), zero, cov)),
        float(divergences.kl_mvn(zero, cov, zero, np.diag(inclusive))),
    )


def fits_by_regression(cov):
    """The conditional variance of each coordinate given the others."""
    cov, exclusive = torch.tensor(cov), []
    for i in range(len(cov)):
        rest = [j for j in range(len(cov)) if j != i]
        weights = torch.linalg.solve(cov[rest][:, rest], cov[rest, i])
        exclusive.append(cov[i, i] - cov[i, rest] @ weights)
    exclusive, log_det = torch.stack(exclusive), torch.logdet(cov)
    kl_qp = 0.5 * (log_det - exclusive.log().sum())
    return exclusive, torch.diag(cov), kl_qp, 0.5 * (torch.diag(cov).log().sum() - log_det)


def fits_in_two_dimensions(cov):
    rho_squared = cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1])
    shared = -0.5 * np.log(1 - rho_squared)
    return np.diag(cov) * (1 - rho_squared), np.diag(cov), shared, shared


def replaced(place, change):
    """The right four things, one of them changed by change(value, cov)."""

    def answer(cov):
        four = list(fits_by_regression(cov))
        four = [v.numpy() for v in four]
        four[place] = change(four[place], cov)
        return tuple(four)

    return answer


# 1.4


def count(weights, means, stds, init_means, init_stds):
    return len(divergences.all_minima(normal_mixture(weights, means, stds), init_means, init_stds))


def count_from_many(weights, means, stds):
    spread = np.ptp(means)
    return count(weights, means, stds, np.linspace(means.min(), means.max(), 7), [0.4, spread / 2])


def count_as_float(weights, means, stds):
    centres = [*means, np.mean(means)]
    return np.float32(count(weights, means, stds, centres, [0.4, np.ptp(means) / 2]))


def count_by_scipy(weights, means, stds):
    log_p = normal_mixture(weights, means, stds)
    u = np.linspace(-8, 8, 801)
    w = np.exp(-0.5 * u**2) / np.exp(-0.5 * u**2).sum()

    def kl(v):
        return -v[1] - w @ log_p(v[0] + np.exp(v[1]) * u)

    found = []
    for centre in np.linspace(means.min(), means.max(), 7):
        for std in (0.4, np.ptp(means) / 2):
            v = optimize.minimize(kl, [centre, np.log(std)], tol=1e-8).x
            if not any(np.allclose(v, other, atol=1e-2) for other in found):
                found.append(v)
    return len(found)


def count_peaks(weights, means, stds):
    x = np.linspace(means.min() - 2, means.max() + 2, 4001)
    value = normal_mixture(weights, means, stds)(x)
    return int(np.sum((value[1:-1] > value[:-2]) & (value[1:-1] > value[2:])))


# 1.5


def map_by_chain_rule(q, p, label):
    kept = lost = 0.0
    for value in set(label.tolist()):
        inside = label == value
        a, b = q[inside], p[inside]
        kept += a.sum() * np.log(a.sum() / b.sum())
        lost += np.sum(a * np.log((a / a.sum()) / (b / b.sum())))
    return [kept, lost]


def map_by_dictionary(q, p, label):
    totals = {}
    for q_k, p_k, name in zip(q, p, label, strict=True):
        a, b = totals.get(name, (0.0, 0.0))
        totals[name] = (a + q_k, b + p_k)
    kept = sum(a * math.log(a / b) for a, b in totals.values())
    return kept, sum(a * math.log(a / b) for a, b in zip(q, p, strict=True)) - kept


def map_by_torch(q, p, label):
    _, index = torch.unique(torch.tensor(label), return_inverse=True)
    q, p = torch.tensor(q), torch.tensor(p)
    a, b = (torch.zeros(int(index.max()) + 1).double().index_add(0, index, v) for v in (q, p))
    kept = (a * (a / b).log()).sum()
    return kept, (q * (q / p).log()).sum() - kept


def map_with(change):
    return lambda q, p, label: change(*map_by_chain_rule(q, p, label))


def map_weighted_by(weigh):
    """The loss within each label, averaged with the weights weigh(q, p) of a label."""

    def answer(q, p, label):
        lost = 0.0
        for value in np.unique(label):
            a, b = q[label == value], p[label == value]
            lost += weigh(a.sum(), b.sum()) * divergences.kl_categorical(a / a.sum(), b / b.sum())
        return map_by_chain_rule(q, p, label)[0], lost

    return answer


def map_of_means(q, p, label):
    a, b = (np.array([v[label == u].mean() for u in np.unique(label)]) for v in (q, p))
    kept = np.sum(a * np.log(a / b))
    return kept, divergences.kl_categorical(q, p) - kept


def map_by_bincount(q, p, label):
    a, b = np.bincount(label, q), np.bincount(label, p)
    with np.errstate(all="ignore"):
        kept = np.sum(a * np.log(a / b))
    return kept, divergences.kl_categorical(q, p) - kept


def map_by_full_bins(q, p, label):
    """Empty bins left out, which is right as long as no label is negative."""
    a, b = np.bincount(label, q), np.bincount(label, p)
    kept = np.sum(a[a > 0] * np.log(a[a > 0] / b[a > 0]))
    return kept, divergences.kl_categorical(q, p) - kept


def map_by_ten_bins(q, p, label):
    kept = 0.0
    for value in range(10):
        inside = label == value
        if inside.any():
            kept += q[inside].sum() * np.log(q[inside].sum() / p[inside].sum())
    return kept, divergences.kl_categorical(q, p) - kept


EXERCISES = {
    "1.1": {
        "check": "check_exponential",
        "wrong": {
            "the other direction": lambda a, b: np.log(b / a) + a / b - 1,
            "the constant lost": lambda a, b: np.log(a / b) + b / a,
            "only the log": lambda a, b: np.log(a / b),
            "sign of the log": lambda a, b: np.log(b / a) + b / a - 1,
            "bits": lambda a, b: (np.log(a / b) + b / a - 1) / np.log(2),
            "negative": lambda a, b: 1 - b / a - np.log(a / b),
            "symmetric": lambda a, b: 0.5 * (a / b + b / a) - 1,
            "quadratic near a = b": lambda a, b: 0.5 * (b / a - 1) ** 2,
            "normals with these stds": lambda a, b: np.log(a / b) + b**2 / (2 * a**2) - 0.5,
            "half": lambda a, b: 0.5 * (np.log(a / b) + b / a - 1),
            "absolute log": lambda a, b: abs(np.log(a / b)) + b / a - 1,
            "never below 0.01": lambda a, b: max(np.log(a / b) + b / a - 1, 0.01),
            "forgotten return": lambda a, b: None,
            "an array": lambda a, b: np.array([np.log(a / b) + b / a - 1]),
            "a word": lambda a, b: "log(a/b) + b/a - 1",
        },
        "right": {
            "formula": lambda a, b: np.log(a / b) + b / a - 1,
            "r - 1 - log r": lambda a, b: b / a - 1 - math.log(b / a),
            "quadrature": exponential_by_quadrature,
            "torch, float32": exponential_by_torch,
        },
    },
    "1.2": {
        "check": "check_product",
        "wrong": {
            "uniform": lambda t: tuple(np.full(n, 1 / n) for n in t.shape),
            "conditionals": lambda t: (normalised(t[:, 0]), normalised(t[0])),
            "unnormalised": lambda t: (2 * t.sum(1), 2 * t.sum(0)),
            "unnormalised, product right": lambda t: (2 * t.sum(1), 0.5 * t.sum(0)),
            "means instead of sums": lambda t: (t.mean(1), t.mean(0)),
            "swapped": lambda t: (t.sum(0), t.sum(1)),
            "geometric mean": lambda t: (
                normalised(np.exp(np.log(t).mean(1))),
                normalised(np.exp(np.log(t).mean(0))),
            ),
            "exclusive": exclusive_product,
            "square roots": lambda t: (
                normalised(np.sqrt(t.sum(1))),
                normalised(np.sqrt(t.sum(0))),
            ),
            "nearly right": lambda t: (
                normalised(t.sum(1) + 0.01),
                normalised(t.sum(0) + 0.01),
            ),
            "the product": lambda t: np.outer(t.sum(1), t.sum(0)),
            "one factor": lambda t: t.sum(1),
            "three by four only": lambda t: (t[:3, :4].sum(1), t[:3, :4].sum(0)),
            "forgotten return": lambda t: None,
        },
        "right": {
            "sums": lambda t: (t.sum(axis=1), t.sum(axis=0)),
            "loops, lists": marginals_by_loops,
            "keepdims": lambda t: (t.sum(axis=1, keepdims=True), t.sum(axis=0, keepdims=True)),
            "float32": lambda t: [t.sum(1).astype(np.float32), t.sum(0).astype(np.float32)],
            "torch": lambda t: (torch.tensor(t).sum(1), torch.tensor(t).sum(0)),
        },
    },
    "1.3": {
        "check": "check_factorised",
        "wrong": {
            "two dimensions only": fits_in_two_dimensions,
            "precisions": replaced(0, lambda v, cov: 1 / v),
            "1 - rho": replaced(
                0,
                lambda v, cov: np.diag(cov) * (1 - abs(cov[0, 1]) / np.sqrt(cov[0, 0] * cov[1, 1])),
            ),
            "the marginals twice": replaced(0, lambda v, cov: np.diag(cov)),
            "unit marginals": replaced(1, lambda v, cov: np.ones(len(cov))),
            "eigenvalues": replaced(0, lambda v, cov: np.linalg.eigvalsh(cov)),
            "standard deviations": replaced(0, lambda v, cov: np.sqrt(v)),
            "inclusive too wide": replaced(1, lambda v, cov: v * 1.5),
            "one divergence for both": lambda cov: (*fits(cov), *(2 * [fits_by_package(cov)[3]])),
            "divergence doubled": replaced(2, lambda v, cov: 2 * v),
            "divergence negative": replaced(3, lambda v, cov: -v),
            "divergences swapped": lambda cov: (*fits(cov), *fits_by_package(cov)[:1:-1]),
            "matrices": replaced(0, lambda v, cov: np.diag(v)),
            "two things only": fits,
            "given the next coordinate only": replaced(
                0,
                lambda v, cov: np.array(
                    [cov[i, i] - cov[i, i - 1] ** 2 / cov[i - 1, i - 1] for i in range(len(cov))]
                ),
            ),
            "the first marginal for all": replaced(1, lambda v, cov: np.full(len(cov), cov[0, 0])),
            "forgotten return": lambda cov: None,
        },
        "right": {
            "package, lists": fits_by_package,
            "regression, torch": fits_by_regression,
            "formula (1.18)": lambda cov: (
                *fits(cov),
                0.5 * (np.log(np.diag(np.linalg.inv(cov))).sum() + np.log(np.linalg.det(cov))),
                0.5 * (np.log(np.diag(cov)).sum() - np.log(np.linalg.det(cov))),
            ),
        },
    },
    "1.4": {
        "check": "check_count",
        "wrong": {
            "one for each component": lambda w, m, s: len(w),
            "one more": lambda w, m, s: len(w) + 1,
            "always 1": lambda w, m, s: 1,
            "always 4": lambda w, m, s: 4,
            "2K - 1": lambda w, m, s: 2 * len(w) - 1,
            "peaks of p": count_peaks,
            "peaks of p and one": lambda w, m, s: count_peaks(w, m, s) + 1,
            "narrow starts only": lambda w, m, s: count(w, m, s, m, [0.4]),
            "one wide start": lambda w, m, s: count(w, m, s, [m.mean()], [np.ptp(m) / 2]),
            "starts in fixed units": lambda w, m, s: count(w, m, s, m, [0.4, 2.0]),
            "counts the starts": lambda w, m, s: sum(
                n for _, n in divergences.all_minima(normal_mixture(w, m, s), m, [0.4, 2.0])
            ),
            "the list itself": lambda w, m, s: divergences.all_minima(
                normal_mixture(w, m, s), m, [0.4, 2.0]
            ),
            "narrow starts, and one more": lambda w, m, s: count(w, m, s, m, [s.min()]) + 1,
            "starts at the ends only": lambda w, m, s: count(
                w, m, s, [m.min(), m.max()], [s.min(), np.ptp(m) / 2]
            ),
            "forgotten return": lambda w, m, s: None,
        },
        "right": {
            "grid": count_from_many,
            "float": count_as_float,
            "own descent": count_by_scipy,
        },
    },
    "1.5": {
        "check": "check_map",
        "wrong": {
            "nothing is lost": lambda q, p, label: (divergences.kl_categorical(q, p), 0.0),
            "the total instead of the loss": map_with(lambda kept, lost: (kept, kept + lost)),
            "sign": map_with(lambda kept, lost: (kept, -lost)),
            "swapped": map_with(lambda kept, lost: (lost, kept)),
            "bits": map_with(lambda kept, lost: (kept / np.log(2), lost / np.log(2))),
            "other direction": lambda q, p, label: map_by_chain_rule(p, q, label),
            "means instead of sums": map_of_means,
            "labels 0, 1, 2, ...": map_by_bincount,
            "labels from 0 on": map_by_full_bins,
            "labels up to 9": map_by_ten_bins,
            "weighted by p": map_weighted_by(lambda a, b: b),
            "not weighted": map_weighted_by(lambda a, b: 1.0),
            "one number": map_with(lambda kept, lost: kept),
            "weighted by both": map_weighted_by(lambda a, b: 0.5 * (a + b)),
            "forgotten return": lambda q, p, label: None,
        },
        "right": {
            "chain rule": map_by_chain_rule,
            "dictionary": map_by_dictionary,
            "torch": map_by_torch,
            "weighted by q": map_weighted_by(lambda a, b: a),
        },
    },
    "1.6": {
        "check": "check_entropy",
        "wrong": {
            "the normal": lambda m: 0.5 * np.log(2 * np.pi * np.e * m**2),
            "sign of the log": lambda m: 1 - np.log(m),
            "the uniform": lambda m: np.log(2 * m),
            "the rate": lambda m: 1 + np.log(1 / m),
            "no constant": lambda m: np.log(m),
            "right at 1 only": lambda m: 1.0,
            "half-normal": lambda m: (
                0.5 * np.log(np.pi * np.e / 2) + np.log(m * np.sqrt(np.pi / 2))
            ),
            "bits": lambda m: (1 + np.log(m)) / np.log(2),
            "linear": lambda m: 1 + m,
            "normal with this std": lambda m: 0.5 * np.log(2 * np.pi * np.e) + np.log(m),
            "forgotten return": lambda m: None,
        },
        "right": {
            "formula": lambda m: 1 + np.log(m),
            "log(e m)": lambda m: math.log(math.e * m),
            "torch": lambda m: torch.distributions.Exponential(torch.tensor(1 / m)).entropy(),
        },
    },
}
