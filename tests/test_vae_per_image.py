"""Fits and weights of vae.per_image against a linear model, whose posterior is known."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vi_helpers import vae

WEIGHTS = np.array([[1.0, 0.6], [0.9, 0.7], [0.3, 0.5], [0.2, 1.4]])
NOISE = 0.6
PRIORS = {"standard": (np.zeros(2), np.ones(2)), "another": (np.array([0.7, -1.1]), [0.5, 1.8])}


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=PRIORS)
def world(request):
    """Five data x = W z + noise; log_lik, the prior as a pair, and the exact answers."""
    mean, std = (np.asarray(part, dtype=float) for part in PRIORS[request.param])
    rng = np.random.default_rng(3)
    x = (mean + std * rng.normal(size=(5, 2))) @ WEIGHTS.T + NOISE * rng.normal(size=(5, 4))
    precision = np.diag(std**-2) + WEIGHTS.T @ WEIGHTS / NOISE**2
    cov = np.linalg.inv(precision)
    post_mean = (mean / std**2 + x @ WEIGHTS / NOISE**2) @ cov
    cov_x = WEIGHTS @ np.diag(std**2) @ WEIGHTS.T + NOISE**2 * np.eye(4)
    log_evidence = stats.multivariate_normal(WEIGHTS @ mean, cov_x).logpdf(x)
    data, weights = torch.tensor(x), torch.tensor(WEIGHTS)

    def log_lik(z):
        return torch.distributions.Normal(z @ weights.T, NOISE).log_prob(data).sum(-1)

    prior = torch.tensor(mean).expand(5, 2), torch.tensor(std).log().expand(5, 2)
    return log_lik, prior, post_mean, cov, log_evidence


def exact_q(post_mean, cov, copies=1):
    scale = torch.tensor(np.linalg.cholesky(cov)).expand(copies, 5, 2, 2)
    return torch.tensor(post_mean).expand(copies, 5, 2), scale


def test_a_full_q_finds_the_exact_posterior_from_every_start(world):
    log_lik, prior, post_mean, cov, log_evidence = world
    start = 2 * torch.randn(3, 5, 2, generator=gen(1)).double(), torch.zeros(3, 5, 2).double()
    options = dict(num_steps=800, lr=0.1, num_pairs=4, generator=gen(2))
    q = vae.refine_q(log_lik, start, prior, full=True, **options)
    assert q[0].shape == (3, 5, 2) and q[1].shape == (3, 5, 2, 2)
    np.testing.assert_allclose(q[0], np.broadcast_to(post_mean, (3, 5, 2)), atol=0.06)
    np.testing.assert_allclose(q[1] @ q[1].mT, np.broadcast_to(cov, (3, 5, 2, 2)), atol=0.05)
    elbo = vae.elbo_of_q(log_lik, q, prior, 4000, gen(3)).numpy()
    np.testing.assert_allclose(elbo, np.broadcast_to(log_evidence, (3, 5)), atol=0.15)


def test_a_diagonal_q_finds_the_conditional_variances_and_keeps_the_known_gap(world):
    log_lik, prior, _, cov, log_evidence = world
    start = tuple(torch.zeros(1, 5, 2).double() for _ in range(2))
    q = vae.refine_q(log_lik, start, prior, num_steps=800, lr=0.1, num_pairs=4, generator=gen(2))
    precision = np.linalg.inv(cov)
    best = 1 / np.diag(precision)
    assert (q[1][..., 0, 1] == 0).all() and (q[1][..., 1, 0] == 0).all()
    np.testing.assert_allclose(q[1][0].diagonal(dim1=-2, dim2=-1) ** 2, [best] * 5, atol=0.03)
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    elbo = vae.elbo_of_q(log_lik, q, prior, 4000, gen(3)).numpy()[0]
    np.testing.assert_allclose((log_evidence - elbo).mean(), gap, atol=0.05)


def test_the_normal_of_the_curvature_is_the_posterior_where_that_is_normal(world):
    log_lik, prior, post_mean, cov, _ = world
    mean, scale = vae.laplace_q(log_lik, torch.tensor(post_mean), prior)
    np.testing.assert_allclose(mean, post_mean)
    np.testing.assert_allclose(scale @ scale.mT, np.broadcast_to(cov, (5, 2, 2)), atol=1e-10)
    again = vae.refine_q(log_lik, (mean, scale), prior, full=True, num_steps=1, lr=1e-9)
    np.testing.assert_allclose(again[1], scale, atol=1e-8)


def test_the_curvature_is_minus_the_hessian_and_upward_directions_count_as_flat(world):
    _, prior, *_ = world
    mean = torch.randn(3, 5, 2, generator=gen(6)).double()

    def log_lik(z):  # curves upwards along the second axis
        return torch.sin(z[..., 0]) - 2 * z[..., 0] ** 2 + torch.cosh(z[..., 1])

    precision = torch.linalg.inv((scale := vae.laplace_q(log_lik, mean, prior)[1]) @ scale.mT)
    expected = torch.diag_embed(torch.exp(-2 * prior[1]).expand(3, 5, 2).clone())
    expected[..., 0, 0] += 4 + torch.sin(mean[..., 0])
    torch.testing.assert_close(precision, expected)
    flat = vae.laplace_q(lambda z: z.sum(-1), mean, prior)[1].diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(flat, prior[1].exp().expand(3, 5, 2))
    with pytest.raises(ValueError, match="finite second derivatives"):
        vae.laplace_q(lambda z: (z**2).sum(-1).sqrt(), torch.zeros(5, 2), prior)


def test_the_curvature_of_a_decoder_s_likelihood_is_that_of_autograd():
    model = vae.VAE(3, (6,), image_shape=(2, 4), generator=gen(1)).double()
    x = (torch.rand(2, 2, 4, generator=gen(2)) < 0.5).double()
    mean, prior = torch.randn(2, 3, generator=gen(3)).double(), torch.zeros(2, 2, 3).double()

    def plain(z, image):
        return model.log_pixels(image, model.decode(z[None]))[0].sum()

    hessians = [
        torch.autograd.functional.hessian(lambda z, i=i: plain(z, x[i]), mean[i]) for i in range(2)
    ]
    values, vectors = torch.linalg.eigh(-torch.stack(hessians))
    expected = torch.eye(3) + (vectors * values.clamp(min=0)[..., None, :]) @ vectors.mT
    scale = vae.laplace_q(lambda z: model.log_likelihood(x, model.decode(z)), mean, prior)[1]
    torch.testing.assert_close(torch.linalg.inv(scale @ scale.mT), expected)


def test_weights_from_the_exact_posterior_are_all_equal(world):
    log_lik, prior, post_mean, cov, log_evidence = world
    value, ess = vae.log_integral(log_lik, prior, exact_q(post_mean, cov), 120, gen(), widen=1.0)
    np.testing.assert_allclose(value, log_evidence, atol=1e-9)
    np.testing.assert_allclose(ess, 120)


def test_a_mixture_of_poor_proposals_still_gives_the_evidence(world):
    log_lik, prior, post_mean, cov, log_evidence = world
    mean, scale = exact_q(post_mean, cov, copies=2)
    shift = torch.tensor([[[0.3, -0.2]], [[4.0, 4.0]]])  # the second lies far away
    value, ess = vae.log_integral(log_lik, prior, (mean + shift, scale), 20_000, gen(4))
    assert (ess < 12_000).all() and (ess > 2000).all()
    np.testing.assert_allclose(value, log_evidence, atol=5 / math.sqrt(ess.min()))


def test_a_diagonal_q_is_the_encoders(world):
    mean, log_std = torch.randn(3, 2), torch.randn(3, 2)
    out = vae.normal_q(mean, log_std)
    assert torch.equal(out[0], mean)
    torch.testing.assert_close(out[1][:, [0, 1], [0, 1]], log_std.exp())


def test_a_likelihood_of_the_wrong_shape_is_named(world):
    _, prior, *_ = world
    start = tuple(torch.zeros(1, 5, 2).double() for _ in range(2))
    with pytest.raises(ValueError, match=r"log_lik must return shape \(2, 1, 5\)"):
        vae.refine_q(lambda z: z, start, prior)
