"""Laws of amortised inference: vi_helpers.vae against probabilistic PCA, where all is known."""

import math

import numpy as np
import pytest
import torch
from reference import linear_vae_elbo
from scipy import linalg, stats
from scipy.special import logsumexp

from vi_helpers import datasets, divergences, ppca, vae

PARAMS = ppca.PPCAParams(
    np.array([[1.0, 0.6], [0.9, 0.7], [0.7, 0.2], [0.3, 0.5]]), np.array([0.5, 0, -0.5, 0.2]), 0.25
)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    noise = PARAMS.noise_var**0.5 * rng.normal(size=(100, 4))
    return rng.normal(size=(100, 2)) @ PARAMS.weights.T + PARAMS.bias + noise


def approximation_gap(params):
    """log p(x) minus the best ELBO of a factorised normal."""
    precision = np.linalg.inv(ppca.posterior(params.bias[None], params)[1])
    return 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])


def frozen(params):
    """A VAE with this decoder fixed; its encoder is untrained."""
    std = params.noise_var**0.5
    model = vae.VAE(2, (), "gaussian", (4,), noise_std=std, generator=gen()).double()
    state = {"weight": torch.tensor(params.weights), "bias": torch.tensor(params.bias)}
    model.decoder[0].load_state_dict(state)
    model.decoder.requires_grad_(False)
    return model


def ideal(params):
    """The same with the best factorised q for every x."""
    model, cov = frozen(params), ppca.posterior(params.bias[None], params)[1]
    back = cov @ params.weights.T / params.noise_var
    log_std = -0.5 * np.log(np.diag(np.linalg.inv(cov)))
    state = {
        "weight": np.vstack([back, np.zeros((2, 4))]),
        "bias": np.concatenate([-back @ params.bias, log_std]),
    }
    model.encoder[1].load_state_dict({name: torch.tensor(v) for name, v in state.items()})
    return model


def mean_and_error(values, group):
    draws = np.asarray(values).reshape(group, -1)
    return draws.mean(), math.sqrt((draws.var(1, ddof=1) / draws.shape[1]).sum()) / group


def elbo(model, x, draws=100, seed=1):
    recon, kl = vae.elbo_terms_batched(model, np.repeat(x, draws, 0), gen(seed))
    return mean_and_error(recon - kl, len(x))


def as_ppca(model):
    layer, noise_var = model.decoder[0], math.exp(2 * model.log_noise_std.item())
    return ppca.PPCAParams(layer.weight.detach().numpy(), layer.bias.detach().numpy(), noise_var)


# Gaps


def test_best_factorised_q_leaves_exactly_the_approximation_gap(data):
    gap = ppca.log_evidence_per_point(data, PARAMS) - linear_vae_elbo(ideal(PARAMS), PARAMS, data)
    np.testing.assert_allclose(gap, approximation_gap(PARAMS), rtol=1e-9)
    assert approximation_gap(PARAMS) > 0.1


def test_no_other_factorised_q_has_a_smaller_gap(data):
    best = linear_vae_elbo(ideal(PARAMS), PARAMS, data)
    for seed in range(20):
        model = ideal(PARAMS)
        with torch.no_grad():
            for weight in model.encoder.parameters():
                weight += 0.1 * torch.randn(weight.shape, generator=gen(seed))
        assert (linear_vae_elbo(model, PARAMS, data) < best).all()


def test_turning_the_latents_to_the_axes_closes_the_approximation_gap(data):
    axes = np.linalg.eigh(PARAMS.weights.T @ PARAMS.weights)[1]
    upright = ppca.PPCAParams(PARAMS.weights @ axes, PARAMS.bias, PARAMS.noise_var)
    exact = ppca.log_evidence_per_point(data, PARAMS)
    np.testing.assert_allclose(linear_vae_elbo(ideal(upright), upright, data), exact, rtol=1e-9)
    log_w = vae.log_weights(ideal(upright), data, 4, gen()).numpy()
    np.testing.assert_allclose(log_w, np.tile(exact, (4, 1)), rtol=1e-7)  # noise_std is rounded


@pytest.mark.parametrize("make", [frozen, ideal])
def test_elbo_terms_agree_with_log_evidence_minus_kl_to_the_posterior(make, data):
    model = make(PARAMS)
    estimate, error = elbo(model, data)
    assert abs(estimate - linear_vae_elbo(model, PARAMS, data).mean()) < 4 * error


def test_training_only_the_encoder_closes_the_amortisation_gap_and_no_more(data):
    best, gaps = linear_vae_elbo(ideal(PARAMS), PARAMS, data), []
    for epochs in (1, 10, 200):
        model = frozen(PARAMS)
        options = {"batch_size": 20, "lr": 0.05, "progress": False, "device": "cpu"}
        vae.train_vae(model, data, epochs=epochs, generator=gen(1), **options)
        gap = best - linear_vae_elbo(model, PARAMS, data)
        assert gap.min() > -1e-9
        gaps.append(gap.mean())
        np.testing.assert_array_equal(as_ppca(model).weights, PARAMS.weights)
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.02


# The linear VAE


@pytest.fixture(scope="module")
def spectrum():
    """Data with well-separated leading eigenvalues."""
    rng = np.random.default_rng(4)
    return rng.normal(size=(150, 5)) * [3.0, 1.8, 0.7, 0.6, 0.5] @ stats.ortho_group.rvs(
        5, random_state=rng
    ) + rng.normal(size=5)


def learn(x, epochs, beta=1.0):
    model = vae.VAE(2, (), "gaussian", (5,), generator=gen()).double()
    options = {"batch_size": 50, "lr": 0.05, "progress": False, "device": "cpu"}
    vae.train_vae(model, x, epochs=epochs, beta=beta, generator=gen(1), **options)
    return model


@pytest.fixture(scope="module")
def learned(spectrum):
    return {epochs: learn(spectrum, epochs) for epochs in (20, 800)}


def test_elbo_is_below_log_evidence_which_is_below_its_maximum(spectrum, learned):
    best = ppca.log_evidence_per_point(spectrum, ppca.fit_ppca(spectrum, 2)).mean()
    for model in learned.values():
        value, error = elbo(model, spectrum)
        log_p = ppca.log_evidence_per_point(spectrum, as_ppca(model)).mean()
        assert value < log_p + 4 * error
        assert log_p < best + 1e-12
    assert value > best - 0.02


def test_training_finds_the_principal_subspace_and_orthogonal_columns(spectrum, learned):
    found, optimum = as_ppca(learned[800]), ppca.fit_ppca(spectrum, 2)
    assert np.degrees(linalg.subspace_angles(found.weights, optimum.weights)).max() < 2
    norms = np.linalg.norm(found.weights, axis=0)
    assert abs(found.weights[:, 0] @ found.weights[:, 1]) / norms.prod() < 0.1
    np.testing.assert_allclose(found.bias, spectrum.mean(0), atol=0.1)
    assert found.noise_var == pytest.approx(optimum.noise_var, rel=0.05)


def test_importance_weighted_bounds_rise_to_the_exact_value(spectrum, learned):
    exact = ppca.log_evidence_per_point(spectrum, as_ppca(learned[20])).mean()
    bounds = []
    for k in (1, 5, 50, 1000):
        repeated = np.repeat(spectrum, max(1, 200 // k) + 4, 0)
        values = vae.log_evidence_is(learned[20], repeated, k, gen(k))
        bounds.append(mean_and_error(values, len(spectrum)))
    values, errors = np.transpose(bounds)
    assert (np.diff(values) > -4 * np.hypot(errors[1:], errors[:-1])).all()
    assert (values < exact + 4 * errors).all()
    assert values[0] < exact - 0.05 and values[-1] > exact - 0.01


def test_only_a_kl_weight_of_at_least_one_keeps_the_bound(spectrum):
    kls = []
    for beta in (0.2, 1.0, 4.0):
        model = learn(spectrum, 200, beta)
        recon, kl = vae.elbo_terms_batched(model, np.repeat(spectrum, 50, 0), gen(2))
        value, error = mean_and_error(recon - beta * kl, len(spectrum))
        log_p = ppca.log_evidence_per_point(spectrum, as_ppca(model)).mean()
        assert (value < log_p + 4 * error) if beta >= 1 else (value > log_p + 10 * error)
        kls.append(kl.mean().item())
    assert kls[0] > 1.2 * kls[1] > 1.2 * 1.2 * kls[2], "a larger weight spends fewer nats"


# The KL term


def test_kl_is_the_sum_of_one_dimensional_quadratures():
    rng = np.random.default_rng(1)
    mean, std = rng.normal(size=3), np.exp(0.5 * rng.normal(size=3))
    by_sum = sum(
        divergences.kl_quad(stats.norm(m, s).logpdf, stats.norm.logpdf, m - 12 * s, m + 12 * s)
        for m, s in zip(mean, std, strict=True)
    )
    by_vae = vae.kl_to_prior(torch.tensor(mean), torch.tensor(np.log(std))).item()
    assert by_vae == pytest.approx(by_sum, abs=1e-8)


# Surgery


@pytest.fixture(scope="module")
def digits():
    images = datasets.binarize(datasets.load_digits("train")[0])[:100]
    model = vae.VAE(2, (32,), image_shape=(8, 8), generator=gen()).double()
    options = {"batch_size": 20, "lr": 5e-3, "progress": False, "device": "cpu"}
    vae.train_vae(model, images, epochs=100, beta=0.5, generator=gen(1), **options)
    return model, images


def encode(model, images):
    with torch.no_grad():
        mean, log_std = model.encode(torch.tensor(images, dtype=torch.double))
    return mean.numpy(), np.exp(log_std.numpy())


def draw_and_compare(mean, std, rng, draws=40):
    """Draws of the aggregated posterior, and log q(z_s | x_n) for every pair."""
    n = np.repeat(np.arange(len(mean)), draws)
    z = mean[n] + std[n] * rng.normal(size=(len(n), mean.shape[1]))
    return z, stats.norm.logpdf(z[:, None], mean, std).sum(-1)


def information(mean, std, rng):
    log_q = draw_and_compare(mean, std, rng)[1]
    log_resp = log_q - logsumexp(log_q, axis=1, keepdims=True)
    entropy = -(np.exp(log_resp) * log_resp).sum(1)
    return mean_and_error(math.log(len(mean)) - entropy, len(mean))


def marginal_kl(mean, std, rng):
    z, log_q = draw_and_compare(mean, std, rng)
    log_aggregate = logsumexp(log_q, axis=1) - math.log(len(mean))
    return mean_and_error(log_aggregate - stats.norm.logpdf(z).sum(1), len(mean))


def test_mean_elbo_is_reconstruction_minus_information_minus_marginal_kl(digits):
    model, images = digits
    mean, std = encode(model, images)
    left = elbo(model, images, seed=3)
    recon = mean_and_error(
        vae.elbo_terms_batched(model, np.repeat(images, 100, 0), gen(4))[0], len(images)
    )
    info = information(mean, std, np.random.default_rng(5))
    outer = marginal_kl(mean, std, np.random.default_rng(6))
    error = np.linalg.norm([left[1], recon[1], info[1], outer[1]])
    assert abs(left[0] - (recon[0] - info[0] - outer[0])) < 4 * error
    assert abs(left[0] - (recon[0] - info[0] + outer[0])) > 8 * error, "the sign matters"
    assert 0 <= info[0] <= math.log(len(images))


def test_information_is_zero_for_equal_codes_and_log_n_for_codes_far_apart():
    same, apart = np.zeros((30, 2)), 100.0 * np.arange(60).reshape(30, 2)
    std = np.full((30, 2), 0.7)
    assert information(same, std, np.random.default_rng(0))[0] == pytest.approx(0, abs=1e-12)
    found = information(apart, std, np.random.default_rng(0))[0]
    assert found == pytest.approx(math.log(30), abs=1e-9)
