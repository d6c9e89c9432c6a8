"""Answers to the exercises of notebook 07: each wrong one is refused, each right one accepted."""

import numpy as np
import torch

from vi_helpers import mixture_em
from vi_helpers.mixture_em import GMMParams


def loop_weight(resp):
    total = 0.0
    for row in resp.tolist():
        total += row[0]
    return total / len(resp)


def gap(old, new):
    return (np.exp(old) * (old - new)).sum()


def gap_by_loop(old, new):
    total = 0.0
    for o, n in zip(old.ravel(), new.ravel(), strict=True):
        total += np.exp(o) * (o - n)
    return float(total)


def tied(X, log_resp):
    full = mixture_em.m_step(X, log_resp)
    shared = np.einsum("k,kij->ij", full.weights, full.covs)
    return GMMParams(full.weights, full.means, np.array([shared] * len(full.weights)))


def tied_by_law_of_total_variance(X, log_resp):
    full = mixture_em.m_step(X, log_resp)
    total = np.cov(X.T, bias=True)
    centred = full.means - full.weights @ full.means
    between = (centred.T * full.weights) @ centred
    K = len(full.weights)
    return GMMParams(full.weights, full.means, np.repeat((total - between)[None], K, axis=0))


def tied_by_loop(X, log_resp):
    resp = np.exp(log_resp)
    N, K = resp.shape
    means = [sum(resp[n, k] * X[n] for n in range(N)) / resp[:, k].sum() for k in range(K)]
    cov = sum(
        resp[n, k] * np.outer(X[n] - means[k], X[n] - means[k]) for n in range(N) for k in range(K)
    )
    return GMMParams(resp.mean(axis=0), np.array(means), np.array([cov / N] * K))


def tied_in_float32(X, log_resp):
    right = tied(X, log_resp)
    single = (np.float32(v) for v in (right.weights, right.means, right.covs))
    return GMMParams(*single)


def n_minus_k(X, log_resp):
    right = tied(X, log_resp)
    N, K = log_resp.shape
    return GMMParams(right.weights, right.means, right.covs * N / (N - K))


def with_covs(change):
    def answer(X, log_resp):
        full = mixture_em.m_step(X, log_resp)
        return GMMParams(full.weights, full.means, change(X, full, len(full.weights)))

    return answer


def equal_components(X, K, mean=None, cov=None, weights=None):
    mean = X.mean(axis=0) if mean is None else mean
    cov = np.atleast_2d(np.cov(X.T, bias=True)) if cov is None else cov
    weights = np.full(K, 1 / K) if weights is None else weights
    return GMMParams(weights, np.repeat(mean[None], K, 0), np.repeat(cov[None], K, 0))


def distinct_means(X, K):
    params = equal_components(X, K)
    return GMMParams(params.weights, params.means + np.arange(K)[:, None], params.covs)


def at_a_maximum(X, K):
    start = mixture_em.init_params(X, K, np.random.default_rng(0))
    return mixture_em.fit_em(X, start, max_iter=3000, tol=0).params


def poisson(x, resp):
    nk = resp.sum(axis=0)
    return nk / len(x), resp.T @ x / nk


def poisson_by_loop(x, resp):
    N, K = resp.shape
    counts = [sum(resp[n, k] for n in range(N)) for k in range(K)]
    rates = [sum(resp[n, k] * x[n] for n in range(N)) / counts[k] for k in range(K)]
    return [c / N for c in counts], rates


EXERCISES = {
    "7.1": {
        "check": "check_weight",
        "wrong": {
            "the old weight": lambda resp: 0.75,
            "hard counts": lambda resp: (resp[:, 0] > 0.5).mean(),
            "the other component": lambda resp: resp[:, 1].mean(),
            "the sum": lambda resp: resp[:, 0].sum(),
            "both weights": lambda resp: resp.mean(axis=0),
            "odds": lambda resp: resp[:, 0].sum() / resp[:, 1].sum(),
            "the median": lambda resp: np.median(resp[:, 0]) + 0.01,
            "hard-coded N": lambda resp: resp[:, 0].sum() / 30,
            "no return": lambda resp: None,
        },
        "right": {
            "mean": lambda resp: resp[:, 0].mean(),
            "a loop": loop_weight,
            "torch": lambda resp: torch.tensor(resp)[:, 0].mean(),
            "ratio of sums": lambda resp: resp[:, 0].sum() / resp.sum(),
        },
    },
    "7.2": {
        "check": "check_gap",
        "wrong": {
            "the other order": lambda old, new: gap(new, old),
            "zero": lambda old, new: 0.0,
            "the sign": lambda old, new: -gap(old, new),
            "the mean": lambda old, new: gap(old, new) / len(old),
            "a gap for each point": lambda old, new: (np.exp(old) * (old - new)).sum(axis=1),
            "unweighted": lambda old, new: (old - new).sum(),
            "new weights": lambda old, new: (np.exp(new) * (old - new)).sum(),
            "entropy only": lambda old, new: (np.exp(old) * old).sum(),
            "no return": lambda old, new: None,
        },
        "right": {
            "KL": gap,
            "a loop": gap_by_loop,
            "torch": lambda old, new: torch.nn.functional.kl_div(
                torch.tensor(new), torch.tensor(old), reduction="sum", log_target=True
            ),
        },
    },
    "7.3": {
        "check": "check_tied",
        "wrong": {
            "not tied": mixture_em.m_step,
            "the unweighted mean of the covariances": with_covs(
                lambda X, full, K: np.array([full.covs.mean(axis=0)] * K)
            ),
            "the covariance of all the data": with_covs(
                lambda X, full, K: np.array([np.cov(X.T, bias=True)] * K)
            ),
            "N - K": n_minus_k,
            "diagonal": with_covs(
                lambda X, full, K: np.array(
                    [np.diag(np.diag(np.einsum("k,kij->ij", full.weights, full.covs)))] * K
                )
            ),
            "equal weights": lambda X, log_resp: GMMParams(
                np.full(log_resp.shape[1], 1 / log_resp.shape[1]),
                tied(X, log_resp).means,
                tied(X, log_resp).covs,
            ),
            "one matrix only": lambda X, log_resp: tied(X, log_resp).covs[0],
            "a tuple": lambda X, log_resp: tuple(vars(tied(X, log_resp)).values()),
        },
        "right": {
            "weighted mean": tied,
            "total minus between": tied_by_law_of_total_variance,
            "float32": tied_in_float32,
            "a loop": tied_by_loop,
        },
    },
    "7.4": {
        "check": "check_stuck",
        "wrong": {
            "means at zero": lambda X, K: equal_components(X, K, mean=np.zeros(X.shape[1])),
            "unit covariances": lambda X, K: equal_components(X, K, cov=np.eye(X.shape[1])),
            "N - 1": lambda X, K: equal_components(X, K, cov=np.atleast_2d(np.cov(X.T))),
            "distinct means": distinct_means,
            "a maximum": at_a_maximum,
            "always two components": lambda X, K: equal_components(X, 2),
            "a usual start": lambda X, K: mixture_em.init_params(X, K, np.random.default_rng(1)),
            "a number": lambda X, K: 0.0,
        },
        "right": {
            "equal weights": equal_components,
            "other weights": lambda X, K: equal_components(
                X, K, weights=np.arange(1, K + 1) / np.arange(1, K + 1).sum()
            ),
            "by an M step from equal responsibilities": lambda X, K: mixture_em.m_step(
                X, np.full((len(X), K), -np.log(K))
            ),
        },
    },
    "7.5": {
        "check": "check_change",
        "wrong": {
            "nothing": lambda N, A: 0.0,
            "the sign": lambda N, A: N * np.log(abs(np.linalg.det(A))),
            "no modulus": lambda N, A: -N * np.log(np.linalg.det(A)),
            "one point": lambda N, A: -np.log(abs(np.linalg.det(A))),
            "the trace": lambda N, A: -N * np.log(abs(np.trace(A))),
            "the modulus of the logarithm": lambda N, A: -N * abs(np.log(abs(np.linalg.det(A)))),
            "twice": lambda N, A: -2 * N * np.log(abs(np.linalg.det(A))),
            "half, as if A were a covariance": lambda N, A: -N / 2 * np.log(abs(np.linalg.det(A))),
            "the diagonal": lambda N, A: -N * np.log(abs(np.diag(A))).sum(),
            "hard-coded N": lambda N, A: -40 * np.log(abs(np.linalg.det(A))),
        },
        "right": {
            "det": lambda N, A: -N * np.log(abs(np.linalg.det(A))),
            "slogdet": lambda N, A: -N * np.linalg.slogdet(A)[1],
            "singular values": lambda N, A: -N * np.log(np.linalg.svd(A)[1]).sum(),
            "torch": lambda N, A: -N * torch.tensor(A).det().abs().log(),
        },
    },
    "7.6": {
        "check": "check_poisson",
        "wrong": {
            "sums for rates": lambda x, resp: (resp.mean(axis=0), resp.T @ x),
            "means over all N": lambda x, resp: (resp.mean(axis=0), resp.T @ x / len(x)),
            "swapped": lambda x, resp: poisson(x, resp)[::-1],
            "counts for weights": lambda x, resp: (resp.sum(axis=0), poisson(x, resp)[1]),
            "equal weights": lambda x, resp: (
                np.full(resp.shape[1], 1 / resp.shape[1]),
                poisson(x, resp)[1],
            ),
            "one rate": lambda x, resp: (resp.mean(axis=0), np.full(resp.shape[1], x.mean())),
            "variances for rates": lambda x, resp: (
                resp.mean(axis=0),
                resp.T @ (x - x.mean()) ** 2 / resp.sum(axis=0),
            ),
            "geometric means": lambda x, resp: (
                resp.mean(axis=0),
                np.exp(resp.T @ np.log(x + 1) / resp.sum(axis=0)),
            ),
            "rates only": lambda x, resp: poisson(x, resp)[1],
        },
        "right": {
            "vectorised": poisson,
            "a loop": poisson_by_loop,
            "a list, in float32": lambda x, resp: [np.float32(v) for v in poisson(x, resp)],
            "torch": lambda x, resp: (
                torch.tensor(resp).mean(0),
                torch.tensor(resp).T @ torch.tensor(x, dtype=torch.float64) / resp.sum(0),
            ),
            "averages by numpy": lambda x, resp: (
                resp.mean(axis=0),
                np.array([np.average(x, weights=r) for r in resp.T]),
            ),
        },
    },
}
