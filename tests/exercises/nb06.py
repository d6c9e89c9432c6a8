"""Answers to the exercises of notebook 06: each wrong one is refused, each right one accepted."""

import numpy as np
import torch
from scipy.special import softmax


def leave_one_out_by_loop(f, score):
    total = 0.0
    for i in range(len(f)):
        total = total + (f[i] - np.mean(np.delete(f, i))) * score[i]
    return total / len(f)


def leave_one_out_in_torch(f, score):
    f, score = torch.tensor(f), torch.tensor(score)
    others = (f.sum() - f) / (len(f) - 1)
    return ((f - others)[:, None] * score).mean(0)


def minibatch_by_loop(log_prior, log_lik, num_rows):
    answers = []
    for prior, row in zip(log_prior, log_lik, strict=True):
        answers.append(prior + num_rows * sum(row) / len(row))
    return answers


def corrected_in_log_space(log_w, values):
    w = np.exp(log_w - np.logaddexp.reduce(log_w))
    return [float(sum(w * column)) for column in values.T]


def overflowing(log_w, values):
    with np.errstate(all="ignore"):
        return np.exp(log_w) @ values / np.exp(log_w).sum()


EXERCISES = {
    "6.1": {
        "check": "check_leave_one_out",
        "wrong": {
            "no baseline": lambda f, score: f @ score / len(f),
            "the mean of all, divided by S": lambda f, score: (f - f.mean()) @ score / len(f),
            "a sum, not a mean": lambda f, score: len(f) * leave_one_out_by_loop(f, score),
            "sign": lambda f, score: -leave_one_out_by_loop(f, score),
            "the others' sum, not their mean": lambda f, score: (
                (f - (f.sum() - f)) @ score / len(f)
            ),
            "the others divided by S": lambda f, score: (
                (f - (f.sum() - f) / len(f)) @ score / len(f)
            ),
            "scores centred, f not, divided by S": lambda f, score: (
                f @ (score - score.mean(axis=0)) / len(f)
            ),
            "one number": lambda f, score: float(leave_one_out_by_loop(f, score).sum()),
            "the wrong axis": lambda f, score: (f[:, None] * score).mean(axis=1),
            "no return": lambda f, score: None,
        },
        "right": {
            "loop": leave_one_out_by_loop,
            "covariance": lambda f, score: (f - f.mean()) @ score / (len(f) - 1),
            "np.cov": lambda f, score: np.cov(np.column_stack([f, score]).T)[0, 1:],
            "torch": leave_one_out_in_torch,
            "list": lambda f, score: leave_one_out_by_loop(f, score).tolist(),
        },
    },
    "6.2": {
        "check": "check_weibull_path",
        "wrong": {
            "rows swapped": lambda z, k, s: np.stack([z / s, -z * np.log(z / s) / k]),
            "sign": lambda z, k, s: np.stack([z * np.log(z / s) / k, z / s]),
            "divided by the square": lambda z, k, s: np.stack([-z * np.log(z / s) / k**2, z / s]),
            "not divided": lambda z, k, s: np.stack([-z * np.log(z / s), z / s]),
            "scale forgotten": lambda z, k, s: np.stack([-z * np.log(z) / k, z / s]),
            "gradient of log z": lambda z, k, s: np.stack([-np.log(z / s) / k, 1 / s + 0 * z]),
            "the score": lambda z, k, s: np.stack(
                [1 / k + np.log(z / s) * (1 - (z / s) ** k), k / s * ((z / s) ** k - 1)]
            ),
            "columns": lambda z, k, s: np.stack([-z * np.log(z / s) / k, z / s], axis=1),
            "one row": lambda z, k, s: z / s,
            "no return": lambda z, k, s: None,
        },
        "right": {
            "vectorised": lambda z, k, s: np.stack([-z * np.log(z / s) / k, z / s]),
            "lists": lambda z, k, s: [[-v * np.log(v / s) / k for v in z], [v / s for v in z]],
            "a tuple of arrays": lambda z, k, s: (z / k * np.log(s / z), z / s),
            "through the exponential noise": lambda z, k, s: np.array(
                [-s * (z / s) * np.log((z / s) ** k) / k**2, ((z / s) ** k) ** (1 / k)]
            ),
        },
    },
    "6.3": {
        "check": "check_minibatch",
        "wrong": {
            "no factor": lambda prior, lik, n: prior + lik.sum(axis=1),
            "the prior scaled too": lambda prior, lik, n: (
                n / lik.shape[1] * (prior + lik.sum(axis=1))
            ),
            "a mean": lambda prior, lik, n: prior + lik.mean(axis=1),
            "B over N": lambda prior, lik, n: prior + lik.shape[1] / n * lik.sum(axis=1),
            "N times the sum": lambda prior, lik, n: prior + n * lik.sum(axis=1),
            "S for B": lambda prior, lik, n: prior + n / len(lik) * lik.sum(axis=1),
            "the prior in each row": lambda prior, lik, n: (
                n / lik.shape[1] * (prior[:, None] + lik).sum(axis=1)
            ),
            "a fixed batch of four": lambda prior, lik, n: prior + n / 4 * lik.sum(axis=1),
            "the wrong axis": lambda prior, lik, n: prior + n / lik.shape[1] * lik.sum(axis=0),
            "one number": lambda prior, lik, n: float((prior + n * lik.mean(axis=1)).sum()),
            "no prior": lambda prior, lik, n: n * lik.mean(axis=1),
            "whole batches only": lambda prior, lik, n: prior + n // lik.shape[1] * lik.sum(axis=1),
            "no return": lambda prior, lik, n: None,
        },
        "right": {
            "vectorised": lambda prior, lik, n: prior + n * lik.mean(axis=1),
            "loop and list": minibatch_by_loop,
            "einsum": lambda prior, lik, n: prior + np.einsum("sb->s", lik) * (n / lik.shape[1]),
            "torch": lambda prior, lik, n: torch.tensor(prior) + n * torch.tensor(lik).mean(1),
        },
    },
    "6.4": {
        "check": "check_exponential_k",
        "wrong": {
            "the ratio": lambda a, b: a / b,
            "the other ratio": lambda a, b: 1 - b / a,
            "the difference": lambda a, b: b - a,
            "the reciprocal": lambda a, b: b / (b - a),
            "sign": lambda a, b: a / b - 1,
            "square as for normals": lambda a, b: 1 - (a / b) ** 2,
            "the constant threshold": lambda a, b: 0.5,
            "tail under p": lambda a, b: (b - a) / a,
            "an array": lambda a, b: np.array([1 - a / b, 0.0]),
            "no return": lambda a, b: None,
        },
        "right": {
            "formula": lambda a, b: 1 - a / b,
            "one fraction": lambda a, b: (b - a) / b,
            "float of numpy": lambda a, b: np.float64((b - a) / b),
            "torch": lambda a, b: torch.tensor(1.0, dtype=torch.float64) - a / b,
        },
    },
    "6.5": {
        "check": "check_corrected",
        "wrong": {
            "plain mean": lambda log_w, v: v.mean(axis=0),
            "not normalised": lambda log_w, v: np.exp(log_w - log_w.max()) @ v / len(v),
            "overflows": overflowing,
            "minus the mean": lambda log_w, v: overflowing(log_w - log_w.mean(), v),
            "minus the first": lambda log_w, v: overflowing(log_w - log_w[0], v),
            "minus the smallest": lambda log_w, v: overflowing(log_w - log_w.min(), v),
            "the log weights as weights": lambda log_w, v: log_w @ v / log_w.sum(),
            "only the largest": lambda log_w, v: v[np.argmax(log_w)],
            "weights inverted": lambda log_w, v: softmax(-log_w) @ v,
            "squared weights": lambda log_w, v: softmax(2 * log_w) @ v,
            "summed over the columns": lambda log_w, v: float((softmax(log_w) @ v).sum()),
            "one value for each draw": lambda log_w, v: softmax(log_w)[:, None] * v,
            "no return": lambda log_w, v: None,
        },
        "right": {
            "softmax": lambda log_w, v: softmax(log_w) @ v,
            "log space and a list": corrected_in_log_space,
            "np.average": lambda log_w, v: np.average(v, axis=0, weights=softmax(log_w)),
            "torch": lambda log_w, v: torch.tensor(log_w).softmax(0) @ torch.tensor(v),
        },
    },
}
