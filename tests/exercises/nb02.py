"""Answers to the exercises of notebook 02: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy.special import digamma, entr, gammaln, logsumexp, rel_entr, softmax


def elbo(prior, lik, q):
    return np.sum(q * (np.log(prior * lik) - np.log(q)))


def elbo_loop(prior, lik, q):
    return sum(
        b * (math.log(p) + math.log(f) - math.log(b)) for p, f, b in zip(prior, lik, q, strict=True)
    )


def elbo_torch(prior, lik, q):
    prior, lik, q = (torch.tensor(v, dtype=torch.float32) for v in (prior, lik, q))
    return (q * (prior.log() + lik.log() - q.log())).sum()


def kl_posterior(prior, lik, q):
    return np.log(prior @ lik) - elbo(prior, lik, q)


def two_terms(prior, lik, q):
    return q @ np.log(lik), -rel_entr(q, prior).sum()


def kl_standard(mu, sigma):
    return 0.5 * np.sum(sigma**2 + mu**2 - 1 - 2 * np.log(sigma))


def log_mean(log_w):
    return logsumexp(log_w, axis=1) - np.log(log_w.shape[1])


def shifted_by(shift):
    def answer(log_w):
        by = shift(log_w)
        return by[:, 0] + np.log(np.mean(np.exp(log_w - by), axis=1))

    return answer


def waiting(x, a, b):
    entropy = a - np.log(b) + gammaln(a) + (1 - a) * digamma(a)
    return len(x) * (digamma(a) - np.log(b)) - (x.sum() + 1) * a / b + entropy


def waiting_by_kl(x, a, b):
    e_log = digamma(a) - math.log(b)
    kl = a * math.log(b) - gammaln(a) + (a - 1) * e_log - a + a / b  # to Gamma(1, 1)
    return sum(e_log - t * a / b for t in x) - kl


def entropy(q):
    return entr(q).sum(axis=-1)


def parts(rows, prior):
    average = rows.mean(axis=0)
    return rel_entr(rows, average).sum(axis=1).mean(), rel_entr(average, prior).sum()


def parts_by_entropies(rows, prior):
    average = rows.mean(axis=0)
    information = entropy(average) - entropy(rows).mean()
    return information, -entropy(average) - average @ np.log(prior)


def three(prior, lik, q):
    log_px = np.log(prior @ lik)
    return log_px - elbo(prior, lik, q), elbo(prior, lik, q), log_px


def upper(log_joint, q):
    return softmax(log_joint) @ (log_joint - np.log(q))


def bounded(x, tau, m, s):
    return s > tau or (s == tau and m <= x * tau**2)


def needed(log_w, error):
    return math.ceil(log_w.var(ddof=1) / error**2)


EX1 = ([0.5, 0.3, 0.2], [0.2, 0.4, 0.1], [0.45, 0.45, 0.1])
EX2 = ([0.9, 0.1], [0.5, 0.6], [0.1, 0.9])
EX4 = ([0.5, 0.5], [0.1, 0.9], [0.1, 0.9], 2.0)
EX7 = ([0.5, 0.5], [0.4, 0.4], [0.5, 0.5], [1.0, 0.0])
EX8 = ([0.5, 0.5], [0.2, 0.6], [0.3, 0.7], [0.9, 0.1])
EX9 = ([[0.1, 0.2], [0.3, 0.4]], 0, 0)
EX10 = ([0.5, 0.5], [18.0, 182.0], [0.9, 0.1])
EX11 = ([[0.9, 0.1], [0.8, 0.2]], [0.2, 0.8])

EXERCISES = {
    "2.1": {
        "check": "check_once_too_often",
        "wrong": {
            "as printed": (EX1, lambda p, f, q: elbo(p, f, q) - np.log(p @ f)),
            "the evidence added": (EX1, lambda p, f, q: elbo(p, f, q) + np.log(p @ f)),
            "the negative": (EX1, lambda p, f, q: -elbo(p, f, q)),
            "prior forgotten": (EX1, lambda p, f, q: np.sum(q * np.log(f / q))),
            "entropy forgotten": (EX1, lambda p, f, q: q @ np.log(p * f)),
            "the evidence itself": (EX1, lambda p, f, q: np.log(p @ f)),
            "averaged": (EX1, lambda p, f, q: elbo(p, f, q) / len(q)),
            "one number a state": (EX1, lambda p, f, q: q * np.log(p * f / q)),
            "bits": (EX1, lambda p, f, q: elbo(p, f, q) / np.log(2)),
            "forgotten return": (EX1, lambda p, f, q: None),
            "p(x) = 1": (([0.5, 0.5], [0.4, 1.6], [0.3, 0.7]), elbo),
            "q far from the posterior": (([0.5, 0.5], [0.2, 0.6], [0.999, 0.001]), elbo),
            "random numbers": (([0.3, 0.7], [1.3, 2.2], [0.6, 0.4]), elbo),
            "q is no distribution": (([0.5, 0.5], [0.2, 0.6], [0.3, 0.3]), elbo),
            "a state too many": (([0.5, 0.5], [0.2, 0.6], [0.3, 0.3, 0.4]), elbo),
            "example missing": (..., elbo),
            "only the function": elbo,
            "a string": ("prior, lik, q", elbo),
        },
        "right": {
            "sum": (EX1, elbo),
            "loop": (EX1, elbo_loop),
            "float32 tensor": (EX1, elbo_torch),
            "by the KL": (EX1, lambda p, f, q: np.log(p @ f) - rel_entr(q, p * f / (p @ f)).sum()),
            "a list, q with a zero": [([0.5, 0.5], [0.1, 1e-9], [1.0, 0.0]), elbo],
            "arrays, q = posterior": (
                (np.array([0.5, 0.5]), np.array([0.2, 0.6]), np.array([0.25, 0.75])),
                elbo,
            ),
        },
    },
    "2.2": {
        "check": "check_sign",
        "wrong": {
            "as printed": (EX2, lambda p, f, q: (q @ np.log(f), rel_entr(q, p).sum())),
            "the other KL": (EX2, lambda p, f, q: (q @ np.log(f), -rel_entr(p, q).sum())),
            "log of the mean": (EX2, lambda p, f, q: (np.log(q @ f), -rel_entr(q, p).sum())),
            "entropy": (EX2, lambda p, f, q: (q @ np.log(f), entr(q).sum())),
            "energy and entropy": (EX2, lambda p, f, q: (q @ np.log(p * f), entr(q).sum())),
            "under the prior": (EX2, lambda p, f, q: (p @ np.log(f), -rel_entr(q, p).sum())),
            "the sum": (EX2, lambda p, f, q: q @ np.log(f) - rel_entr(q, p).sum()),
            "NaN at zero": (EX2, lambda p, f, q: (q @ np.log(f), -np.sum(q * np.log(q / p)))),
            "KL to the posterior": (EX2, lambda p, f, q: (q @ np.log(f), -kl_posterior(p, f, q))),
            "forgotten return": (EX2, lambda p, f, q: None),
            "q = prior": (([0.9, 0.1], [0.5, 0.6], [0.9, 0.1]), two_terms),
            "above, but by too little": (([0.5, 0.5], [0.5, 0.6], [0.45, 0.55]), two_terms),
            "negative prior": (([1.1, -0.1], [0.5, 0.6], [0.9, 0.1]), two_terms),
        },
        "right": {
            "rel_entr": (EX2, two_terms),
            "list, where": (
                EX2,
                lambda p, f, q: [
                    np.sum(q * np.log(f)),
                    np.sum(q * np.where(q > 0, np.log(p) - np.log(np.maximum(q, 1e-300)), 0)),
                ],
            ),
            "loop": (
                EX2,
                lambda p, f, q: (
                    sum(b * math.log(t) for b, t in zip(q, f, strict=True)),
                    sum(b * math.log(a / b) for a, b in zip(p, q, strict=True) if b > 0),
                ),
            ),
            "a sure q, float32": (
                ([0.8, 0.1, 0.1], [0.3, 0.3, 0.3], np.float32([0.0, 0.0, 1.0])),
                lambda p, f, q: np.float32(two_terms(p, f, q)),
            ),
        },
    },
    "2.3": {
        "check": "check_kl",
        "wrong": {
            "as printed": (
                ([2.0], [2.0]),
                lambda m, s: -0.5 * np.sum(np.log(s**2) - s**2 + m**2 + 1),
            ),
            "no half": (([2.0], [2.0]), lambda m, s: 2 * kl_standard(m, s)),
            "negative": (([2.0], [2.0]), lambda m, s: -kl_standard(m, s)),
            "sigma for its square": (
                ([2.0], [2.0]),
                lambda m, s: -0.5 * np.sum(1 + np.log(s) - s - m**2),
            ),
            "mean over dimensions": (
                ([2.0], [2.0]),
                lambda m, s: -0.5 * np.mean(1 + np.log(s**2) - s**2 - m**2),
            ),
            "the other direction": (
                ([2.0], [2.0]),
                lambda m, s: np.sum(np.log(s) + (1 + m**2) / (2 * s**2) - 0.5),
            ),
            "1 outside the sum": (
                ([2.0], [2.0]),
                lambda m, s: -0.5 * (1 + np.sum(np.log(s**2) - s**2 - m**2)),
            ),
            "one number a dimension": (
                ([2.0], [2.0]),
                lambda m, s: -0.5 * (1 + np.log(s**2) - s**2 - m**2),
            ),
            "mu = 0": (([0.0, 0.0], [2.0, 0.3]), kl_standard),
            "wrong, but positive": (([1.0], [2.0]), kl_standard),
            "sigma negative": (([2.0], [-2.0]), kl_standard),
            "two lengths": (([2.0, 1.0], [2.0]), kl_standard),
            "two numbers": ((2.0, 2.0), kl_standard),
        },
        "right": {
            "vectorised": (([2.0], [2.0]), kl_standard),
            "loop": (
                ([3.0, 0.0], [1.0, 1.0]),
                lambda m, s: sum(
                    b * b / 2 + a * a / 2 - 0.5 - math.log(b) for a, b in zip(m, s, strict=True)
                ),
            ),
            "torch": (
                (torch.tensor([2.0]), torch.tensor([1.5])),
                lambda m, s: torch.distributions.kl_divergence(
                    torch.distributions.Normal(torch.tensor(m), torch.tensor(s)),
                    torch.distributions.Normal(0.0, 1.0),
                ).sum(),
            ),
        },
    },
    "2.4": {
        "check": "check_beta",
        "wrong": {
            "any": (EX4, lambda beta: True),
            "none": (EX4, lambda beta: False),
            "beta itself on the KL": (EX4, lambda beta: beta >= 1),
            "without the ELBO": (EX4, lambda beta: beta < 1),
            "only the ELBO": (EX4, lambda beta: beta == 1),
            "below two": (EX4, lambda beta: beta < 2),
            "a little above one": (EX4, lambda beta: beta < 1.005),
            "the weight": (EX4, lambda beta: 1 / beta),
            "forgotten return": (EX4, lambda beta: None),
            "beta below 1": (([0.5, 0.5], [0.1, 0.9], [0.1, 0.9], 0.5), lambda beta: beta <= 1),
            "a q that fits badly": (
                ([0.5, 0.5], [0.1, 0.9], [0.9, 0.1], 2.0),
                lambda beta: beta <= 1,
            ),
            "beta negative": (([0.5, 0.5], [0.1, 0.9], [0.1, 0.9], -2.0), lambda beta: beta <= 1),
            "no beta": (EX4[:3], lambda beta: beta <= 1),
        },
        "right": {
            "beta <= 1": (EX4, lambda beta: beta <= 1),
            "weight": (EX4, lambda beta: np.bool_(1 / beta >= 1)),
            "torch": (EX4, lambda beta: torch.tensor(beta) <= 1),
            "numpy": (EX4, lambda beta: np.array(beta) <= 1),
            "an integer": (EX4, lambda beta: int(beta <= 1)),
            "if": (([0.3, 0.7], [0.02, 0.9], [0.02, 0.98], 10), lambda b: not b > 1),
        },
    },
    "2.5": {
        "check": "check_log_mean",
        "wrong": {
            "underflows": lambda log_w: np.log(np.mean(np.exp(log_w), axis=1)),
            "forgets 1/k": lambda log_w: logsumexp(log_w, axis=1),
            "the ELBO again": lambda log_w: log_w.mean(axis=1),
            "the other axis": lambda log_w: logsumexp(log_w, axis=0) - np.log(len(log_w)),
            "divides by R": lambda log_w: logsumexp(log_w, axis=1) - np.log(len(log_w)),
            "one maximum for all rows": lambda log_w: (
                log_w.max() + np.log(np.mean(np.exp(log_w - log_w.max()), axis=1))
            ),
            "shifts by the mean": shifted_by(lambda w: w.mean(axis=1, keepdims=True)),
            "shifts by the least": shifted_by(lambda w: w.min(axis=1, keepdims=True)),
            "shifts by the first": shifted_by(lambda w: w[:, :1]),
            "keeps the axis": lambda log_w: log_mean(log_w)[:, None],
            "the greatest": lambda log_w: log_w.max(axis=1),
            "one number": lambda log_w: logsumexp(log_w) - np.log(log_w.size),
            "forgotten return": lambda log_w: None,
        },
        "right": {
            "logsumexp": log_mean,
            "maximum": shifted_by(lambda w: w.max(axis=1, keepdims=True)),
            "loop": lambda log_w: [
                max(row) + math.log(sum(math.exp(v - max(row)) for v in row) / len(row))
                for row in log_w
            ],
            "torch": lambda log_w: (
                torch.logsumexp(torch.tensor(log_w), 1) - math.log(log_w.shape[1])
            ),
            "float32": lambda log_w: log_mean(log_w.astype(np.float32)),
        },
    },
    "2.6": {
        "check": "check_waiting",
        "wrong": {
            "prior forgotten": lambda x, a, b: waiting(x, a, b) + a / b,
            "entropy forgotten": lambda x, a, b: (
                len(x) * (digamma(a) - np.log(b)) - (x.sum() + 1) * a / b
            ),
            "entropy subtracted": lambda x, a, b: (
                len(x) * (digamma(a) - np.log(b))
                - (x.sum() + 1) * a / b
                - (a - np.log(b) + gammaln(a) + (1 - a) * digamma(a))
            ),
            "log of the mean": lambda x, a, b: waiting(x, a, b) + len(x) * (np.log(a) - digamma(a)),
            "scale for rate": lambda x, a, b: waiting(x, a, 1 / b),
            "N log z once": lambda x, a, b: (
                waiting(x, a, b) - (len(x) - 1) * (digamma(a) - np.log(b))
            ),
            "prior once a datum": lambda x, a, b: waiting(x, a, b) - (len(x) - 1) * a / b,
            "the mean of x": lambda x, a, b: waiting(x, a, b) + (x.sum() - x.mean()) * a / b,
            "the evidence": lambda x, a, b: gammaln(len(x) + 1) - (len(x) + 1) * np.log1p(x.sum()),
            "the negative": lambda x, a, b: -waiting(x, a, b),
            "one number a datum": lambda x, a, b: digamma(a) - np.log(b) - x * a / b,
            "forgotten return": lambda x, a, b: None,
        },
        "right": {
            "energy and entropy": waiting,
            "by the KL to the prior": waiting_by_kl,
            "float32": lambda x, a, b: np.float32(waiting(x.astype(np.float32), a, b)),
            "by the conjugate posterior": lambda x, a, b: (
                gammaln(len(x) + 1)
                - (len(x) + 1) * np.log1p(x.sum())
                - torch.distributions.kl_divergence(
                    torch.distributions.Gamma(torch.tensor(float(a)), torch.tensor(float(b))),
                    torch.distributions.Gamma(
                        torch.tensor(len(x) + 1.0), torch.tensor(1 + float(x.sum()))
                    ),
                ).item()
            ),
        },
    },
    "2.7": {
        "check": "check_entropy",
        "wrong": {
            "as printed": (EX7, lambda q: -entropy(q)),
            "NaN at zero": (EX7, lambda q: -np.sum(q * np.log(q), axis=-1)),
            "over everything": (EX7, lambda q: entr(q).sum()),
            "bits": (EX7, lambda q: entropy(q) / np.log(2)),
            "first axis": (EX7, lambda q: entr(q).sum(axis=0)),
            "a small constant": (EX7, lambda q: -np.sum(q * np.log(q + 1e-3), axis=-1)),
            "mean over states": (EX7, lambda q: entr(q).mean(axis=-1)),
            "keeps the axis": (EX7, lambda q: entr(q).sum(axis=-1, keepdims=True)),
            "the same order": (EX8, entropy),
            "the order turned": ((*EX7[:2], EX7[3], EX7[2]), entropy),
            "one q missing": (EX7[:3], entropy),
        },
        "right": {
            "entr": (EX7, entropy),
            "where": (EX7, lambda q: -np.sum(q * np.log(np.where(q > 0, q, 1)), axis=-1)),
            "torch": (
                EX7,
                lambda q: -torch.special.xlogy(torch.tensor(q), torch.tensor(q)).sum(-1),
            ),
            "another model": (
                ([0.4, 0.6], [0.3, 0.3], [0.5, 0.5], [0.01, 0.99]),
                lambda q: -np.nansum(q * np.log(q), axis=-1),
            ),
        },
    },
    "2.8": {
        "check": "check_constant",
        "wrong": {
            "as printed": (EX8, lambda p, f, q: elbo(p, f, q) + np.log(p @ f)),
            "sign": (EX8, lambda p, f, q: -kl_posterior(p, f, q)),
            "no evidence": (EX8, lambda p, f, q: -elbo(p, f, q)),
            "KL to the prior": (EX8, lambda p, f, q: rel_entr(q, p).sum()),
            "inclusive": (EX8, lambda p, f, q: rel_entr(p * f / (p @ f), q).sum()),
            "p(x) without its log": (EX8, lambda p, f, q: p @ f - elbo(p, f, q)),
            "forgotten return": (EX8, lambda p, f, q: None),
            "two q equally far": (
                ([0.5, 0.5], [0.2, 0.2], [0.3, 0.7], [0.7, 0.3]),
                kl_posterior,
            ),
            "twice the same q": ((*EX8[:2], EX8[2], EX8[2]), kl_posterior),
            "nearly the same": ((*EX8[:2], [0.3, 0.7], [0.31, 0.69]), kl_posterior),
        },
        "right": {
            "difference": (EX8, kl_posterior),
            "direct": (EX8, lambda p, f, q: rel_entr(q, p * f / (p @ f)).sum()),
            "loop": (EX8, lambda p, f, q: math.log(sum(p * f)) - elbo_loop(p, f, q)),
            "float32 tensor": (EX8, lambda p, f, q: math.log(p @ f) - elbo_torch(p, f, q)),
        },
    },
    "2.9": {
        "check": "check_evidence",
        "wrong": {
            "as printed": (EX9, lambda t, x: t[:, 0].sum()),
            "the column": (EX9, lambda t, x: t[:, x % t.shape[1]].sum()),
            "its mean": (EX9, lambda t, x: t[x].mean()),
            "the total": (EX9, lambda t, x: t.sum()),
            "all rows": (EX9, lambda t, x: t.sum(axis=1)),
            "two states only": (EX9, lambda t, x: t[x, 0] + t[x, 1]),
            "conditional": (EX9, lambda t, x: t[x].sum() / t.sum(axis=0)[0]),
            "forgotten return": (EX9, lambda t, x: None),
            "symmetric table": (([[0.1, 0.2], [0.2, 0.5]], 1, 1), lambda t, x: t[x].sum()),
            "no joint table": (([[0.5, 0.5], [0.5, 0.5]], 0, 0), lambda t, x: t[x].sum()),
            "no such column": (([[0.1, 0.2], [0.3, 0.4]], 0, 2), lambda t, x: t[x].sum()),
            "a flat table": (([0.1, 0.9], 0, 1), lambda t, x: t[x].sum()),
        },
        "right": {
            "row": (EX9, lambda t, x: t[x].sum()),
            "axis": (EX9, lambda t, x: t.sum(axis=1)[x]),
            "loop": (([[0.7, 0.1, 0.2]], 0, 1), lambda t, x: sum(t[x, z] for z in range(len(t.T)))),
            "float32": (EX9, lambda t, x: np.float32(t)[x].sum()),
        },
    },
    "2.10": {
        "check": "check_plus",
        "wrong": {
            "the other order": (EX10, lambda p, f, q: three(p, f, q)[::-1]),
            "difference": (
                EX10,
                lambda p, f, q: (*three(p, f, q)[:2], elbo(p, f, q) - kl_posterior(p, f, q)),
            ),
            "KL negative": (EX10, lambda p, f, q: (-kl_posterior(p, f, q), *three(p, f, q)[1:])),
            "as printed": (
                EX10,
                lambda p, f, q: (
                    *three(p, f, q)[:2],
                    q @ np.log(q / (p * f / (p @ f)) + p * f / q),
                ),
            ),
            "evidence, no log": (EX10, lambda p, f, q: (*three(p, f, q)[:2], p @ f)),
            "KL to the prior": (
                EX10,
                lambda p, f, q: (rel_entr(q, p).sum(), *three(p, f, q)[1:]),
            ),
            "two of three": (EX10, lambda p, f, q: three(p, f, q)[:2]),
            "q with a zero": (([0.5, 0.5], [18.0, 182.0], [0.0, 1.0]), three),
            "above, as nearly always": (([0.5, 0.5], [0.2, 0.6], [0.3, 0.7]), three),
            "q = posterior": (([0.5, 0.5], [18.0, 182.0], [0.09, 0.91]), three),
            "above, for a density": (([0.5, 0.5], [10.0, 10.0], [0.6, 0.4]), three),
        },
        "right": {
            "tuple": (EX10, three),
            "list": (EX10, lambda p, f, q: list(three(p, f, q))),
            "sum of two logs": (
                EX10,
                lambda p, f, q: (
                    q @ np.log(q / (p * f / sum(p * f))),
                    q @ np.log(p * f / q),
                    q @ (np.log(q / (p * f / sum(p * f))) + np.log(p * f / q)),
                ),
            ),
            "three states, float32": (
                ([0.2, 0.3, 0.5], [25.0, 100.0, 800.0], [0.5, 0.49, 0.01]),
                lambda p, f, q: np.float32(three(p, f, q)),
            ),
        },
    },
    "2.11": {
        "check": "check_surgery",
        "wrong": {
            "as printed": (EX11, lambda r, p: (parts(r, p)[0], -parts(r, p)[1])),
            "I negative": (EX11, lambda r, p: (-parts(r, p)[0], parts(r, p)[1])),
            "the whole cost": (
                EX11,
                lambda r, p: (parts(r, p)[0], rel_entr(r, p).sum(axis=1).mean()),
            ),
            "sum over the data": (
                EX11,
                lambda r, p: (len(r) * parts(r, p)[0], len(r) * parts(r, p)[1]),
            ),
            "inclusive": (EX11, lambda r, p: (parts(r, p)[0], rel_entr(p, r.mean(axis=0)).sum())),
            "mean over states": (
                EX11,
                lambda r, p: (parts(r, p)[0], rel_entr(r.mean(axis=1)[0], p).sum()),
            ),
            "swapped": (EX11, lambda r, p: parts(r, p)[::-1]),
            "NaN at zero": (
                EX11,
                lambda r, p: (
                    np.mean(np.sum(r * np.log(r / r.mean(axis=0)), axis=1)),
                    parts(r, p)[1],
                ),
            ),
            "forgotten return": (EX11, lambda r, p: None),
            "average = prior": (([[0.9, 0.1], [0.1, 0.9]], [0.5, 0.5]), parts),
            "prior not normalised": ((EX11[0], [0.2, 0.2]), parts),
            "one row only, flat": (([0.9, 0.1], [0.2, 0.8]), parts),
        },
        "right": {
            "rel_entr": (EX11, parts),
            "entropies": (EX11, parts_by_entropies),
            "equal sure rows": (([[1, 0], [1, 0]], [0.5, 0.5]), lambda r, p: list(parts(r, p))),
            "one row": (([[0.1, 0.7, 0.2]], [0.6, 0.2, 0.2]), parts),
        },
    },
    "2.12": {
        "check": "check_upper",
        "wrong": {
            "the lower bound": lambda j, q: q @ (j - np.log(q)),
            "the other KL": lambda j, q: 2 * logsumexp(j) - q @ (j - np.log(q)),
            "ignores q": lambda j, q: logsumexp(j),
            "posterior not normalised": lambda j, q: np.exp(j) @ (j - np.log(q)),
            "the KL alone": lambda j, q: rel_entr(softmax(j), q).sum(),
            "subtracted": lambda j, q: logsumexp(j) - rel_entr(softmax(j), q).sum(),
            "negative": lambda j, q: -upper(j, q),
            "one number a state": lambda j, q: softmax(j) * (j - np.log(q)),
            "forgotten return": lambda j, q: None,
        },
        "right": {
            "average": upper,
            "evidence plus KL": lambda j, q: logsumexp(j) + rel_entr(softmax(j), q).sum(),
            "loop": lambda j, q: sum(
                p * (a - math.log(b))
                for p, a, b in zip(np.exp(j) / np.exp(j).sum(), j, q, strict=True)
            ),
            "torch": lambda j, q: torch.softmax(torch.tensor(j), 0) @ torch.tensor(j - np.log(q)),
        },
    },
    "2.13": {
        "check": "check_bounded",
        "wrong": {
            "wide enough": lambda x, tau, m, s: s >= tau,
            "strictly wider": lambda x, tau, m, s: s > tau,
            "narrower": lambda x, tau, m, s: s < tau,
            "mean only": lambda x, tau, m, s: m <= x * tau**2,
            "both needed": lambda x, tau, m, s: s >= tau and m <= x * tau**2,
            "count forgotten": lambda x, tau, m, s: s > tau or (s == tau and m <= tau**2),
            "tau not squared": lambda x, tau, m, s: s > tau or (s == tau and m <= x * tau),
            "sign of m": lambda x, tau, m, s: s > tau or (s == tau and m >= x * tau**2),
            "m against zero": lambda x, tau, m, s: s > tau or (s == tau and m <= 0),
            "always": lambda x, tau, m, s: True,
            "a number": lambda x, tau, m, s: s - tau,
            "a border with a width": lambda x, tau, m, s: (
                s > 1.03 * tau or (abs(s - tau) < 0.03 * tau and m <= x * tau**2)
            ),
            "a border with a width below": lambda x, tau, m, s: (
                s > tau or (s >= 0.95 * tau and m <= x * tau**2)
            ),
            "two values": lambda x, tau, m, s: [s > tau, s == tau and m <= x * tau**2],
            "forgotten return": lambda x, tau, m, s: None,
        },
        "right": {
            "or": bounded,
            "if": lambda x, tau, m, s: (m <= x * s**2) if s == tau else s > tau,
            "numpy": lambda x, tau, m, s: np.logical_or(
                s > tau, np.logical_and(s == tau, m / tau**2 <= x)
            ),
            "torch": lambda x, tau, m, s: torch.tensor(bounded(x, tau, m, s)),
            "an integer": lambda x, tau, m, s: int(bounded(x, tau, m, s)),
        },
    },
    "2.14": {
        "check": "check_needed",
        "wrong": {
            "sd for variance": lambda w, e: math.ceil(w.std() / e),
            "error not squared": lambda w, e: math.ceil(w.var(ddof=1) / e),
            "times the pilot": lambda w, e: math.ceil(len(w) * w.var(ddof=1) / e**2),
            "over the pilot": lambda w, e: math.ceil(w.var(ddof=1) / e**2 / len(w)),
            "sd over squared error": lambda w, e: math.ceil(w.std(ddof=1) / e**2),
            "not whole": lambda w, e: w.var(ddof=1) / e**2 + 0.3,
            "rounded down": lambda w, e: math.floor(w.var(ddof=1) / e**2),
            "rounded": lambda w, e: round(w.var(ddof=1) / e**2),
            "rounded, numpy's own variance": lambda w, e: round(w.var() / e**2),
            "one more": lambda w, e: math.ceil(w.var(ddof=1) / e**2) + 1,
            "for two errors": lambda w, e: 4 * needed(w, e),
            "of the weights": lambda w, e: math.ceil(np.exp(w).var() / e**2),
            "a string": lambda w, e: str(needed(w, e)),
        },
        "right": {
            "ceil": needed,
            "from a standard error": lambda w, e: float(
                np.ceil(len(w) * (w.std(ddof=1) / np.sqrt(len(w)) / e) ** 2)
            ),
            "numpy's own variance": lambda w, e: int(np.var(w) / e**2) + 1,
            "torch": lambda w, e: torch.ceil(torch.tensor(w).var() / e**2).int(),
        },
    },
}
