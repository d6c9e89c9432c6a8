"""Answers to the exercises of notebook 04: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy.special import logsumexp


def first(a, b, g, mean2, var2):
    precision = a * (mean2**2 + var2) + b
    return g / precision, 1 / precision


def price(cov, blocks):
    precision = np.linalg.inv(cov)
    total = -np.linalg.slogdet(precision)[1]
    for block in blocks:
        total += np.linalg.slogdet(precision[np.ix_(block, block)])[1]
    return total / 2


def price_of_covariances(cov, blocks):
    """The price of the other direction: marginal covariances kept."""
    parts = [np.linalg.slogdet(cov[np.ix_(b, b)])[1] for b in blocks]
    return 0.5 * (sum(parts) - np.linalg.slogdet(cov)[1])


def price_by_kl(cov, blocks):
    precision, q_cov = np.linalg.inv(cov), np.zeros_like(cov)
    for block in blocks:
        inside = np.ix_(block, block)
        q_cov[inside] = np.linalg.inv(precision[inside])
    trace = np.trace(precision @ q_cov)
    return 0.5 * (trace - len(cov) + np.log(np.linalg.det(cov) / np.linalg.det(q_cov)))


def price_in_place(cov, blocks):
    """Uses up its arguments, which are its own copies."""
    cov[:] = np.linalg.inv(cov)
    total = -np.linalg.slogdet(cov)[1]
    while blocks:
        block = blocks.pop()
        total += np.linalg.slogdet(cov[np.ix_(block, block)])[1]
    return total / 2


def price_of_a_changed_target(cov, blocks):
    """Makes the target one that costs nothing."""
    cov[:] = np.diag(np.diag(cov))
    return price(cov, blocks)


def step_map(cov):
    precision = np.linalg.inv(cov)
    return -(precision / np.diag(precision)[:, None] - np.eye(len(cov)))


def together(cov):
    return np.abs(np.linalg.eigvals(step_map(cov))).max()


def together_by_power(cov):
    """Gelfand's formula instead of eigenvalues."""
    power, log_size = step_map(cov), 0.0
    for _ in range(14):
        power = power @ power
        size = np.linalg.norm(power)
        power, log_size = power / size, 2 * log_size + math.log(size)
    return math.exp(log_size / 2**14)


def together_in_place(cov):
    cov[:] = np.linalg.inv(cov)
    cov /= np.diag(cov)[:, None].copy()
    cov -= np.eye(len(cov))
    return np.abs(np.linalg.eigvals(cov)).max()


def together_of_a_changed_target(cov):
    cov[:] = np.diag(np.diag(cov))
    return together(cov)


def one_after_another(cov):
    precision = np.linalg.inv(cov)
    lower = np.tril(precision)
    return np.abs(np.linalg.eigvals(np.linalg.solve(lower, precision - lower))).max()


def shares_of(log_rho):
    return np.exp(log_rho - logsumexp(log_rho, axis=1, keepdims=True))


def log_rho(x, means, stds, weights, taus):
    squares = (x[:, None] - means) ** 2 + stds**2
    return np.log(weights) - np.log(taus) - 0.5 * squares / taus**2


def shares(x, means, stds, weights, taus):
    return shares_of(log_rho(x, means, stds, weights, taus))


def shares_with_loops(x, means, stds, weights, taus):
    rows = []
    for point in x:
        logs = [
            math.log(w) - math.log(t) - ((point - m) ** 2 + s**2) / (2 * t**2)
            for m, s, w, t in zip(means, stds, weights, taus, strict=True)
        ]
        top = max(logs)
        values = [math.exp(value - top) for value in logs]
        rows.append([value / sum(values) for value in values])
    return rows


def shares_in_torch(*arguments):
    import torch

    x, means, stds, weights, taus = (torch.as_tensor(a) for a in arguments)
    squares = (x[:, None] - means) ** 2 + stds**2
    return torch.softmax(weights.log() - taus.log() - squares / (2 * taus**2), dim=1)


def shares_in_place(x, means, stds, weights, taus):
    stds **= 2
    taus **= 2
    squares = (x[:, None] - means) ** 2
    squares += stds
    squares /= -2 * taus
    squares += np.log(weights, out=weights) - 0.5 * np.log(taus)
    return shares_of(squares)


def shares_without_uncertainty_written_back(x, means, stds, weights, taus):
    """Forgets stds, and would be right if the check looked at stds afterwards."""
    stds[:] = 0.0
    return shares(x, means, stds, weights, taus)


def shares_of_equal_components(x, means, stds, weights, taus):
    for values in (means, stds, weights, taus):
        values[:] = values.mean()
    return shares(x, means, stds, weights, taus)


def shares_that_overflow(x, means, stds, weights, taus):
    rho = np.exp(log_rho(x, means, stds, weights, taus))
    with np.errstate(invalid="ignore"):
        return rho / rho.sum(axis=1, keepdims=True)


def two_parts(probs, means, stds):
    return np.stack([probs @ stds**2, probs @ (means - probs @ means) ** 2])


def two_parts_with_loops(probs, means, stds):
    within, between = [], []
    for k in range(means.shape[1]):
        middle = sum(p * m for p, m in zip(probs, means[:, k], strict=True))
        within.append(sum(p * s**2 for p, s in zip(probs, stds[:, k], strict=True)))
        between.append(sum(p * (m - middle) ** 2 for p, m in zip(probs, means[:, k], strict=True)))
    return [within, between]


def two_parts_in_place(probs, means, stds):
    stds **= 2
    means -= probs @ means
    means **= 2
    return np.stack([probs @ stds, probs @ means])


def two_parts_without_weights_written_back(probs, means, stds):
    """Takes all assignments as equally probable, and makes them so."""
    probs[:] = 1 / len(probs)
    return two_parts(probs, means, stds)


def two_parts_of_nothing(probs, means, stds):
    means[:], stds[:] = 3.0, 1.0
    return two_parts(probs, means, stds)


EXERCISES = {
    "4.1": {
        "check": "check_first",
        "wrong": {
            "square of the mean": lambda a, b, g, m, v: (g / (a * m**2 + b), 1 / (a * m**2 + b)),
            "mean for square": lambda a, b, g, m, v: (g / (a * m + b), 1 / (a * m + b)),
            "variance only": lambda a, b, g, m, v: (g / (a * v + b), 1 / (a * v + b)),
            "prior term lost": lambda a, b, g, m, v: (g / a / (m**2 + v), 1 / a / (m**2 + v)),
            "precision, not variance": lambda a, b, g, m, v: (
                first(a, b, g, m, v)[0],
                1 / first(a, b, g, m, v)[1],
            ),
            "standard deviation": lambda a, b, g, m, v: (
                first(a, b, g, m, v)[0],
                first(a, b, g, m, v)[1] ** 0.5,
            ),
            "sign of the mean": lambda a, b, g, m, v: (
                -first(a, b, g, m, v)[0],
                first(a, b, g, m, v)[1],
            ),
            "mean is g": lambda a, b, g, m, v: (g, first(a, b, g, m, v)[1]),
            "swapped": lambda *args: first(*args)[::-1],
            "mean alone": lambda *args: first(*args)[0],
            "no return": lambda *args: None,
        },
        "right": {
            "by hand": first,
            "list": lambda *args: list(first(*args)),
            "float32 array": lambda *args: np.array(first(*args), dtype=np.float32),
            "a pair of tensors with gradients": lambda *args: tuple(
                torch.tensor(part, requires_grad=True) for part in first(*args)
            ),
        },
    },
    "4.2": {
        "check": "check_price",
        "wrong": {
            "sign": lambda cov, blocks: -price(cov, blocks),
            "no half": lambda cov, blocks: 2 * price(cov, blocks),
            "covariance blocks": price_of_covariances,
            "as if all alone": lambda cov, blocks: price(cov, [[i] for i in range(len(cov))]),
            "determinants, no log": lambda cov, blocks: (
                0.5 * (np.linalg.det(cov) - np.linalg.det(np.diag(np.diag(cov))))
            ),
            "base two": lambda cov, blocks: price(cov, blocks) / math.log(2),
            "blocks by position": lambda cov, blocks: price(
                cov, np.split(np.arange(len(cov)), np.cumsum([len(b) for b in blocks])[:-1])
            ),
            "whole lost": lambda cov, blocks: price(cov, blocks) - 0.5 * np.linalg.slogdet(cov)[1],
            "changes its target": price_of_a_changed_target,
            "no return": lambda cov, blocks: None,
        },
        "right": {
            "in place": price_in_place,
            "log determinants": price,
            "the whole KL": price_by_kl,
            "conditional against joint entropy": lambda cov, blocks: (
                0.5 * np.log(np.linalg.det(cov))
                - 0.5
                * sum(
                    np.log(np.linalg.det(np.linalg.inv(np.linalg.inv(cov)[np.ix_(b, b)])))
                    for b in blocks
                )
            ),
            "0-d array": lambda cov, blocks: np.asarray(price(cov, blocks)),
        },
    },
    "4.3": {
        "check": "check_together",
        "wrong": {
            "one after another": one_after_another,
            "of the covariance": lambda cov: together(np.linalg.inv(cov)),
            "rho": lambda cov: abs(cov[0, 1]) / math.sqrt(cov[0, 0] * cov[1, 1]),
            "rho squared": lambda cov: cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1]),
            "without the modulus": lambda cov: np.linalg.eigvals(step_map(cov)).real.max(),
            "largest singular value": lambda cov: np.linalg.norm(step_map(cov), 2),
            "one step kept": lambda cov: np.abs(
                np.linalg.eigvals(step_map(cov) + np.eye(len(cov)))
            ).max(),
            "not divided": lambda cov: np.abs(
                np.linalg.eigvals(np.linalg.inv(cov) - np.diag(np.diag(np.linalg.inv(cov))))
            ).max(),
            "all eigenvalues": lambda cov: np.linalg.eigvals(step_map(cov)),
            "changes its target": together_of_a_changed_target,
            "no return": lambda cov: None,
        },
        "right": {
            "in place": together_in_place,
            "eigenvalues": together,
            "growth of powers": together_by_power,
            "symmetric form": lambda cov: np.abs(
                np.linalg.eigvalsh(
                    np.linalg.inv(cov) / np.sqrt(np.outer(*[np.diag(np.linalg.inv(cov))] * 2))
                    - np.eye(len(cov))
                )
            ).max(),
        },
    },
    "4.4": {
        "check": "check_shares",
        "wrong": {
            "weights lost": lambda x, m, s, w, t: shares(x, m, s, np.ones_like(w), t),
            "log tau lost": lambda x, m, s, w, t: shares(x, m, s, w * t, t),
            "uncertainty lost": lambda x, m, s, w, t: shares(x, m, 0 * s, w, t),
            "uncertainty not divided by tau": lambda x, m, s, w, t: shares_of(
                log_rho(x, m, 0 * s, w, t) - s**2 / 2
            ),
            "variances added, as in a prediction": lambda x, m, s, w, t: shares(
                x, m, 0 * s, w, np.sqrt(s**2 + t**2)
            ),
            "tau for tau squared": lambda x, m, s, w, t: shares_of(
                np.log(w) - np.log(t) - 0.5 * ((x[:, None] - m) ** 2 + s**2) / t
            ),
            "half lost": lambda x, m, s, w, t: shares_of(
                np.log(w) - np.log(t) - ((x[:, None] - m) ** 2 + s**2) / t**2
            ),
            "columns sum to one": lambda *args: np.exp(
                log_rho(*args) - logsumexp(log_rho(*args), axis=0)
            ),
            "logarithms": lambda *args: np.log(np.maximum(shares(*args), 1e-300)),
            "transposed": lambda *args: shares(*args).T,
            "overflow": shares_that_overflow,
            "sets the uncertainty to zero": shares_without_uncertainty_written_back,
            "makes the components equal": shares_of_equal_components,
            "no return": lambda *args: None,
        },
        "right": {
            "in place": shares_in_place,
            "vectorised": shares,
            "with loops": shares_with_loops,
            "torch": shares_in_torch,
        },
    },
    "4.5": {
        "check": "check_parts",
        "wrong": {
            "swapped": lambda *args: two_parts(*args)[::-1],
            "plain averages": lambda p, m, s: np.stack([(s**2).mean(axis=0), m.var(axis=0)]),
            "standard deviations": lambda p, m, s: np.stack([p @ s, two_parts(p, m, s)[1]]),
            "second moment of the means": lambda p, m, s: np.stack([p @ s**2, p @ m**2]),
            "mean not weighted": lambda p, m, s: np.stack([p @ s**2, p @ (m - m.mean(0)) ** 2]),
            "square of the mean sd": lambda p, m, s: np.stack(
                [(p @ s) ** 2, two_parts(p, m, s)[1]]
            ),
            "total only": lambda *args: two_parts(*args).sum(axis=0),
            "transposed": lambda *args: two_parts(*args).T,
            "split another way": lambda *args: two_parts(*args) + np.array([[0.1], [-0.1]]),
            "makes the assignments equally probable": two_parts_without_weights_written_back,
            "makes the components certain": two_parts_of_nothing,
            "no return": lambda *args: None,
        },
        "right": {
            "in place": two_parts_in_place,
            "vectorised": two_parts,
            "with loops": two_parts_with_loops,
            "second moment minus square": lambda p, m, s: np.array(
                [np.einsum("t,tk->k", p, s * s), p @ m**2 - (p @ m) ** 2]
            ),
        },
    },
}
