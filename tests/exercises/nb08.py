"""Answers to the exercises of notebook 08: each wrong one is refused, each right one accepted."""

from itertools import product

import numpy as np
import torch
from scipy.special import entr, expit, logit, logsumexp, softmax

from vi_helpers import latent_features as lf


def _update(x, params, lam, k, *, half=0.5, own=False, prior=True, noise=None, sign=1):
    w = params.weights[:, k]
    others = params.weights @ lam - (0 if own else w * lam[k])
    noise = params.noise_var if noise is None else noise(params)
    start = logit(params.pi[k]) if prior else 0.0
    return expit(start + sign * ((x - others) @ w - half * w @ w) / noise)


def _update_by_loops(x, params, lam, k):
    score = 0.0
    for d in range(len(x)):
        left = x[d] - sum(params.weights[d, j] * lam[j] for j in range(len(lam)) if j != k)
        score += params.weights[d, k] * left - params.weights[d, k] ** 2 / 2
    odds = params.pi[k] / (1 - params.pi[k]) * np.exp(score / params.noise_var)
    return [odds / (1 + odds)][0]


def _update_by_table(x, params, lam, k):
    states = lf.all_states(len(lam))
    q = np.delete(np.where(states == 1, lam, 1 - lam), k, axis=1).prod(axis=1)
    scores = [
        q[states[:, k] == z] @ lf.log_joint_table(x[None], states, params)[0][states[:, k] == z]
        for z in (0, 1)
    ]
    return softmax(scores)[1]


def _update_in_place(x, params, lam, k):
    lam[k] = _update(x, params, lam, k)
    return lam[k]


def _update_all(x, params, lam, k):
    lam = lam.copy()
    lam[k] = _update(x, params, lam, k)
    return lam


def _tempered(table, tau):
    scaled = tau * table
    return np.exp(scaled - logsumexp(scaled, axis=1, keepdims=True))


def _tempered_by_rows(table, tau):
    rows = []
    for row in table:
        powers = [np.exp(tau * (value - max(row))) for value in row]
        rows.append([p / sum(powers) for p in powers])
    return rows


def _half_em(X, params, *, q=None, bias=True, second=True, transposed=False):
    q = lf.e_step_exact(X, params) if q is None else q(X, params)
    centred = X - params.bias if bias else X
    if second:
        weights = np.linalg.solve(q.second.sum(axis=0), q.mean.T @ centred).T
    else:
        weights = np.linalg.lstsq(q.mean, centred, rcond=None)[0].T
    weights = weights.T if transposed else weights
    return lf.LatentParams(params.pi, weights, params.bias, params.noise_var)


def _half_em_by_rows(X, params):
    q = lf.e_step_exact(X, params)
    total = sum(q.second)
    rows = []
    for d in range(X.shape[1]):
        rows.append(np.linalg.lstsq(total, q.mean.T @ (X[:, d] - params.bias[d]), rcond=None)[0])
    return lf.LatentParams(params.pi, np.array(rows), params.bias, params.noise_var)


def _half_em_by_inverse(X, params):
    q = lf.e_step_exact(X, params)
    cross = np.einsum("nd,nk->dk", X - params.bias, q.mean)
    weights = cross @ np.linalg.inv(np.einsum("nij->ij", q.second))
    return lf.LatentParams(params.pi, weights, params.bias, params.noise_var)


def _half_em_moves_the_noise(X, params):
    new = _half_em(X, params)
    noise_var = lf.m_step(X, lf.e_step_exact(X, params)).noise_var
    return lf.LatentParams(new.pi, new.weights, new.bias, noise_var)


def _part(x, pictures, prior, noise_var, lam, j, *, half=0.5, own=False, with_prior=True, sign=1):
    averages = np.einsum("jm,jmd->jd", lam, pictures)
    left = x - averages.sum(axis=0) + (0 if own else averages[j])
    fit = pictures[j] @ left - half * (pictures[j] ** 2).sum(axis=1)
    return softmax((np.log(prior[j]) if with_prior else 0) + sign * fit / noise_var)


def _part_by_states(x, pictures, prior, noise_var, lam, j):
    scores = []
    for m in range(lam.shape[1]):
        total = 0.0
        for state in product(*[range(lam.shape[1])] * len(lam)):
            if state[j] == m:
                q = np.prod([lam[i, s] for i, s in enumerate(state) if i != j])
                centre = sum(pictures[i, s] for i, s in enumerate(state))
                total += q * (np.log(prior[j, m]) - ((x - centre) ** 2).sum() / (2 * noise_var))
        scores.append(total)
    return list(softmax(scores))


def _part_by_squares(x, pictures, prior, noise_var, lam, j):
    left = x - sum(lam[i] @ pictures[i] for i in range(len(lam)) if i != j)
    weights = prior[j] * np.exp(-((left - pictures[j]) ** 2).sum(axis=1) / (2 * noise_var))
    return weights / weights.sum()


def _part_in_torch(x, pictures, prior, noise_var, lam, j):
    return torch.from_numpy(_part(x, pictures, prior, noise_var, lam, j))


def _part_unnormalised(x, pictures, prior, noise_var, lam, j):
    left = x - sum(lam[i] @ pictures[i] for i in range(len(lam)) if i != j)
    return prior[j] * np.exp(-((left - pictures[j]) ** 2).sum(axis=1) / (2 * noise_var))


def _part_hard(x, pictures, prior, noise_var, lam, j):
    return _part(x, pictures, prior, noise_var, np.eye(lam.shape[1])[lam.argmax(axis=1)], j)


def _part_all(x, pictures, prior, noise_var, lam, j):
    lam = lam.copy()
    lam[j] = _part(x, pictures, prior, noise_var, lam, j)
    return lam


def _q(states, lam):
    return np.prod(np.where(states == 1, lam, 1 - lam), axis=1)


def _gap(log_joint, states, lam):
    entropy = (entr(lam) + entr(1 - lam)).sum()
    return logsumexp(log_joint) - _q(states, lam) @ log_joint - entropy


def _gap_by_states(log_joint, states, lam):
    q = _q(states, lam)
    on = q > 0
    return np.float32(q[on] @ (np.log(q[on]) - log_joint[on] + logsumexp(log_joint)))


def _gap_by_loop(log_joint, states, lam):
    total = logsumexp(log_joint)
    for state, value in zip(states, log_joint, strict=True):
        q = 1.0
        for z, p in zip(state, lam, strict=True):
            q *= p if z else 1 - p
        if q:
            total += q * (np.log(q) - value)
    return total


def _gap_nan(log_joint, states, lam):
    q = _q(states, lam)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (q * (np.log(q) - log_joint)).sum() + logsumexp(log_joint)


def _gap_of_likely_states(log_joint, states, lam):
    q = _q(states, lam)
    on = q > 1e-3
    return logsumexp(log_joint) + q[on] @ (np.log(q[on]) - log_joint[on])


def _other_way(log_joint, states, lam):
    p, q = softmax(log_joint), np.maximum(_q(states, lam), 1e-12)
    return (p * (np.log(p) - np.log(q))).sum()


EXERCISES = {
    "8.1": {
        "check": "check_update",
        "wrong": {
            "the whole square": lambda *a: _update(*a, half=1.0),
            "no square": lambda *a: _update(*a, half=0.0),
            "keeps its own share": lambda *a: _update(*a, own=True),
            "no prior": lambda *a: _update(*a, prior=False),
            "sigma, not its square": lambda *a: _update(*a, noise=lambda p: p.noise_var**0.5),
            "no noise": lambda *a: _update(*a, noise=lambda p: 1.0),
            "wrong sign": lambda *a: _update(*a, sign=-1),
            "a logit, not a probability": lambda *a: logit(_update(*a)),
            "all means": _update_all,
            "changes lam": _update_in_place,
            "forgotten return": lambda *a: None,
            "three factors only": lambda x, params, lam, k: (
                _update(x, params, lam, k) if len(lam) == 3 else 0.5
            ),
        },
        "right": {
            "vectorised": _update,
            "by loops and odds": _update_by_loops,
            "by the table of states": _update_by_table,
            "a tensor": lambda *a: torch.tensor(_update(*a)),
        },
    },
    "8.2": {
        "check": "check_tempered",
        "wrong": {
            "tau squared": lambda t, tau: _tempered(t, tau**2),
            "tau cubed": lambda t, tau: _tempered(t, tau**3),
            "one over tau": lambda t, tau: _tempered(t, 1 / tau if tau else 0.0),
            "tau ignored": lambda t, tau: _tempered(t, 1.0),
            "normalised over all": lambda t, tau: np.exp(tau * t - logsumexp(tau * t)),
            "normalised over the wrong axis": lambda t, tau: softmax(tau * t, axis=0),
            "linear space": lambda t, tau: (
                np.exp(t) ** tau / np.maximum((np.exp(t) ** tau).sum(axis=1, keepdims=True), 1e-300)
            ),
            "log q": lambda t, tau: np.log(_tempered(t, tau) + 1e-300),
            "not normalised": lambda t, tau: np.exp(tau * (t - t.max(axis=1, keepdims=True))),
            "power after normalising only": lambda t, tau: _tempered(t, 1.0) ** tau,
            "forgotten return": lambda t, tau: None,
        },
        "right": {
            "logsumexp": _tempered,
            "softmax": lambda t, tau: softmax(tau * t, axis=1),
            "rows, as lists": _tempered_by_rows,
            "torch": lambda t, tau: torch.softmax(tau * torch.from_numpy(t), dim=1),
        },
    },
    "8.3": {
        "check": "check_half_em",
        "wrong": {
            "without second moments": lambda X, p: _half_em(X, p, second=False),
            "the whole M step": lambda X, p: lf.m_step(X, lf.e_step_exact(X, p), learn_bias=True),
            "bias forgotten": lambda X, p: _half_em(X, p, bias=False),
            "transposed": lambda X, p: _half_em(X, p, transposed=True),
            "hard E step": lambda X, p: _half_em(X, p, q=lf.e_step_hard),
            "mean-field E step": lambda X, p: _half_em(X, p, q=lf.e_step_mean_field),
            "noise moved too": _half_em_moves_the_noise,
            "nothing done": lambda X, p: p,
            "only the array": lambda X, p: _half_em(X, p).weights,
            "forgotten return": lambda X, p: None,
        },
        "right": {
            "solve": _half_em,
            "row by row": _half_em_by_rows,
            "inverse and einsum": _half_em_by_inverse,
        },
    },
    "8.4": {
        "check": "check_part",
        "wrong": {
            "the whole square": lambda *a: _part(*a, half=1.0),
            "no square": lambda *a: _part(*a, half=0.0),
            "keeps its own share": lambda *a: _part(*a, own=True),
            "no prior": lambda *a: _part(*a, with_prior=False),
            "wrong sign": lambda *a: _part(*a, sign=-1),
            "sigma, not its square": lambda x, w, p, v, lam, j: _part(x, w, p, v**0.5, lam, j),
            "not normalised": _part_unnormalised,
            "others at their most probable": _part_hard,
            "all parts": _part_all,
            "two settings only": lambda *a: _part(*a)[:2],
            "forgotten return": lambda *a: None,
        },
        "right": {
            "vectorised": _part,
            "by all states, a list": _part_by_states,
            "squared distances": _part_by_squares,
            "a tensor": _part_in_torch,
        },
    },
    "8.5": {
        "check": "check_gap",
        "wrong": {
            "the other direction": _other_way,
            "wrong sign": lambda *a: -_gap(*a),
            "the bound itself": lambda j, s, lam: logsumexp(j) - _gap(j, s, lam),
            "not normalised": lambda j, s, lam: _gap(j, s, lam) - logsumexp(j),
            "no entropy": lambda j, s, lam: logsumexp(j) - _q(s, lam) @ j,
            "in bits": lambda *a: _gap(*a) / np.log(2),
            "entropy of ones only": lambda j, s, lam: (
                logsumexp(j) - _q(s, lam) @ j - entr(lam).sum()
            ),
            "0 log 0 is NaN": _gap_nan,
            "rare states dropped": _gap_of_likely_states,
            "means clipped": lambda j, s, lam: _gap(j, s, np.clip(lam, 0.02, 0.98)),
            "per state": lambda j, s, lam: np.full(len(j), _gap(j, s, lam)),
            "forgotten return": lambda *a: None,
        },
        "right": {
            "evidence minus bound": _gap,
            "over the states, float32": _gap_by_states,
            "by a loop": _gap_by_loop,
        },
    },
}
