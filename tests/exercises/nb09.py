"""Answers to the exercises of notebook 09: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy import stats
from scipy.special import betaln, digamma, gammaln, logsumexp, softmax


def _poisson(x, alpha, a, b, *, log_rate=None, rate=1.0, log_pi=None, axis=1):
    log_pi = digamma(alpha) - digamma(alpha.sum()) if log_pi is None else log_pi(alpha)
    log_rate = digamma(a) - np.log(b) if log_rate is None else log_rate(a, b)
    log_rho = log_pi + x[:, None] * log_rate - rate * a / b
    return np.exp(log_rho - logsumexp(log_rho, axis=axis, keepdims=True))


def _poisson_by_loops(x, alpha, a, b):
    rows = []
    for count in x:
        row = []
        for k in range(len(a)):
            score = digamma(alpha[k]) - digamma(sum(alpha))
            score += count * (digamma(a[k]) - math.log(b[k])) - a[k] / b[k]
            row.append(score - math.lgamma(count + 1))
        rows.append(list(softmax(row)))
    return rows


def _poisson_in_torch(x, alpha, a, b):
    x, alpha, a, b = (torch.as_tensor(v, dtype=torch.float64) for v in (x, alpha, a, b))
    score = torch.digamma(alpha) + torch.outer(x, torch.digamma(a) - torch.log(b)) - a / b
    return torch.softmax(score, dim=1)


def _poisson_linear(x, alpha, a, b):
    rho = np.exp(digamma(alpha) - a / b) * np.exp(digamma(a) - np.log(b)) ** x[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        rho = rho / np.exp(gammaln(x + 1.0))[:, None]
        return rho / rho.sum(axis=1, keepdims=True)


def _log_const(a):
    return gammaln(a.sum()) - gammaln(a).sum()


def _kl(a, b):
    return (a - b) @ (digamma(a) - digamma(a.sum())) + _log_const(a) - _log_const(b)


def _kl_by_sticks(a, b):
    """A Dirichlet is a chain of Betas, and the KL of a chain is a sum."""
    total = 0.0
    for k in range(len(a) - 1):
        p, q, r, s = a[k], a[k + 1 :].sum(), b[k], b[k + 1 :].sum()
        total += betaln(r, s) - betaln(p, q) + (p - r) * digamma(p) + (q - s) * digamma(q)
        total += (r - p + s - q) * digamma(p + q)
    return total


def _kl_by_torch(a, b):
    p, q = (torch.distributions.Dirichlet(torch.as_tensor(v)) for v in (a, b))
    return torch.distributions.kl_divergence(p, q)


def _kl_by_loop(a, b):
    total = math.lgamma(sum(a)) - math.lgamma(sum(b))
    for p, q in zip(a, b, strict=True):
        total += math.lgamma(q) - math.lgamma(p) + (p - q) * (digamma(p) - digamma(sum(a)))
    return total


def _elbo(x, m, v, a, b, m0, beta0, a0, b0):
    mean, log_mean, n = a / b, digamma(a) - np.log(b), len(x)
    total = 0.5 * n * (log_mean - np.log(2 * np.pi)) - 0.5 * mean * (((x - m) ** 2).sum() + n * v)
    total += 0.5 * (np.log(beta0) + log_mean - np.log(2 * np.pi))
    total -= 0.5 * beta0 * mean * ((m - m0) ** 2 + v)
    total += a0 * np.log(b0) - gammaln(a0) + (a0 - 1) * log_mean - b0 * mean
    total += 0.5 * np.log(2 * np.pi * np.e * v)
    return total + a - np.log(b) + gammaln(a) + (1 - a) * digamma(a)


def _elbo_by_kls(x, m, v, a, b, m0, beta0, a0, b0):
    mean, log_mean = a / b, digamma(a) - np.log(b)
    fit = (0.5 * (log_mean - np.log(2 * np.pi) - mean * ((x - m) ** 2 + v))).sum()
    kl_mu = 0.5 * (beta0 * mean * ((m - m0) ** 2 + v) - 1 - np.log(beta0 * v) - log_mean)
    kl_lam = (a - a0) * digamma(a) - gammaln(a) + gammaln(a0)
    kl_lam += a0 * (np.log(b) - np.log(b0)) + a * (b0 - b) / b
    return fit - kl_mu - kl_lam


def _elbo_by_scipy(x, m, v, a, b, m0, beta0, a0, b0):
    mean, log_mean = a / b, digamma(a) - np.log(b)
    total = stats.norm(m, np.sqrt(v)).entropy() + stats.gamma(a, scale=1 / b).entropy()
    for value, weight, centre in [(m0, beta0, m), *((xn, 1.0, m) for xn in x)]:
        total += 0.5 * (np.log(weight) + log_mean - np.log(2 * np.pi))
        total -= 0.5 * weight * mean * ((value - centre) ** 2 + v)
    total += a0 * np.log(b0) - gammaln(a0) + (a0 - 1) * log_mean - b0 * mean
    return torch.tensor(total)


def _elbo_without(which):
    def elbo(x, m, v, a, b, m0, beta0, a0, b0):
        value = _elbo(x, m, v, a, b, m0, beta0, a0, b0)
        lost = {
            "the variance in the fit": -0.5 * a / b * len(x) * v,
            "the variance in the prior": -0.5 * a / b * beta0 * v,
            "the constant of the prior": a0 * np.log(b0) - gammaln(a0),
            "2 pi": -0.5 * len(x) * np.log(2 * np.pi),
            "beta0": 0.5 * np.log(beta0),
            "the entropy of the Gamma": a - np.log(b) + gammaln(a) + (1 - a) * digamma(a),
        }
        return value - lost[which]

    return elbo


def _elbo_log_of_mean(x, m, v, a, b, m0, beta0, a0, b0):
    change = np.log(a / b) - (digamma(a) - np.log(b))
    return _elbo(x, m, v, a, b, m0, beta0, a0, b0) + change * (len(x) / 2 + 0.5 + a0 - 1)


def _svi(x, resp, m, v, total, rho, s0, *, scale=None, prior=True):
    scale = total / len(x) if scale is None else scale
    start = 1 / s0**2 if prior else 0.0
    precision = (1 - rho) / v + rho * (start + scale * resp.sum(axis=0))
    return ((1 - rho) * m / v + rho * scale * (resp.T @ x)) / precision, 1 / precision


def _svi_means_and_variances(x, resp, m, v, total, rho, s0):
    new_m, new_v = _svi(x, resp, m, v, total, 1.0, s0)
    return (1 - rho) * m + rho * new_m, (1 - rho) * v + rho * new_v


def _svi_by_loop(x, resp, m, v, total, rho, s0):
    out_m, out_v = [], []
    for k in range(len(m)):
        count = sum(resp[:, k]) * total / len(x)
        weighted = sum(r * value for r, value in zip(resp[:, k], x, strict=True)) * total / len(x)
        precision = (1 - rho) / v[k] + rho * (1 / s0**2 + count)
        out_v.append(1 / precision)
        out_m.append(((1 - rho) * m[k] / v[k] + rho * weighted) / precision)
    return out_m, out_v


def _svi_by_targets(x, resp, m, v, total, rho, s0):
    target_m, target_v = _svi(x, resp, m, v, total, 1.0, s0)
    precision = (1 - rho) / v + rho / target_v
    return [((1 - rho) * m / v + rho * target_m / target_v) / precision, 1 / precision]


EXERCISES = {
    "9.1": {
        "check": "check_poisson",
        "wrong": {
            "log of the mean rate": lambda *p: _poisson(*p, log_rate=lambda a, b: np.log(a / b)),
            "log E[pi]": lambda *p: _poisson(*p, log_pi=lambda c: np.log(c / c.sum())),
            "no weights": lambda *p: _poisson(*p, log_pi=lambda c: 0.0),
            "b not in the log": lambda *p: _poisson(*p, log_rate=lambda a, b: digamma(a)),
            "b is a scale": lambda *p: _poisson(*p, log_rate=lambda a, b: digamma(a) + np.log(b)),
            "no rate": lambda *p: _poisson(*p, rate=0.0),
            "sign of the rate": lambda *p: _poisson(*p, rate=-1.0),
            "wrong axis": lambda *p: _poisson(*p, axis=0),
            "underflows": _poisson_linear,
            "transposed": lambda *p: _poisson(*p).T,
            "log r": lambda *p: np.log(_poisson(*p) + 1e-300),
            "forgotten return": lambda *p: None,
        },
        "right": {
            "vectorised": _poisson,
            "by loops, as lists": _poisson_by_loops,
            "torch": _poisson_in_torch,
        },
    },
    "9.2": {
        "check": "check_kl_dirichlet",
        "wrong": {
            "without constants": lambda a, b: (a - b) @ (digamma(a) - digamma(a.sum())),
            "the other direction": lambda a, b: _kl(b, a),
            "wrong sign": lambda a, b: -_kl(a, b),
            "constants swapped": lambda a, b: _kl(a, b) + 2 * (_log_const(b) - _log_const(a)),
            "log of the mean": lambda a, b: (
                (a - b) @ np.log(a / a.sum()) + _log_const(a) - _log_const(b)
            ),
            "no digamma of the sum": lambda a, b: (
                (a - b) @ digamma(a) + _log_const(a) - _log_const(b)
            ),
            "in bits": lambda a, b: _kl(a, b) / np.log(2),
            "three components only": lambda a, b: _kl(a[:3], b[:3]),
            "as if categorical": lambda a, b: a / a.sum() @ np.log(a / a.sum() / (b / b.sum())),
            "forgotten return": lambda a, b: None,
        },
        "right": {
            "closed form": _kl,
            "a chain of Betas": _kl_by_sticks,
            "torch": _kl_by_torch,
            "by a loop": _kl_by_loop,
        },
    },
    "9.3": {
        "check": "check_shortfall",
        "wrong": {
            "log K!": lambda K, J: gammaln(K + 1),
            "log J!": lambda K, J: gammaln(J + 1),
            "log K choose J": lambda K, J: gammaln(K + 1) - gammaln(J + 1) - gammaln(K - J + 1),
            "log K": lambda K, J: np.log(K),
            "J log K": lambda K, J: J * np.log(K),
            "K log K": lambda K, J: K * np.log(K),
            "zero": lambda K, J: 0.0,
            "the number of namings": lambda K, J: math.perm(K, J),
            "wrong sign": lambda K, J: -math.log(math.perm(K, J)),
            "in bits": lambda K, J: math.log2(math.perm(K, J)),
            "forgotten return": lambda K, J: None,
        },
        "right": {
            "gammaln": lambda K, J: gammaln(K + 1) - gammaln(K - J + 1),
            "perm": lambda K, J: math.log(math.perm(K, J)),
            "a sum of logs": lambda K, J: sum(math.log(K - i) for i in range(J)),
            "rounded to 0.01": lambda K, J: round(math.log(math.perm(K, J)), 2),
        },
    },
    "9.4": {
        "check": "check_normal_gamma_elbo",
        "wrong": {
            **{
                f"without {which}": _elbo_without(which)
                for which in (
                    "the variance in the fit",
                    "the variance in the prior",
                    "the constant of the prior",
                    "2 pi",
                    "beta0",
                    "the entropy of the Gamma",
                )
            },
            "log of the mean": _elbo_log_of_mean,
            "v as a standard deviation": lambda x, m, v, *rest: _elbo(x, m, v**2, *rest),
            "wrong sign": lambda *p: -_elbo(*p),
            "per point": lambda x, *p: _elbo(x, *p) / len(x),
            "forgotten return": lambda *p: None,
        },
        "right": {
            "term by term": _elbo,
            "fit minus two KLs": _elbo_by_kls,
            "with scipy's entropies, a tensor": _elbo_by_scipy,
        },
    },
    "9.5": {
        "check": "check_svi_step",
        "wrong": {
            "no N / B": lambda *p: _svi(*p, scale=1.0),
            "B / N": lambda x, r, m, v, n, *p: _svi(x, r, m, v, n, *p, scale=len(x) / n),
            "no prior": lambda *p: _svi(*p, prior=False),
            "averages m and v themselves": _svi_means_and_variances,
            "old and new swapped": lambda x, r, m, v, n, rho, s0: _svi(x, r, m, v, n, 1 - rho, s0),
            "s0 as a variance": lambda x, r, m, v, n, rho, s0: _svi(x, r, m, v, n, rho, s0**0.5),
            "whole step": lambda x, r, m, v, n, rho, s0: _svi(x, r, m, v, n, 1.0, s0),
            "natural parameters": lambda *p: (_svi(*p)[0] / _svi(*p)[1], 1 / _svi(*p)[1]),
            "v first": lambda *p: _svi(*p)[::-1],
            "only m": lambda *p: _svi(*p)[0],
            "one row per component": lambda *p: np.stack(_svi(*p), axis=1),
            "m, v and rho": lambda *p: (*_svi(*p), p[5]),
            "forgotten return": lambda *p: None,
        },
        "right": {
            "vectorised": _svi,
            "by a loop, lists": _svi_by_loop,
            "average of natural targets": _svi_by_targets,
            "an array (2, K)": lambda *p: np.stack(_svi(*p)),
            "a tensor (2, K)": lambda *p: torch.tensor(np.stack(_svi(*p)), dtype=torch.float32),
        },
    },
}
