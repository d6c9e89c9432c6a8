"""Answers to the exercises of notebook 10: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy import linalg, optimize

# 10.1 a rotation to the axes


def rotation(w):
    return np.linalg.eigh(w.T @ w)[1].T


def rotation_by_svd(w):
    return np.linalg.svd(w, full_matrices=False)[2]


def rotation_in_torch(w):
    return torch.linalg.eigh(torch.tensor(w.T @ w))[1].T


def whitening(w):
    values, vectors = np.linalg.eigh(w.T @ w)
    return (vectors / np.sqrt(values)).T


# 10.2 the linear encoder


def encoder(w, b, noise_var):
    precision = np.eye(w.shape[1]) + w.T @ w / noise_var
    slope = np.linalg.solve(precision, w.T) / noise_var
    return slope, -slope @ b, np.diag(precision) ** -0.5


def encoder_as_in_the_paper(w, b, noise_var):
    """Tipping and Bishop: M = WᵀW + σ²I."""
    inner = w.T @ w + noise_var * np.eye(w.shape[1])
    slope = linalg.inv(inner) @ w.T
    return slope, -slope @ b, np.sqrt(noise_var / np.diag(inner))


def encoder_by_joint_covariance(w, b, noise_var):
    slope = w.T @ np.linalg.inv(w @ w.T + noise_var * np.eye(len(w)))
    cov = np.eye(w.shape[1]) - slope @ w
    stds = 1 / np.sqrt(np.diag(np.linalg.inv(cov)))
    return torch.tensor(slope), (-slope @ b).tolist(), stds.astype(np.float32)


def changed(place, change):
    def answer(w, b, noise_var):
        parts = list(encoder(w, b, noise_var))
        parts[place] = change(parts[place], w, b, noise_var)
        return tuple(parts)

    return answer


def marginal_std(_, w, b, noise_var):
    return np.sqrt(np.diag(np.linalg.inv(np.eye(w.shape[1]) + w.T @ w / noise_var)))


# 10.3 semi-amortised inference


def refine(elbo_of, mean, log_std, steps=400, sign=1.0, copy=True, tuned=(True, True)):
    if copy:
        mean, log_std = mean.detach().clone(), log_std.detach().clone()
    parts = [p.requires_grad_() for p, on in zip((mean, log_std), tuned, strict=True) if on]
    optimizer = torch.optim.Adam(parts, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (-sign * elbo_of(mean, log_std).sum()).backward()
        optimizer.step()
    return mean.detach(), log_std.detach()


def refine_by_lbfgs(elbo_of, mean, log_std):
    mean, log_std = mean.clone().requires_grad_(), log_std.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([mean, log_std], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = -elbo_of(mean, log_std).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return [mean, log_std]


def refine_by_plain_ascent(elbo_of, mean, log_std):
    for _ in range(800):
        mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
        slopes = torch.autograd.grad(elbo_of(mean, log_std).sum(), (mean, log_std))
        mean, log_std = mean + 0.03 * slopes[0], log_std + 0.03 * slopes[1]
    return mean.detach().numpy(), log_std.detach().numpy()


def only_the_log_std_in_place(elbo_of, mean, log_std):
    mean = mean.clone().requires_grad_()
    log_std.requires_grad_()
    return refine(elbo_of, mean, log_std, copy=False)


def starts_at_random(elbo_of, mean, log_std):
    start = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    return refine(elbo_of, start.double(), log_std)


def only_the_first_datum(elbo_of, mean, log_std):
    new_mean, new_log_std = refine(elbo_of, mean, log_std)
    out = mean.clone(), log_std.clone()
    out[0][0], out[1][0] = new_mean[0], new_log_std[0]
    return out


# 10.4 humps


def entropy(w):
    return -(w * np.log(w)).sum()


# 10.5 one variance


def isotropic(precision):
    dim, trace = len(precision), np.trace(precision)
    return dim / trace, 0.5 * (dim * np.log(trace / dim) - np.linalg.slogdet(precision)[1])


def isotropic_by_search(precision):
    dim = len(precision)
    log_det = np.linalg.slogdet(precision)[1]

    def kl(log_s2):
        scaled = math.exp(log_s2) * np.trace(precision)
        return 0.5 * (scaled - dim - dim * log_s2 - log_det)

    found = optimize.minimize_scalar(kl, bracket=(-3, 1))
    return [math.exp(found.x), found.fun]


def isotropic_by_eigenvalues(precision):
    values = torch.linalg.eigvalsh(torch.tensor(precision))
    mean = values.mean()
    return 1 / mean, 0.5 * (len(values) * mean.log() - values.log().sum())


def factorised_gap(precision):
    return 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])


EXERCISES = {
    "10.1": {
        "check": "check_rotation",
        "wrong": {
            "transposed": lambda w: rotation(w).T,
            "whitening": whitening,
            "identity": lambda w: np.eye(w.shape[1]),
            "not turned, only scaled": lambda w: np.diag(1 / np.linalg.norm(w, axis=0)),
            "axes of the pixels": lambda w: np.linalg.eigh(w @ w.T)[1].T,
            "the new weights": lambda w: w @ rotation(w).T,
            "a turn by 45 degrees": lambda w: np.array([[1, -1], [1, 1]]) / np.sqrt(2),
            "axes of the centred weights": lambda w: np.linalg.eigh(np.cov(w.T))[1].T,
            "axes of the correlations": lambda w: np.linalg.eigh(np.corrcoef(w.T))[1].T,
            "orthogonal, but not the axes": lambda w: np.linalg.qr(w.T @ w)[0].T,
            "forgotten return": lambda w: None,
            "eigenvalues": lambda w: np.linalg.eigh(w.T @ w)[0],
        },
        "right": {
            "eigenvectors": rotation,
            "singular vectors": rotation_by_svd,
            "torch": rotation_in_torch,
            "a reflection, as a list": lambda w: (-rotation(w)[::-1]).tolist(),
            "float32": lambda w: rotation(w).astype(np.float32),
        },
    },
    "10.2": {
        "check": "check_encoder",
        "wrong": {
            "exact marginal stds": changed(2, marginal_std),
            "variances for stds": changed(2, lambda s, *_: s**2),
            "log stds": changed(2, lambda s, *_: np.log(s)),
            "transposed": changed(0, lambda a, *_: a.T),
            "bias not subtracted": changed(1, lambda a, *_: 0 * a),
            "bias added": changed(1, lambda a, *_: -a),
            "bias not mapped": changed(1, lambda a, w, b, _: -b[: len(a)]),
            "projection": changed(0, lambda a, w, *_: np.linalg.pinv(w)),
            "sigma for its square": lambda w, b, v: encoder(w, b, v**0.5),
            "prior forgotten": lambda w, b, v: (
                *encoder(w, b, v)[:2],
                np.diag(w.T @ w / v) ** -0.5,
            ),
            "a pair": lambda w, b, v: encoder(w, b, v)[:2],
            "one std for all": changed(2, lambda s, *_: np.full(len(s), np.mean(s**-2) ** -0.5)),
            "slope without the prior": changed(0, lambda a, w, *_: np.linalg.solve(w.T @ w, w.T)),
            "slope not divided by the noise": changed(0, lambda a, w, b, v: a * v),
            "a noise of its own": lambda w, b, v: encoder(w, b, 0.5),
            "a matrix of stds": changed(2, lambda s, *_: np.diag(s)),
            "forgotten return": lambda w, b, v: None,
        },
        "right": {
            "by the precision": encoder,
            "as in the paper": encoder_as_in_the_paper,
            "by the joint covariance, mixed types": encoder_by_joint_covariance,
        },
    },
    "10.3": {
        "check": "check_refine",
        "wrong": {
            "unchanged": lambda elbo_of, mean, log_std: (mean, log_std),
            "downhill": lambda *given: refine(*given, steps=30, sign=-1.0),
            "too few steps": lambda *given: refine(*given, steps=10),
            "the mean only": lambda *given: refine(*given, tuned=(True, False)),
            "the log std only": lambda *given: refine(*given, tuned=(False, True)),
            "both in place": lambda *given: refine(*given, copy=False),
            "the log std in place": only_the_log_std_in_place,
            "the first datum only": only_the_first_datum,
            "swapped": lambda *given: refine(*given)[::-1],
            "std for log std": lambda *given: (refine(*given)[0], torch.exp(refine(*given)[1])),
            "starts at zero": lambda elbo_of, mean, log_std: refine(elbo_of, 0 * mean, log_std),
            "starts at the prior": lambda elbo_of, mean, log_std: refine(
                elbo_of, 0 * mean, 0 * log_std
            ),
            "starts at random": starts_at_random,
            "starts at the mean over the data": lambda elbo_of, mean, log_std: refine(
                elbo_of, mean.mean(0).expand_as(mean), log_std
            ),
            "starts at the mirror image": lambda elbo_of, mean, log_std: refine(
                elbo_of, -mean, log_std
            ),
            "forgotten return": lambda *given: None,
        },
        "right": {
            "Adam": refine,
            "L-BFGS, a list of tensors": refine_by_lbfgs,
            "plain ascent, arrays": refine_by_plain_ascent,
        },
    },
    "10.4": {
        "check": "check_humps",
        "wrong": {
            "log 2": lambda w: np.log(2),
            "log of the count": lambda w: np.log(len(w)),
            "the lightest hump": lambda w: -np.log(np.min(w)),
            "sign": lambda w: np.log(np.max(w)),
            "the entropy": entropy,
            "the missed mass": lambda w: 1 - np.max(w),
            "log of the missed mass": lambda w: -np.log(1 - np.max(w)),
            "for each hump": lambda w: -np.log(w),
            "the first hump": lambda w: -np.log(w[0]),
            "the second heaviest": lambda w: -np.log(np.sort(w)[-2]),
            "the last hump": lambda w: -np.log(w[-1]),
            "half": lambda w: -0.5 * np.log(np.max(w)),
            "bits": lambda w: -np.log2(np.max(w)),
            "mean over the humps": lambda w: -np.log(w).mean(),
            "collision entropy": lambda w: -np.log((w**2).sum()),
            "forgotten return": lambda w: None,
        },
        "right": {
            "numpy": lambda w: -np.log(np.max(w)),
            "a loop": lambda w: min(-math.log(value) for value in w),
            "torch": lambda w: -torch.tensor(w, dtype=torch.float32).max().log(),
            "by the inverse": lambda w: np.log(1 / w).min(keepdims=False),
        },
    },
    "10.5": {
        "check": "check_isotropic",
        "wrong": {
            "mean of the variances": lambda p: (np.mean(1 / np.diag(p)), isotropic(p)[1]),
            "mean of the marginal variances": lambda p: (
                np.trace(np.linalg.inv(p)) / len(p),
                isotropic(p)[1],
            ),
            "gap of the larger family": lambda p: (isotropic(p)[0], factorised_gap(p)),
            "no half": lambda p: (isotropic(p)[0], 2 * isotropic(p)[1]),
            "two dimensions only": lambda p: (2 / np.trace(p), isotropic(p)[1]),
            "three dimensions only": lambda p: (3 / np.trace(p), isotropic(p)[1]),
            "the precision": lambda p: (1 / isotropic(p)[0], isotropic(p)[1]),
            "the standard deviation": lambda p: (isotropic(p)[0] ** 0.5, isotropic(p)[1]),
            "sign of the determinant": lambda p: (
                isotropic(p)[0],
                isotropic(p)[1] + np.linalg.slogdet(p)[1],
            ),
            "the variance only": lambda p: isotropic(p)[0],
            "geometric mean": lambda p: (
                np.exp(-np.linalg.slogdet(p)[1] / len(p)),
                isotropic(p)[1],
            ),
            "no gap": lambda p: (isotropic(p)[0], 0.0),
            "gap of the prior's variance": lambda p: (
                isotropic(p)[0],
                0.5 * (np.trace(p) - len(p) - np.linalg.slogdet(p)[1]),
            ),
            "swapped": lambda p: isotropic(p)[::-1],
            "forgotten return": lambda p: None,
        },
        "right": {
            "closed form": isotropic,
            "by search, a list": isotropic_by_search,
            "torch, by eigenvalues": isotropic_by_eigenvalues,
        },
    },
}
