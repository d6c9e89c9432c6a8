"""A q of its own for each image: normals improved by gradients, and importance weights from them.

What is known about an image enters as log_lik, a function of z (..., B, K) that returns (..., B)
in nats, one column for each image; so whole, damaged and half-hidden images are treated alike.
A q is a pair mean (..., B, K), scale (..., B, K, K): N(mean, scale scale^T), scale lower
triangular. A prior is a pair mean, log_std that broadcasts against (B, K).
"""

import math

import torch

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero
from vi_helpers.densities import LOG_2PI
from vi_helpers.vae._inputs import draw_noise
from vi_helpers.vae.training import Adam

ROWS_AT_ONCE = 2000  # values of z given to log_lik at once: what the caches hold


def normal_q(mean, log_std):
    """The q with independent coordinates, as encode returns them: mean, log_std (..., B, K)."""
    mean, log_std = _tensors("mean, log_std", (mean, log_std))
    if mean.shape != log_std.shape:
        raise ValueError(f"log_std must have mean's shape {mean.shape}, got {log_std.shape}")
    if not torch.isfinite(torch.exp(log_std)).all():
        raise ValueError(f"log_std must have a finite exp, got {log_std.max().item():g}")
    return _diagonal(mean, log_std)


def _diagonal(mean, log_std):
    return mean, torch.diag_embed(torch.exp(log_std))


def elbo_of_q(log_lik, q, prior, num_samples, generator=None):
    """E_q[log_lik(z)] - KL(q || prior), (..., B) in nats; the first term from num_samples draws."""
    num_samples = validation.integer("num_samples", num_samples)
    q, prior = _normal("q", q), _tensors("prior", prior)
    eps = draw_noise((num_samples, *q[0].shape), q[0], or_seed_zero(generator))
    return _elbo(log_lik, q, prior, eps)


def refine_q(
    log_lik, start, prior, *, full=False, num_steps=120, lr=0.05, num_pairs=1, generator=None
):  # fmt: skip
    """Climb elbo_of_q from start, a pair mean, log_std, each (..., B, K); returns the q at the end.

    full      : let scale have entries below its diagonal; start may then be a q, otherwise they
                start at zero
    num_pairs : antithetic pairs of draws for one gradient
    Adam, lr falling to nearly zero. Every column and every
    leading index is a fit of its own, so several starts go side by side. log_lik must be
    differentiable in z.
    """
    generator, full = or_seed_zero(generator), validation.flag("full", full)
    start, prior = _tensors("start", start), _tensors("prior", prior)
    if full and start[1].ndim > start[0].ndim:
        mean, scale = _normal("start", start)
        parts = [mean.clone(), scale.diagonal(dim1=-2, dim2=-1).log(), scale.tril(-1)]
    else:
        normal_q(*start)
        parts = [start[0].clone(), start[1].clone()]
        if full:
            parts.append(start[0].new_zeros(*start[0].shape, start[0].shape[-1]))
    parts = [part.contiguous().requires_grad_() for part in parts]
    optimizer, lr = Adam(parts), validation.positive_number("lr", lr)
    num_steps = validation.integer("num_steps", num_steps)
    shape = (validation.integer("num_pairs", num_pairs), *start[0].shape)
    for step in range(num_steps):
        eps = draw_noise(shape, start[0], generator)
        loss = -_elbo(log_lik, _assemble(*parts), prior, torch.cat([eps, -eps])).sum()
        optimizer.descend(loss, lr * (0.02 + 0.98 * (1 - step / num_steps)))
    return tuple(part.detach() for part in _assemble(*parts))


def laplace_q(log_lik, mean, prior):
    """The q at mean whose precision is minus the Hessian of log prior + log_lik there.

    mean : (..., B, K). At a mode this is Laplace's approximation. Directions in which log_lik
    curves upwards count as flat, so no variance exceeds the prior's. log_lik must be twice
    differentiable in z.
    """
    prior = _tensors("prior", prior)
    mean, _ = _tensors("mean", (mean, mean))
    if mean.ndim < 2:
        raise ValueError(f"mean must be (..., B, K), got {tuple(mean.shape)}")
    z = mean.detach().clone().requires_grad_()
    with torch.enable_grad():  # 0 * z: a log_lik that is linear in z has a Hessian too, of zeros
        total = (_checked(log_lik, z) + 0 * z.sum(-1)).sum()
        slope = torch.autograd.grad(total, z, create_graph=True)[0] + 0 * z
        parts = [part.sum() for part in slope.unbind(-1)]
        rows = [torch.autograd.grad(part, z, retain_graph=True)[0] for part in parts]
    hessian = torch.stack(rows, -1).double()
    if not torch.isfinite(hessian).all():
        raise ValueError("log_lik must have finite second derivatives, got NaN or an infinity")
    values, vectors = torch.linalg.eigh(-0.5 * (hessian + hessian.mT))
    curvature = (vectors * values.clamp(min=0)[..., None, :]) @ vectors.mT
    precision = curvature + torch.diag_embed(torch.exp(-2 * prior[1].double()))
    return mean, torch.linalg.cholesky(torch.linalg.inv(precision)).to(mean.dtype)


@torch.no_grad()
def log_integral(log_lik, prior, q, num_samples, generator=None, widen=1.2):
    """log of the integral of prior(z) exp(log_lik(z)) for each image, by importance sampling.

    q : proposals mean (R, B, K), scale (R, B, K, K); draws come from their equal mixture, each
        with its scale times widen, for an exclusive fit is narrow
    Returns the estimates and their effective sample sizes, (B,) each. The estimate errs
    downwards on average. Source: deterministic mixture weights, Owen and Zhou 2000.
    """
    num_samples, generator = validation.integer("num_samples", num_samples), or_seed_zero(generator)
    prior, q = _tensors("prior", prior), _normal("q", q)
    if q[0].ndim != 3:
        raise ValueError(f"q must have means of shape (R, B, K), got {tuple(q[0].shape)}")
    mean, scale = q[0], validation.positive_number("widen", widen) * q[1]
    proposals = torch.distributions.MultivariateNormal(mean, scale_tril=scale)
    columns = torch.arange(mean.shape[1], device=mean.device)
    log_w = []
    at_once = max(1, ROWS_AT_ONCE // mean.shape[1])
    for first in range(0, num_samples, at_once):
        shape = (min(at_once, num_samples - first), mean.shape[1])
        which = torch.randint(len(mean), shape, generator=generator).to(mean.device)
        eps = draw_noise((*shape, mean.shape[2]), mean, generator)
        z = mean[which, columns] + (scale[which, columns] @ eps[..., None])[..., 0]
        log_q = proposals.log_prob(z[:, None]).logsumexp(1) - math.log(len(mean))
        log_w.append(_checked(log_lik, z) + _log_prior(z, *prior) - log_q)
    log_w = torch.cat(log_w).double()
    ess = torch.exp(2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0))
    return log_w.logsumexp(0) - math.log(num_samples), ess


def _assemble(mean, log_std, below=None):
    mean, scale = _diagonal(mean, log_std)
    return mean, scale if below is None else scale + below.tril(-1)


def _elbo(log_lik, q, prior, eps):
    mean, scale = q
    z = mean + (scale @ eps[..., None])[..., 0]
    at_once = max(1, ROWS_AT_ONCE * len(z) // max(1, z[..., 0].numel()))
    parts = [_checked(log_lik, part) for part in z.split(at_once)]
    return torch.cat(parts).mean(0) - _kl(mean, scale, *prior)


def _kl(mean, scale, prior_mean, prior_log_std):
    precision = torch.exp(-2 * prior_log_std)
    spread = (scale**2 * precision[..., None]).sum((-1, -2))
    distance = ((mean - prior_mean) ** 2 * precision).sum(-1)
    log_dets = (prior_log_std - scale.diagonal(dim1=-2, dim2=-1).log()).sum(-1)
    return 0.5 * (spread + distance - mean.shape[-1]) + log_dets


def _log_prior(z, mean, log_std):
    z_score = (z - mean) * torch.exp(-log_std)
    return (-0.5 * z_score**2 - log_std - 0.5 * LOG_2PI).sum(-1)


def _checked(log_lik, z):
    values = validation.function("log_lik", log_lik)(z)
    if not torch.is_tensor(values) or values.is_complex():
        raise ValueError(f"log_lik must return a real tensor, got {type(values).__name__}")
    if values.shape != z.shape[:-1]:
        raise ValueError(
            f"log_lik must return shape {tuple(z.shape[:-1])} for z of shape {tuple(z.shape)}, "
            f"got {tuple(values.shape)}"
        )
    if not torch.isfinite(values).all():
        raise ValueError("log_lik must return finite numbers, got NaN or an infinity")
    return values


def _tensors(name, pair):
    """pair, or ValueError unless it is two finite real tensors, or one tensor (2, ...)."""
    if torch.is_tensor(pair) and pair.ndim:
        pair = tuple(pair)
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
        raise ValueError(f"{name} must be a pair of tensors, got {type(pair).__name__}")
    if not all(torch.is_tensor(part) and part.is_floating_point() for part in pair):
        raise ValueError(
            f"{name} must be tensors of floats, got {[type(p).__name__ for p in pair]}"
        )
    if not all(torch.isfinite(part).all() and part.numel() for part in pair):
        raise ValueError(f"{name} must be finite and not empty, got NaN, infinities or no number")
    return pair


def _normal(name, q):
    """q, or ValueError unless it is mean (..., B, K) and scale (..., B, K, K)."""
    mean, scale = _tensors(name, q)
    if scale.shape != (*mean.shape, mean.shape[-1]):
        came = f"{tuple(mean.shape)} and {tuple(scale.shape)}"
        raise ValueError(f"{name} must be mean (..., B, K) and scale (..., B, K, K), got {came}")
    return q
