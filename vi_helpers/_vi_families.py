"""Families q(z) for stochastic_vi: each samples with gradients and knows its log density.

A family is an nn.Module with dim, sample(S, generator) -> (S, dim), differentiable in the
parameters, and log_prob(z), (S, dim) -> (S,) in nats; where sample cannot be differentiable,
stratified takes its place. Numbers have torch's default type; call .double() on a family for
float64. All start at N(0, I), or near it.
"""

import math

import torch
from torch import nn

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero
from vi_helpers.densities import LOG_2PI


class DiagonalNormal(nn.Module):
    """N(mean, diag(std²)), std = exp(log_std): the factorised Gaussian.

    Raises ValueError unless dim is an integer >= 1.
    """

    def __init__(self, dim):
        super().__init__()
        self.dim = validation.integer("dim", dim)
        self.mean = nn.Parameter(torch.zeros(self.dim))
        self.log_std = nn.Parameter(torch.zeros(self.dim))

    def sample(self, num_samples, generator=None):
        """mean + std eps, eps ~ N(0, I), (S, dim)."""
        return self.mean + self.log_std.exp() * draw_noise(num_samples, self.mean, generator)

    def log_prob(self, z):
        eps = (z - self.mean) * torch.exp(-self.log_std)
        return _standard_log_prob(eps) - self.log_std.sum()

    @property
    def cov(self):
        """The covariance matrix, (dim, dim), without gradients."""
        return torch.diag(torch.exp(2 * self.log_std.detach()))


class FullNormal(nn.Module):
    """N(mean, L Lᵀ): L lower triangular, its diagonal exp(log_diag), so never singular.

    Raises ValueError unless dim is an integer >= 1.
    """

    def __init__(self, dim):
        super().__init__()
        self.dim = validation.integer("dim", dim)
        self.mean = nn.Parameter(torch.zeros(self.dim))
        self.log_diag = nn.Parameter(torch.zeros(self.dim))
        self.lower = nn.Parameter(torch.zeros(self.dim, self.dim))  # below the diagonal only

    @property
    def chol(self):
        """L, (dim, dim)."""
        return self.lower.tril(-1) + torch.diag(self.log_diag.exp())

    def sample(self, num_samples, generator=None):
        """mean + L eps, eps ~ N(0, I), (S, dim)."""
        return self.mean + draw_noise(num_samples, self.mean, generator) @ self.chol.T

    def log_prob(self, z):
        eps = torch.linalg.solve_triangular(self.chol, (z - self.mean).T, upper=False)
        return _standard_log_prob(eps.T) - self.log_diag.sum()

    @property
    def cov(self):
        """The covariance matrix L Lᵀ, (dim, dim), without gradients."""
        chol = self.chol.detach()
        return chol @ chol.T


class MixtureNormal(nn.Module):
    """sum_k w_k N(mean_k, diag(std_k²)), which can hold several modes.

    A draw picks a component, and a choice has no derivative; so gradients go through stratified,
    which draws from every component and weighs by w_k, and sample has none.
    The means start at random, N(0, spread²), from generator (seed 0 when None).
    Raises ValueError for a dim or num_components below 1, or a spread that is not positive.
    """

    def __init__(self, dim, num_components, *, spread=1.0, generator=None):
        super().__init__()
        self.dim = validation.integer("dim", dim)
        num = validation.integer("num_components", num_components)
        spread = validation.positive_number("spread", spread)
        start = torch.zeros(num, self.dim)
        start.normal_(0, spread, generator=or_seed_zero(generator))
        self.means = nn.Parameter(start)
        self.log_stds = nn.Parameter(torch.zeros(num, self.dim))
        self.logits = nn.Parameter(torch.zeros(num))

    @property
    def weights(self):
        """(K,), positive, sum to one."""
        return self.logits.softmax(0)

    @torch.no_grad()
    def sample(self, num_samples, generator=None):
        """(S, dim), without gradients."""
        eps = draw_noise(num_samples, self.means[0], generator)
        which = torch.multinomial(self.weights, num_samples, True, generator=generator)
        return self.means[which] + self.log_stds[which].exp() * eps

    def stratified(self, num_samples, generator=None):
        """About num_samples draws, equally many n of each component, and the mass of each.

        Returns z (nK, dim) and mass (nK,), n = ceil(S / K), both differentiable:
        E_q[f(z)] = E[sum mass f(z)].
        """
        count = -(-validation.integer("num_samples", num_samples) // len(self.logits))
        z = self.means + self.log_stds.exp() * draw_noise(count, self.means, generator)
        return z.flatten(0, 1), self.weights.repeat(count) / count

    def log_prob(self, z):
        eps = (z[:, None] - self.means) * torch.exp(-self.log_stds)
        return torch.logsumexp(self.log_parts(eps), dim=1)

    def log_parts(self, eps):
        """log w_k N(z; mean_k, std_k²), (S, K), for eps = (z - mean_k) / std_k, (S, K, dim)."""
        log_shares = self.logits.log_softmax(0) - self.log_stds.sum(1)
        return _standard_log_prob(eps) + log_shares


class CouplingFlow(nn.Module):
    """A normal pushed through num_layers affine couplings, then shifted and scaled.

    Each layer keeps half of the coordinates and moves the others by exp(s) and t, both from a
    small network that reads the kept half; so the inverse and its determinant are exact.
    The first networks are drawn from generator (seed 0 when None); the start is N(0, I).
    Raises ValueError for dim < 2, or num_layers or hidden below 1.
    Source: Dinh, Sohl-Dickstein, Bengio 2017.
    """

    def __init__(self, dim, *, num_layers=6, hidden=16, generator=None):
        super().__init__()
        self.dim = validation.integer("dim", dim, minimum=2)
        num_layers = validation.integer("num_layers", num_layers)
        hidden = validation.integer("hidden", hidden)
        generator = or_seed_zero(generator)
        halves = torch.arange(0, self.dim, 2), torch.arange(1, self.dim, 2)
        self.order = torch.cat(halves).argsort()  # back from all even, then all odd coordinates
        sizes = [len(half) for half in halves]
        self.nets = nn.ModuleList(
            _coupling_net(sizes[i % 2], hidden, 2 * sizes[1 - i % 2], generator)
            for i in range(num_layers)
        )
        self.mean = nn.Parameter(torch.zeros(self.dim))
        self.log_std = nn.Parameter(torch.zeros(self.dim))

    def sample(self, num_samples, generator=None):
        """(S, dim)."""
        z = draw_noise(num_samples, self.mean, generator)
        halves = [z[:, 0::2], z[:, 1::2]]
        for i, net in enumerate(self.nets):
            log_scale, shift = _scale_and_shift(net, halves[i % 2])
            halves[1 - i % 2] = halves[1 - i % 2] * log_scale.exp() + shift
        z = torch.cat(halves, dim=1).index_select(1, self.order)
        return self.mean + self.log_std.exp() * z

    def log_prob(self, z):
        z = (z - self.mean) * torch.exp(-self.log_std)
        halves, sum_log_scales = [z[:, 0::2], z[:, 1::2]], self.log_std.sum()
        for i in reversed(range(len(self.nets))):
            log_scale, shift = _scale_and_shift(self.nets[i], halves[i % 2])
            halves[1 - i % 2] = (halves[1 - i % 2] - shift) * torch.exp(-log_scale)
            sum_log_scales = sum_log_scales + log_scale.sum(1)
        return _standard_log_prob(torch.cat(halves, dim=1)) - sum_log_scales


def draw_noise(num_samples, like, generator):
    """N(0, 1) noise (S, *like.shape), of the type and on the device of like."""
    num_samples = validation.integer("num_samples", num_samples)
    shape = (num_samples, *like.shape)
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)


def _standard_log_prob(eps):
    return -0.5 * eps.square().sum(-1) - 0.5 * LOG_2PI * eps.shape[-1]


@torch.no_grad()
def _coupling_net(inputs, hidden, outputs, generator):
    net = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))
    net[0].weight.normal_(0, 1 / math.sqrt(inputs), generator=generator)
    net[0].bias.normal_(0, 1, generator=generator)
    net[2].weight.zero_()  # log scale 0, shift 0: the identity
    net[2].bias.zero_()
    return net


def _scale_and_shift(net, kept):
    log_scale, shift = net(kept).chunk(2, dim=1)
    return 2 * torch.tanh(log_scale / 2), shift  # a scale outside exp(±2) would make fits jump
