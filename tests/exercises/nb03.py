"""Answers to the exercises of notebook 03: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy import special, stats

from vi_helpers.densities import log_sigmoid
from vi_helpers.quadrature import expect_normal


def log_beta(a, b):
    mode = (a - 1) / (a + b - 2)
    top = (a - 1) * np.log(mode) + (b - 1) * np.log(1 - mode)
    return top + 0.5 * np.log(2 * np.pi * mode * (1 - mode) / (a + b - 2))


def log_beta_by_hessian(a, b):
    mode = (a - 1) / (a + b - 2)
    curvature = (a - 1) / mode**2 + (b - 1) / (1 - mode) ** 2
    top = mode ** (a - 1) * (1 - mode) ** (b - 1)
    return math.log(top) + 0.5 * math.log(2 * math.pi / curvature) if top > 0 else log_beta(a, b)


def logit_density(u, a, b):
    return a * log_sigmoid(u) + b * log_sigmoid(-u) - special.betaln(a, b)


def moment(N, k):
    c = 1 + k / N
    return np.exp(-N * (c - c * np.log(c) - 1) + 0.5 * np.log(c))


def moment_by_powers(N, k):
    return (1 + k / N) ** (N + k + 0.5) * math.exp(-k)


def moderated(m, s):
    return special.expit(m / np.sqrt(1 + np.pi * s**2 / 8))


def log_normal(a, b):
    m = np.log(a / b) - 0.5 / a
    return m, a**-0.5, a * np.log(a / b) - a + 0.5 * np.log(2 * np.pi / a)


def changed(**parts):
    """The right triple of 3.5 with m, s or bound replaced by a function of a and b."""

    def answer(a, b):
        triple = dict(zip(("m", "s", "bound"), log_normal(a, b), strict=True))
        triple |= {name: part(a, b) for name, part in parts.items()}
        return tuple(triple.values())

    return answer


EXERCISES = {
    "3.1": {
        "check": "check_log_beta",
        "wrong": {
            "exact": special.betaln,
            "no √(2π)": lambda a, b: log_beta(a, b) - 0.5 * np.log(2 * np.pi),
            "2π without its root": lambda a, b: log_beta(a, b) + 0.5 * np.log(2 * np.pi),
            "exponents a and b": lambda a, b: log_beta(a + 1, b + 1),
            "expanded at the mean": lambda a, b: (
                (a - 1) * np.log(a / (a + b))
                + (b - 1) * np.log(b / (a + b))
                + 0.5 * np.log(2 * np.pi * a * b / (a + b) ** 3)
            ),
            "variance of the Beta": lambda a, b: (
                log_beta(a, b)
                + 0.5 * np.log(a * b / (a + b) ** 2 / (a + b + 1))
                - 0.5 * np.log((a - 1) * (b - 1) / (a + b - 2) ** 3)
            ),
            "curvature upside down": lambda a, b: (
                log_beta(a, b) - np.log((a - 1) * (b - 1) / (a + b - 2) ** 3)
            ),
            "the height alone": lambda a, b: (
                log_beta(a, b) - 0.5 * np.log(2 * np.pi * (a - 1) * (b - 1) / (a + b - 2) ** 3)
            ),
            "not the log": lambda a, b: np.exp(log_beta(a, b)),
            "its negative": lambda a, b: -log_beta(a, b),
            "forgotten return": lambda a, b: None,
        },
        "right": {
            "closed form": log_beta,
            "by the second derivative": log_beta_by_hessian,
            "a number in an array": lambda a, b: np.float64(log_beta(a, b)),
            "torch": lambda a, b: torch.tensor(log_beta(a, b)),
        },
    },
    "3.2": {
        "check": "check_logit",
        "wrong": {
            "no Jacobian": lambda u, a, b: stats.beta.logpdf(special.expit(u), a, b),
            "Jacobian subtracted": lambda u, a, b: (
                stats.beta.logpdf(special.expit(u), a, b) - log_sigmoid(u) - log_sigmoid(-u)
            ),
            "half of the Jacobian": lambda u, a, b: (
                stats.beta.logpdf(special.expit(u), a, b) + log_sigmoid(u)
            ),
            "no normaliser": lambda u, a, b: a * log_sigmoid(u) + b * log_sigmoid(-u),
            "a and b exchanged": lambda u, a, b: logit_density(u, b, a),
            "sign of u": lambda u, a, b: logit_density(-u, a, b),
            "the density": lambda u, a, b: np.exp(logit_density(u, a, b)),
            "exponents less one": lambda u, a, b: (
                (a - 1) * log_sigmoid(u) + (b - 1) * log_sigmoid(-u) - special.betaln(a, b)
            ),
            "sum over u": lambda u, a, b: logit_density(u, a, b).sum(),
            "flat": lambda u, a, b: logit_density(u, a, b).ravel()[:6],
            "forgotten return": lambda u, a, b: None,
        },
        "right": {
            "sigmoids": logit_density,
            "Beta and Jacobian": lambda u, a, b: (
                stats.beta.logpdf(special.expit(u), a, b)
                + np.log(special.expit(u) * special.expit(-u))
            ),
            "softplus": lambda u, a, b: a * u - (a + b) * np.logaddexp(0, u) - special.betaln(a, b),
            "float32": lambda u, a, b: logit_density(u, a, b).astype(np.float32),
            "torch": lambda u, a, b: (
                a * torch.nn.functional.logsigmoid(torch.tensor(u))
                + b * torch.nn.functional.logsigmoid(-torch.tensor(u))
                - special.betaln(a, b)
            ),
        },
    },
    "3.3": {
        "check": "check_moment",
        "wrong": {
            "exact": lambda N, k: np.exp(
                special.gammaln(N + 1 + k) - special.gammaln(N + 1) - k * np.log(N)
            ),
            "crude": lambda N, k: 1.0,
            "1 + k/N": lambda N, k: 1 + k / N,
            "1 + 3/N": lambda N, k: 1 + 3 / N,
            "value at its lowest point": lambda N, k: (1 + k / N) ** k,
            "curvature forgotten": lambda N, k: moment(N, k) / np.sqrt(1 + k / N),
            "curvature upside down": lambda N, k: moment(N, k) / (1 + k / N),
            "k = 2 only": lambda N, k: moment(N, 2),
            "numerator alone": lambda N, k: moment(N, k) * np.exp(-N) * np.sqrt(2 * np.pi / N),
            "its log": lambda N, k: np.log(moment(N, k)),
            "forgotten return": lambda N, k: None,
        },
        "right": {
            "two integrals": moment,
            "multiplied out": moment_by_powers,
            "in logs": lambda N, k: math.exp((N + k + 0.5) * math.log1p(k / N) - k),
        },
    },
    "3.4": {
        "check": "check_moderated",
        "wrong": {
            "plug-in": lambda m, s: special.expit(m),
            "no root": lambda m, s: special.expit(m / (1 + np.pi * s**2 / 8)),
            "no π/8": lambda m, s: special.expit(m / np.sqrt(1 + s**2)),
            "s not squared": lambda m, s: special.expit(m / np.sqrt(1 + np.pi * s / 8)),
            "8/π": lambda m, s: special.expit(m / np.sqrt(1 + 8 * s**2 / np.pi)),
            "left as Φ": lambda m, s: special.ndtr(
                np.sqrt(np.pi / 8) * m / np.sqrt(1 + np.pi * s**2 / 8)
            ),
            "slope twice": lambda m, s: special.expit(
                np.sqrt(np.pi / 8) * m / np.sqrt(1 + np.pi * s**2 / 8)
            ),
            "multiplied": lambda m, s: special.expit(m * np.sqrt(1 + np.pi * s**2 / 8)),
            "κ m, no sigmoid": lambda m, s: m / np.sqrt(1 + np.pi * s**2 / 8),
            "the exact average": lambda m, s: expect_normal(special.expit, m, s),
            "the mean of all": lambda m, s: moderated(m, s).mean(),
            "forgotten return": lambda m, s: None,
        },
        "right": {
            "expit": moderated,
            "by hand": lambda m, s: 1 / (1 + np.exp(-m * (1 + np.pi * s**2 / 8) ** -0.5)),
            "float32": lambda m, s: moderated(m.astype(np.float32), s.astype(np.float32)),
            "torch": lambda m, s: torch.sigmoid(
                torch.tensor(m) / torch.sqrt(1 + torch.pi * torch.tensor(s) ** 2 / 8)
            ),
        },
    },
    "3.5": {
        "check": "check_log_normal",
        "wrong": {
            "mean at the mode": changed(m=lambda a, b: np.log(a / b)),
            "sign of the shift": changed(m=lambda a, b: np.log(a / b) + 0.5 / a),
            "variance for s": changed(s=lambda a, b: 1 / a),
            "s of the Gamma": changed(s=lambda a, b: np.sqrt(a) / b),
            "b upside down": changed(m=lambda a, b: np.log(a * b) - 0.5 / a),
            "the evidence": changed(bound=lambda a, b: special.gammaln(a) - a * np.log(b)),
            "no entropy": changed(bound=lambda a, b: a * np.log(a / b) - 0.5 - a),
            "a third of the exponent": changed(
                bound=lambda a, b: (a - 1) * np.log(a / b) - a + 0.5 * np.log(2 * np.pi / a)
            ),
            "bound negative": changed(bound=lambda a, b: -log_normal(a, b)[2]),
            "two of three": lambda a, b: log_normal(a, b)[:2],
            "another order": lambda a, b: log_normal(a, b)[::-1],
            "forgotten return": lambda a, b: None,
        },
        "right": {
            "closed form": log_normal,
            "tensors with gradients": lambda a, b: tuple(
                torch.tensor(part, requires_grad=True) for part in log_normal(a, b)
            ),
            "list, by digits": lambda a, b: [
                math.log(a) - math.log(b) - 1 / (2 * a),
                math.sqrt(1 / a),
                a * (math.log(a / b) - 1) + math.log(2 * math.pi / a) / 2,
            ],
            "an array, bound written out": lambda a, b: np.array(
                [
                    *log_normal(a, b)[:2],
                    a * log_normal(a, b)[0] - a + 0.5 * np.log(2 * np.pi * np.e / a),
                ]
            ),
            "float32 tensor": lambda a, b: torch.tensor(log_normal(a, b), dtype=torch.float32),
        },
    },
    "3.6": {
        "check": "check_shift",
        "wrong": {
            "no shift": lambda N, g2, g3: 0.0,
            "the example's": lambda N, g2, g3: 1 / N,
            "sign": lambda N, g2, g3: g3 / (2 * g2**2 * N),
            "g2 once": lambda N, g2, g3: -g3 / (2 * g2 * N),
            "no half": lambda N, g2, g3: -g3 / (g2**2 * N),
            "order one over root N": lambda N, g2, g3: -g3 / (2 * g2**2 * np.sqrt(N)),
            "a sixth": lambda N, g2, g3: -g3 / (6 * g2**2 * N),
            "N forgotten": lambda N, g2, g3: -g3 / (2 * g2**2),
            "g2 cubed": lambda N, g2, g3: -g3 / (2 * g2**3 * N),
            "forgotten return": lambda N, g2, g3: None,
        },
        "right": {
            "formula": lambda N, g2, g3: -g3 / (2 * g2**2 * N),
            "by moments": lambda N, g2, g3: -(g3 / 6) * (3 / g2**2) / np.sqrt(N) / np.sqrt(N),
            "float32 tensor": lambda N, g2, g3: torch.tensor(-g3 / (2 * N * g2 * g2)).float(),
        },
    },
    "3.7": {
        "check": "check_mixture",
        "wrong": {
            "equal hills": ([0.5, 0.5], [-2.0, 2.0], [0.5, 0.5]),
            "one peak only": ([0.01, 0.99], [0.0, 3.0], [1.0, 1.0]),
            "too much mass": ([0.05, 0.95], [0.0, 3.0], [0.001, 1.0]),
            "the small one is lower": ([0.01, 0.99], [0.0, 3.0], [0.1, 1.0]),
            "weights do not sum to one": ([0.01, 0.9], [0.0, 3.0], [0.001, 1.0]),
            "std not positive": ([0.01, 0.99], [0.0, 3.0], [0.0, 1.0]),
            "three components": ([0.01, 0.49, 0.5], [0.0, 3.0, 4.0], [0.001, 1.0, 1.0]),
            "std too small for the search": ([0.01, 0.99], [3.0, 3.2], [1e-9, 1.0]),
            "stds missing": ([0.01, 0.99], [0.0, 3.0]),
            "a string": "a spike and a hill",
        },
        "right": {
            "spike and hill": ([0.01, 0.99], [0.0, 3.0], [0.001, 1.0]),
            "hill first": (np.array([0.985, 0.015]), [-1.0, 4.0], [2.0, 0.01]),
            "float32": tuple(np.float32(v) for v in ([0.015, 0.985], [0.5, 6.0], [0.01, 1.5])),
            "far apart": ([0.001, 0.999], [100.0, 0.0], [1e-4, 1.0]),
        },
    },
}
