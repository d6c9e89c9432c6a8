"""The inside of fit_stochastic's loop: an estimate of the gradient, a step of Adam, an average.

For a small model most of a step's time is not arithmetic but what each torch operation costs to
start, so there are few of them here. tests/benchmarks/bench_stochastic_vi.py measures it.
"""

import math

import torch
from torch import nn

from vi_helpers._vi_families import DiagonalNormal, FullNormal, MixtureNormal, draw_noise
from vi_helpers._vi_gradients import unchecked_surrogate
from vi_helpers.densities import LOG_2PI


def estimator_of(log_joint, family, params, num_samples, generator, estimator):
    """A function () -> (elbo, slopes): new estimates of the ELBO and of its gradient in params.

    elbo is a float, slopes one vector. The same numbers as surrogate and autograd give; where the
    chain is known in closed form only log_joint is left to autograd.
    """
    chain = KNOWN_CHAINS.get(estimator, {}).get(type(family))  # a subclass may sample otherwise
    if chain is None or len(params) < len(list(family.parameters())):

        def estimates():
            objective, elbo = unchecked_surrogate(
                log_joint, family, num_samples, generator, estimator
            )
            parts = torch.autograd.grad(
                objective, params, materialize_grads=True, allow_unused=True
            )
            return elbo.item(), torch.cat([part.flatten() for part in parts])

        return estimates

    def estimates():
        with torch.no_grad():
            z, finish = chain(family, num_samples, generator, estimator == "stl")
        values = log_joint(z.requires_grad_())
        (slope,) = torch.autograd.grad(values, z, torch.ones_like(values))
        with torch.no_grad():
            return finish(values, slope)

    return estimates


def _diagonal_chain(family, num_samples, generator, stl):
    """z = mean + std eps, (S, D); and finish.

    finish takes log_joint at z, (S,), and its slope in z, (S, D), to the estimates of the ELBO
    and of its gradient.
    """
    eps, std = draw_noise(num_samples, family.mean, generator), family.log_std.exp()

    def finish(values, slope):
        if stl:
            slope = slope + eps / std  # minus the slope of log q
        in_log_std = (slope * eps).mean(0) * std
        slopes = torch.cat([slope.mean(0), in_log_std if stl else in_log_std + 1])
        return values.mean().item() + _mean_minus_log(eps, family.log_std), slopes

    return family.mean + std * eps, finish


def _full_chain(family, num_samples, generator, stl):
    """As _diagonal_chain, for z = mean + L eps."""
    eps, chol = draw_noise(num_samples, family.mean, generator), family.chol

    def finish(values, slope):
        if stl:
            slope = slope + torch.linalg.solve_triangular(chol, eps, upper=False, left=False)
        in_chol = (slope.T @ eps).div_(num_samples)
        in_log_diag = in_chol.diagonal() * chol.diagonal()
        below = in_chol.tril(-1).flatten()
        slopes = torch.cat([slope.mean(0), in_log_diag if stl else in_log_diag + 1, below])
        return values.mean().item() + _mean_minus_log(eps, family.log_diag), slopes

    return family.mean + eps @ chol.T, finish


def _mean_minus_log(eps, log_scales):
    """The mean of -log q at draws of a normal, as a float."""
    num_samples, dim = eps.shape
    square = torch.linalg.vector_norm(eps).item() ** 2 / num_samples
    return 0.5 * (square + dim * LOG_2PI) + log_scales.sum().item()


def _mixture_chain(family, num_samples, generator, stl):
    """As _diagonal_chain, for the n draws of each component and their mass; stl only."""
    count = -(-num_samples // len(family.logits))
    eps, stds = draw_noise(count, family.means, generator), family.log_stds.exp()
    z = (family.means + stds * eps).flatten(0, 1)
    weights = family.weights

    def finish(values, slope):
        standard = (z[:, None] - family.means) / stds  # (nK, K, D)
        log_parts = family.log_parts(standard)
        log_q = log_parts.logsumexp(1, keepdim=True)
        pulls = (log_parts - log_q).exp()[..., None] * standard / stds  # minus the slope of log q
        slope = (slope + pulls.sum(1)).view_as(eps) * weights[:, None]
        terms = (values - log_q[:, 0]).view(count, -1).mean(0)  # of each component
        elbo = weights @ terms
        in_log_stds = (slope * eps).mean(0) * stds
        parts = slope.mean(0).flatten(), in_log_stds.flatten(), weights * (terms - elbo)
        return elbo.item(), torch.cat(parts)

    return z, finish


KNOWN_CHAINS = {"reparam": {DiagonalNormal: _diagonal_chain, FullNormal: _full_chain}}
KNOWN_CHAINS["stl"] = KNOWN_CHAINS["reparam"] | {MixtureNormal: _mixture_chain}


class Adam:
    """Adam, uphill, on all parameters of a family as one vector: a few operations a step.

    torch.optim.Adam takes the same steps, but costs more than a small model's gradient.
    """

    def __init__(self, family):
        self.params = [p for p in family.parameters() if p.requires_grad]
        with torch.no_grad():
            self.values = nn.utils.parameters_to_vector(self.params)
        sizes = [p.numel() for p in self.params]
        self.parts = [
            v.view_as(p) for v, p in zip(self.values.split(sizes), self.params, strict=True)
        ]
        self.mean, self.square = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.count = 0

    @torch.no_grad()
    def step(self, slopes, lr, decay=(0.9, 0.999), tiny=1e-8):
        self.count += 1
        self.mean.lerp_(slopes, 1 - decay[0])
        self.square.mul_(decay[1]).addcmul_(slopes, slopes, value=1 - decay[1])
        scale = math.sqrt(1 - decay[1] ** self.count)  # of the root: the start is not zero
        root = self.square.sqrt().add_(tiny * scale)
        self.values.addcdiv_(self.mean, root, value=lr * scale / (1 - decay[0] ** self.count))
        self._copy()

    @torch.no_grad()
    def write(self, values):
        self.values.copy_(values)
        self._copy()

    def _copy(self):
        for p, part in zip(self.params, self.parts, strict=True):
            p.copy_(part)


class WindowMean:
    """The mean of what was added in this window and the one before."""

    def __init__(self):
        self.before, self.now = (0, 0.0), (0, 0.0)

    def add(self, values):
        self.now = self.now[0] + 1, self.now[1] + values

    def next_window(self):
        self.before, self.now = self.now, (0, 0.0)

    @property
    def count(self):
        return self.before[0] + self.now[0]

    def __call__(self):
        return (self.before[1] + self.now[1]) / self.count
