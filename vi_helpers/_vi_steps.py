"""The inside of fit_stochastic's loop: an estimate of the gradient, a step of Adam, an average.

For a small model most of a step's time is not arithmetic but what each torch operation costs to
start, so there are few of them here. tests/benchmarks/bench_stochastic_vi.py measures it.
"""

import math

import torch
from torch import nn

from vi_helpers._vi_families import DiagonalNormal, FullNormal, draw_noise
from vi_helpers._vi_gradients import PATHWISE, unchecked_surrogate
from vi_helpers.densities import LOG_2PI


def estimator_of(log_joint, family, params, num_samples, generator, estimator):
    """A function () -> (elbo, slopes): new estimates of the ELBO and of its gradient in params.

    elbo is a float, slopes one vector. The same numbers as surrogate and autograd give; for a
    Gaussian only log_joint is left to autograd, because the rest is known in closed form.
    """
    chain = KNOWN_CHAINS.get(type(family))  # not a subclass: it may sample in another way
    if chain is None or estimator not in PATHWISE or len(params) < len(list(family.parameters())):

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
            eps = draw_noise(num_samples, family.mean, generator)
            z, sum_log_scales, pull = chain(family, eps)
        values = log_joint(z.requires_grad_())
        (slope,) = torch.autograd.grad(values, z, torch.ones_like(values))
        with torch.no_grad():
            square = torch.linalg.vector_norm(eps).item() ** 2 / num_samples
            entropy = 0.5 * (square + family.dim * LOG_2PI) + sum_log_scales.item()
            return values.mean().item() + entropy, pull(slope, estimator == "stl")

    return estimates


def _diagonal_chain(family, eps):
    """z = mean + std eps; log |dz/deps|; and pull.

    pull(slope, stl) takes the slope in z of log_joint, (S, D), to the mean slope of the ELBO in
    the parameters, one vector.
    """
    std = family.log_std.exp()

    def pull(slope, stl):
        if stl:
            slope = slope + eps / std  # minus the slope of log q
        in_log_std = (slope * eps).sum(0).mul_(std).div_(len(eps))
        return torch.cat([slope.mean(0), in_log_std if stl else in_log_std + 1])

    return family.mean + std * eps, family.log_std.sum(), pull


def _full_chain(family, eps):
    """As _diagonal_chain, for z = mean + L eps."""
    chol = family.chol

    def pull(slope, stl):
        if stl:
            slope = slope + torch.linalg.solve_triangular(chol, eps, upper=False, left=False)
        in_chol = (slope.T @ eps).div_(len(eps))
        in_log_diag = in_chol.diagonal() * chol.diagonal()
        below = in_chol.tril(-1).flatten()
        return torch.cat([slope.mean(0), in_log_diag if stl else in_log_diag + 1, below])

    return family.mean + eps @ chol.T, family.log_diag.sum(), pull


KNOWN_CHAINS = {DiagonalNormal: _diagonal_chain, FullNormal: _full_chain}


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
