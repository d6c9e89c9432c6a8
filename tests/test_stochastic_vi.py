"""Families, gradient estimators and the fitting loop: laws, exact answers, peers and bad input."""

import math

import numpy as np
import pytest
import torch
from reference import elbo_gradient_on_a_grid, log_prob_by_change_of_variables
from scipy import integrate, stats
from torch import nn

from vi_helpers import logistic
from vi_helpers.results import ConvergenceWarning
from vi_helpers.stochastic_vi import (
    CouplingFlow,
    DiagonalNormal,
    FullNormal,
    Minibatch,
    MixtureNormal,
    elbo_estimate,
    fit_stochastic,
    gradient_samples,
    log_weights,
    surrogate,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scrambled(family, seed=0, scale=0.4):
    """The family in float64 with its parameters moved at random."""
    family, generator = family.double(), seeded(seed)
    with torch.no_grad():
        for p in family.parameters():
            p.add_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return family


def families(dim):
    made = [DiagonalNormal(dim), FullNormal(dim), MixtureNormal(dim, 3, spread=2.0)]
    made = [scrambled(family) for family in made]
    return [*made, scrambled(CouplingFlow(dim), scale=0.15)] if dim > 1 else made


def normal_target(dim, seed=1):
    """log_joint of N(mean, cov) without its constant; mean, cov, log Z."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((dim, dim)) / np.sqrt(dim)
    mean, cov = rng.standard_normal(dim), root @ root.T + 0.2 * np.eye(dim)
    precision, centre = torch.tensor(np.linalg.inv(cov)), torch.tensor(mean)

    def log_joint(z):
        return -0.5 * ((z - centre) @ precision * (z - centre)).sum(1)

    return log_joint, mean, cov, 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]


@pytest.mark.parametrize("family", families(1), ids=lambda f: type(f).__name__)
def test_on_the_line_every_density_integrates_to_one_and_the_samples_follow_it(family):
    def density(z):
        return family.log_prob(torch.tensor([[z]], dtype=torch.float64)).exp().item()

    assert integrate.quad(density, -30, 30, limit=400)[0] == pytest.approx(1, abs=1e-7)
    grid = torch.linspace(-15, 15, 6001, dtype=torch.float64)
    with torch.no_grad():
        cdf = torch.cumsum(family.log_prob(grid[:, None]).exp(), 0) * (grid[1] - grid[0])
        draws = family.sample(4000, seeded())[:, 0]
    assert stats.kstest(draws.numpy(), lambda z: np.interp(z, grid, cdf)).pvalue > 0.001


@pytest.mark.parametrize("family", families(2), ids=lambda f: type(f).__name__)
def test_in_the_plane_every_density_integrates_to_one_and_its_moments_are_the_samples(family):
    axis = torch.linspace(-15, 15, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = family.log_prob(grid).exp() * (axis[1] - axis[0]) ** 2
        draws = family.sample(40_000, seeded())
    assert mass.sum().item() == pytest.approx(1, abs=1e-4)
    mean = mass @ grid
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - mean).abs() < 4 * error).all()
    second = (mass[:, None] * grid**2).sum(0)
    error = (draws**2).std(0) / math.sqrt(len(draws))
    assert (((draws**2).mean(0) - second).abs() < 4 * error).all()


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_the_flow_and_the_full_normal_agree_with_the_change_of_variables_by_autograd(dim):
    for family in (scrambled(CouplingFlow(dim)), scrambled(FullNormal(dim))):
        z, expected = log_prob_by_change_of_variables(family, dim)
        assert family.log_prob(z).detach().numpy() == pytest.approx(expected, abs=1e-9)


def test_the_gaussian_families_agree_with_torch_distributions():
    z = torch.randn((7, 4), generator=seeded(), dtype=torch.float64)
    for family in (scrambled(DiagonalNormal(4)), scrambled(FullNormal(4))):
        peer = torch.distributions.MultivariateNormal(family.mean, family.cov)
        torch.testing.assert_close(family.log_prob(z), peer.log_prob(z))


def test_a_mixture_agrees_with_torch_distributions():
    family = scrambled(MixtureNormal(3, 4))
    parts = torch.distributions.Independent(
        torch.distributions.Normal(family.means, family.log_stds.exp()), 1
    )
    which = torch.distributions.Categorical(logits=family.logits)
    peer = torch.distributions.MixtureSameFamily(which, parts)
    z = torch.randn((9, 3), generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(family.log_prob(z), peer.log_prob(z))


def within(estimates, exact, errors=4.0):
    """All columns of (R, P) estimates have exact as their mean, within standard errors."""
    error = estimates.std(0) / math.sqrt(len(estimates))
    return bool(((estimates.mean(0) - exact).abs() <= errors * error + 1e-9).all())


def polynomial(z):
    return (z**2).sum(1) - z[:, 0] * z[:, -1] + z[:, 0] ** 3 / 5


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("estimator", ["reparam", "stl", "score", "score_loo"])
def test_every_estimator_of_every_family_is_unbiased(dim, estimator):
    for family in families(dim):
        if isinstance(family, CouplingFlow):  # tested by finite differences: too many parameters
            continue
        exact = elbo_gradient_on_a_grid(polynomial, family, dim)
        found = gradient_samples(
            polynomial, family, 200, num_samples=60, generator=seeded(3), estimator=estimator
        )
        assert found.shape == (200, len(exact))
        assert within(found, exact), type(family).__name__


def test_leave_one_out_is_unbiased_with_two_samples_where_the_mean_of_all_would_halve_it():
    family = scrambled(DiagonalNormal(1))
    exact = elbo_gradient_on_a_grid(polynomial, family, 1)
    found = gradient_samples(
        polynomial, family, 2000, num_samples=2, generator=seeded(6), estimator="score_loo"
    )
    assert within(found, exact)
    assert not within(found, exact / 2)


def test_a_wrong_gradient_would_be_seen():
    family = scrambled(MixtureNormal(1, 3, spread=2.0))
    exact = elbo_gradient_on_a_grid(polynomial, family, 1)
    found = gradient_samples(polynomial, family, 200, num_samples=60, generator=seeded(3))
    assert not within(found, 1.1 * exact)


def test_the_gradients_of_flow_samples_are_those_of_finite_differences():
    family, generator = scrambled(CouplingFlow(3, num_layers=3, hidden=4)), seeded(5)
    state = generator.get_state()

    def value():
        generator.set_state(state)
        return polynomial(family.sample(50, generator)).mean()

    value().backward()
    for p in family.parameters():
        with torch.no_grad():
            flat, step = p.view(-1), 1e-6
            old = flat[0].item()
            flat[0] = old + step
            high = value().item()
            flat[0] = old - step
            low = value().item()
            flat[0] = old
        assert p.grad.view(-1)[0].item() == pytest.approx((high - low) / (2 * step), abs=1e-6)


def quadratic(z):
    return (z**2).sum(1)


@pytest.mark.parametrize("dim", [1, 3, 10])
def test_variances_of_both_gradients_of_a_square_meet_their_closed_forms(dim):
    """f = |z|², q = N(mu, sigma² I), one component: score and path, without log q."""
    sigma, rng = 0.8, np.random.default_rng(dim)
    mu = rng.uniform(0.3, 1.2, dim)
    eps = rng.standard_normal((400_000, dim))
    z = mu + sigma * eps
    score = (z**2).sum(1) * eps[:, 0] / sigma
    square = mu @ mu
    law = square**2 / sigma**2 + 2 * square * (dim + 4) + 4 * mu[0] ** 2
    law += sigma**2 * (dim + 2) * (dim + 4)
    assert score.var() == pytest.approx(law, rel=0.05)
    assert (2 * z[:, 0]).var() == pytest.approx(4 * sigma**2, rel=0.02)


def test_leave_one_out_needs_far_fewer_samples_than_the_plain_score():
    family = scrambled(DiagonalNormal(5))

    def total(estimator):
        found = gradient_samples(
            quadratic, family, 600, num_samples=8, generator=seeded(), estimator=estimator
        )
        return found.var(0).sum().item()

    plain, loo, path = total("score"), total("score_loo"), total("reparam")
    assert plain > 2 * loo > 4 * path


@pytest.mark.parametrize("make", [DiagonalNormal, FullNormal, lambda d: MixtureNormal(d, 2)])
def test_sticking_the_landing_has_no_noise_at_the_posterior_and_reparam_has(make):
    family = scrambled(make(2))
    with torch.no_grad():
        posterior = scrambled(make(2))
        for p in posterior.parameters():
            p.requires_grad_(False)
    stl = gradient_samples(posterior.log_prob, family, 50, generator=seeded())
    plain = gradient_samples(
        posterior.log_prob, family, 50, generator=seeded(), estimator="reparam"
    )
    assert stl.abs().max() < 1e-8
    assert plain.std(0).max() > 0.1


def without_known_chain(family):
    """The same family as a type of its own, which is left to autograd."""
    family.__class__ = type("Other", (type(family),), {})
    return family


@pytest.mark.parametrize("make", [DiagonalNormal, FullNormal, lambda d: MixtureNormal(d, 2)])
@pytest.mark.parametrize("estimator", ["reparam", "stl"])
def test_the_closed_form_of_a_step_is_what_autograd_finds(make, estimator):
    options = {"num_steps": 25, "num_samples": 3, "lr": 0.1, "progress": False}
    options |= {"estimator": estimator, "average": False}
    known, other = scrambled(make(3)), without_known_chain(scrambled(make(3)))
    fits = [fit_stochastic(polynomial_well, family, **options) for family in (known, other)]
    assert fits[0].elbos == pytest.approx(fits[1].elbos, abs=1e-9)
    for p, peer in zip(known.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, peer, rtol=0, atol=1e-9)
    assert (fits[0].elbos[1:] != fits[0].elbos[:-1]).all()


def polynomial_well(z):
    return -polynomial(z) - 0.3 * (z**4).sum(1)


def test_a_subclass_with_another_sampler_is_not_taken_for_its_parent():
    class Shifted(DiagonalNormal):
        """N(mean + 5, std²)."""

        def sample(self, num_samples, generator=None):
            return super().sample(num_samples, generator) + 5

        def log_prob(self, z):
            return super().log_prob(z - 5)

    family = Shifted(1)
    fit_stochastic(quadratic_well, family, num_steps=800, num_samples=8, lr=0.05, progress=False)
    assert family.mean.item() == pytest.approx(-5, abs=0.05)


def test_a_frozen_parameter_stays_and_the_others_learn():
    family = FullNormal(2)
    family.log_diag.requires_grad_(False)
    fit_stochastic(
        lambda z: quadratic_well(z - 3), family, num_steps=800, num_samples=8, lr=0.05,
        progress=False,
    )  # fmt: skip
    assert family.mean.detach().numpy() == pytest.approx([3, 3], abs=0.05)
    assert (family.log_diag == 0).all()


def test_the_steps_are_those_of_torchs_adam():
    generator, start = seeded(), torch.tensor([0.5, -2.0], dtype=torch.float64)
    ours, peer = DiagonalNormal(1).double(), nn.Parameter(start.clone())
    with torch.no_grad():
        ours.mean.fill_(start[0])
        ours.log_std.fill_(start[1])
    fit_stochastic(
        quadratic_well, ours, num_steps=40, num_samples=2, lr=0.07, generator=generator,
        progress=False, decay=False, average=False, estimator="reparam",
    )  # fmt: skip
    generator, optimizer = seeded(), torch.optim.Adam([peer], lr=0.07)
    for _ in range(40):
        eps = torch.randn((2, 1), generator=generator, dtype=torch.float64)
        optimizer.zero_grad()
        # minus the ELBO: half of z² on average, less the entropy, which is log_std
        (0.5 * ((peer[0] + peer[1].exp() * eps) ** 2).sum(1).mean() - peer[1]).backward()
        optimizer.step()
    found = torch.cat([ours.mean, ours.log_std])
    torch.testing.assert_close(found, peer, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dim", [1, 10, 50])
def test_gaussian_targets_are_reached_in_mean_covariance_and_evidence(dim):
    log_joint, mean, cov, log_z = normal_target(dim)
    family = FullNormal(dim).double()
    fit = fit_stochastic(log_joint, family, num_steps=3000, num_samples=8, lr=0.02, progress=False)
    assert fit.params is family
    assert fit.n_iter == 3000
    std = np.sqrt(np.diag(cov))
    assert np.abs((family.mean.detach().numpy() - mean) / std).max() < 0.01
    assert np.abs((family.cov.numpy() - cov) / np.outer(std, std)).max() < 0.01
    assert fit.elbo == pytest.approx(log_z, abs=0.01)


def test_the_factorised_normal_reaches_the_mean_field_optimum():
    log_joint, mean, cov, _ = normal_target(4)
    family = DiagonalNormal(4).double()
    fit = fit_stochastic(log_joint, family, num_steps=3000, num_samples=16, lr=0.01, progress=False)
    precision = np.linalg.inv(cov)
    assert np.diag(family.cov) == pytest.approx(1 / np.diag(precision), rel=0.05)
    assert family.mean.detach().numpy() == pytest.approx(mean, abs=0.05)
    optimum = 0.5 * np.log(2 * np.pi / np.diag(precision)).sum()
    assert fit.elbo == pytest.approx(optimum, abs=4 * fit.elbo_error)


def logistic_data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    return X, (rng.random(40) < 1 / (1 + np.exp(-X @ [1.0, -2.0, 0.5]))).astype(float)


def torch_logistic(X, y, prior_std):
    signed = torch.tensor((2 * y - 1)[:, None] * X)

    def log_joint(theta):
        prior = torch.distributions.Normal(0.0, prior_std).log_prob(theta).sum(1)
        return nn.functional.logsigmoid(theta @ signed.T).sum(1) + prior

    return log_joint


@pytest.mark.parametrize("factorised", [False, True])
def test_logistic_regression_reaches_the_optimum_that_quadrature_finds(factorised):
    X, y = logistic_data()
    exact = logistic.fit_gaussian(X, y, 2.0, factorised=factorised)
    family = (DiagonalNormal if factorised else FullNormal)(3).double()
    fit = fit_stochastic(
        torch_logistic(X, y, 2.0), family, num_steps=3000, num_samples=16, lr=0.01, progress=False
    )
    assert family.mean.detach().numpy() == pytest.approx(exact.params.mean, abs=0.03)
    assert family.cov.numpy() == pytest.approx(exact.params.cov, abs=0.03)
    reached = logistic.elbo(X, y, 2.0, family.mean.detach().numpy(), family.cov.numpy())
    assert exact.elbo - 0.005 < reached <= exact.elbo + 1e-9
    assert fit.elbo == pytest.approx(reached, abs=4 * fit.elbo_error)


def banana(z):
    return -0.5 * z[:, 0] ** 2 - 2 * (z[:, 1] - z[:, 0] ** 2 + 1) ** 2 - math.log(math.pi)


def test_richer_families_come_nearer_to_the_banana_and_none_passes_its_evidence():
    reached = {}
    for make in (DiagonalNormal, FullNormal, CouplingFlow, lambda d: MixtureNormal(d, 4)):
        family = make(2)
        fit = fit_stochastic(
            banana, family, num_steps=1500, num_samples=32, lr=0.01, progress=False
        )
        reached[type(family).__name__] = fit.elbo
        assert fit.elbo < 4 * fit.elbo_error
    assert reached["CouplingFlow"] > -0.05
    assert reached["CouplingFlow"] > reached["MixtureNormal"] > reached["FullNormal"] + 0.1


def test_two_unequal_modes_are_held_by_a_mixture_each_with_its_weight():
    def log_joint(z):
        log_parts = -0.5 * ((z - torch.tensor([-3.0, 3.0])) / 0.5) ** 2
        return torch.logsumexp(log_parts + torch.tensor([0.2, 0.8]).log(), 1)

    family = MixtureNormal(1, 2, spread=2.0)
    fit = fit_stochastic(log_joint, family, num_steps=2000, num_samples=16, lr=0.02, progress=False)
    assert fit.elbo == pytest.approx(math.log(0.5 * math.sqrt(2 * math.pi)), abs=0.02)
    found = sorted(zip(family.means[:, 0].tolist(), family.weights.tolist(), strict=True))
    assert np.array(found) == pytest.approx(np.array([[-3, 0.2], [3, 0.8]]), abs=0.05)


def test_the_score_function_fits_a_log_joint_without_gradients():
    def log_joint(z):
        return torch.tensor(stats.norm.logpdf(z.numpy(), 2.0, 0.5).sum(1))

    family = DiagonalNormal(1).double()
    fit_stochastic(
        log_joint, family, num_steps=3000, num_samples=16, lr=0.01, progress=False,
        estimator="score_loo",
    )  # fmt: skip
    assert family.mean.item() == pytest.approx(2.0, abs=0.03)
    assert family.log_std.exp().item() == pytest.approx(0.5, abs=0.03)


def minibatch(batch_size, seed=0):
    X, y = logistic_data()
    data = torch.tensor((2 * y - 1)[:, None] * X), torch.arange(40)
    return Minibatch(
        lambda z: -0.5 * (z**2).sum(1), lambda z, x, n: nn.functional.logsigmoid(z @ x.T), data,
        batch_size, seeded(seed),
    )  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_a_minibatch_estimates_value_and_gradient_of_the_full_log_joint_without_bias(batch_size):
    target = minibatch(batch_size)
    z = torch.randn((3, 3), generator=seeded(), dtype=torch.float64, requires_grad=True)
    full = torch.autograd.grad(target.full(z).sum(), z)[0].flatten()
    parts = torch.stack([torch.autograd.grad(target(z).sum(), z)[0].flatten() for _ in range(1500)])
    assert within(parts, full)
    if batch_size < 40:
        assert not within(parts * batch_size / 40, full)  # without the factor N / B
    with torch.no_grad():
        assert within(torch.stack([target(z) for _ in range(1500)]), target.full(z))


def test_a_batch_of_all_rows_is_the_full_log_joint_and_draws_no_numbers():
    model, z = minibatch(40), torch.randn((5, 3), generator=seeded(), dtype=torch.float64)
    state = model.generator.get_state()
    assert (model(z) == model.full(z)).all()
    assert (model.generator.get_state() == state).all()


def test_one_pass_of_minibatches_uses_every_row_once_and_leaves_out_the_rest():
    target, seen = minibatch(7), []
    target.log_likelihood = lambda z, x, n: seen.extend(n.tolist()) or torch.zeros(len(z), len(n))
    for _ in range(5):
        target(torch.zeros((2, 3), dtype=torch.float64))
    assert len(seen) == len(set(seen)) == 35


def test_minibatches_reach_the_fit_of_the_full_batch_and_the_last_entry_uses_all_rows():
    full, small = (
        fit_stochastic(
            minibatch(size), FullNormal(3).double(), num_steps=2000, num_samples=8, lr=0.01,
            progress=False,
        )
        for size in (40, 8)
    )  # fmt: skip
    assert small.elbo == pytest.approx(full.elbo, abs=0.05)
    assert small.elbo_error < 0.1 < small.elbos[-500:-1].std()
    gap = (small.params.mean - full.params.mean).abs() / full.params.cov.diag().sqrt()
    assert gap.max() < 0.15


def test_the_elbo_estimate_is_within_its_error_and_below_the_evidence():
    log_joint, _, _, log_z = normal_target(3)
    family = DiagonalNormal(3).double()
    value, error = elbo_estimate(log_joint, family, 20_000, seeded())
    again, _ = elbo_estimate(log_joint, family, 20_000, seeded(1))
    assert abs(value - again) < 4 * math.sqrt(2) * error
    assert value < log_z
    weights = log_weights(log_joint, family, 20_000, seeded())
    assert weights.mean() == pytest.approx(value)
    assert np.log(np.mean(np.exp(weights))) == pytest.approx(log_z, abs=0.2)


def test_equal_seeds_give_equal_fits_and_the_global_seed_is_untouched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fits = [
        fit_stochastic(
            banana, MixtureNormal(2, 2, generator=seeded(2)), num_steps=30, num_samples=4, lr=0.01,
            generator=seeded(seed), progress=False,
        )
        for seed in (1, 1, 2)
    ]  # fmt: skip
    assert (fits[0].elbos == fits[1].elbos).all()
    assert (fits[0].elbos != fits[2].elbos).any()
    assert torch.equal(before, torch.get_rng_state())


def test_the_stopping_rule_stops_a_fit_that_rests_and_warns_about_one_that_climbs():
    log_joint, *_ = normal_target(3)
    options = {"num_samples": 16, "lr": 0.02, "progress": False, "tol": 0.1, "window": 200}
    rests = fit_stochastic(log_joint, FullNormal(3).double(), num_steps=20_000, **options)
    assert rests.converged
    assert rests.n_iter < 5000
    assert rests.n_iter % 200 == 0
    with pytest.warns(ConvergenceWarning, match="did not converge in 400"):
        climbs = fit_stochastic(log_joint, FullNormal(3).double(), num_steps=400, **options)
    assert not climbs.converged


def test_the_stopping_rule_does_not_take_noise_for_rest():
    """One noisy sample a step: the same fit that looks flat has not been shown to be."""
    log_joint, *_ = normal_target(3)
    with pytest.warns(ConvergenceWarning):
        fit = fit_stochastic(
            log_joint, DiagonalNormal(3).double(), num_steps=1000, num_samples=1, lr=0.02,
            progress=False, tol=0.05, window=100,
        )  # fmt: skip
    assert not fit.converged


def squared_errors(num_seeds=4, **options):
    log_joint, mean, _, _ = normal_target(4)
    found = []
    for seed in range(num_seeds):
        family = DiagonalNormal(4).double()
        fit_stochastic(
            log_joint, family, num_steps=800, num_samples=2, lr=0.05, progress=False,
            generator=seeded(seed), estimator="reparam", window=200, **options,
        )  # fmt: skip
        found.append(float(((family.mean.detach().numpy() - mean) ** 2).sum()))
    return np.mean(found)


def test_averaging_the_last_iterates_or_a_falling_step_brings_them_closer_to_the_optimum():
    plain = squared_errors(average=False, decay=False)
    assert squared_errors(average=True, decay=False) < 0.5 * plain
    assert squared_errors(average=False, decay=True) < 0.5 * plain


def test_a_falling_step_comes_to_rest_at_an_optimum_without_noise_where_adam_does_not():
    log_joint, _, _, log_z = normal_target(20)
    gaps = {
        decay: log_z - fit_stochastic(
            log_joint, FullNormal(20).double(), num_steps=2000, num_samples=16, lr=0.03,
            progress=False, decay=decay, average=False,
        ).elbo
        for decay in (True, False)
    }  # fmt: skip
    assert 10 * abs(gaps[True]) < abs(gaps[False])
    assert abs(gaps[True]) < 1e-6


def test_interrupting_keeps_the_fit(capsys):
    calls = 0

    def log_joint(z):
        nonlocal calls
        calls += 1
        if calls == 200:
            raise KeyboardInterrupt
        return -0.5 * ((z - 3) ** 2).sum(1)

    fit = fit_stochastic(
        log_joint, DiagonalNormal(1), num_steps=10_000, num_samples=4, lr=0.05, progress=False
    )
    assert "interrupted at step 198 of 10000" in capsys.readouterr().out
    assert fit.n_iter == 198
    assert len(fit.elbos) == 199
    assert not fit.converged
    assert 1.0 < fit.params.mean.item() <= 3.1


@pytest.mark.parametrize("average", [True, False])
def test_interrupting_the_first_step_keeps_the_start(average):
    def log_joint(z):
        if len(z) == 4:  # not in the look before the first step
            raise KeyboardInterrupt
        return quadratic_well(z)

    family = DiagonalNormal(1)
    fit = fit_stochastic(
        log_joint, family, num_steps=9, num_samples=4, lr=0.1, progress=False, average=average
    )
    assert fit.n_iter == 0
    assert family.mean.item() == family.log_std.item() == 0.0


def test_a_second_call_goes_on_from_the_first():
    log_joint, mean, _, log_z = normal_target(2)
    family = FullNormal(2).double()
    for _ in range(2):
        fit = fit_stochastic(
            log_joint, family, num_steps=600, num_samples=8, lr=0.02, progress=False
        )
    assert fit.elbos[0] > log_z - 1
    assert family.mean.detach().numpy() == pytest.approx(mean, abs=0.02)


def test_the_progress_bar_is_shown_when_asked_for(capsys):
    options = {"num_steps": 20, "num_samples": 2, "lr": 0.01}
    fit_stochastic(quadratic_well, DiagonalNormal(1), progress=True, **options)
    assert "20/20" in capsys.readouterr().out
    fit_stochastic(quadratic_well, DiagonalNormal(1), progress=False, **options)
    assert capsys.readouterr().out == ""


def quadratic_well(z):
    return -0.5 * (z**2).sum(1)


def two_weights(z):
    return quadratic_well(z) + z @ torch.ones(2)


def frozen(family):
    return family.requires_grad_(False)


def nan_later(z):
    return -5 * torch.sqrt(8 - z[:, 0])  # real until q has climbed to 8


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"log_joint": lambda z: -(z**2)}, ValueError, r"must map \(3, 2\) to a tensor \(3,\)"),
        ({"log_joint": lambda z: -(z**2).sum()}, ValueError, r"got \(\)"),
        ({"log_joint": lambda z: 0.0}, ValueError, "got float"),
        ({"log_joint": lambda z: -(z**2).sum(1) * math.nan}, ValueError, "must be finite"),
        ({"log_joint": lambda z: torch.log(z[:, 0] * 0)}, ValueError, "must be finite"),
        ({"log_joint": lambda z: -(z.detach() ** 2).sum(1)}, ValueError, "differentiable"),
        ({"log_joint": lambda z: z.numpy().sum(1)}, ValueError, "requires grad"),
        ({"log_joint": lambda z: z @ torch.ones(5)}, ValueError, "must take z of shape"),
        ({"log_joint": lambda z: z @ torch.ones(2).double()}, ValueError, "torch.float32"),
        ({"log_joint": lambda z: torch.zeros(len(z))}, ValueError, "differentiable"),
        ({"log_joint": lambda z: -(z**2).sum(1) + torch.inf}, ValueError, "must be finite"),
        ({"family": DiagonalNormal(3), "log_joint": two_weights}, ValueError, "take z of shape"),
        ({"family": CouplingFlow(3), "log_joint": two_weights}, ValueError, r"here \(4, 3\)"),
        ({"family": frozen(DiagonalNormal(2))}, ValueError, "requires a gradient, got none"),
        ({"num_samples": 0}, ValueError, "num_samples must be an integer >= 1"),
        ({"num_samples": 2.0}, ValueError, r"num_samples must be an integer >= 1, got 2.0"),
        ({"num_samples": 1, "estimator": "score_loo"}, ValueError, ">= 2"),
        ({"num_steps": 0}, ValueError, "num_steps"),
        ({"lr": -0.1}, ValueError, "lr must be positive"),
        ({"tol": -1.0}, ValueError, "tol must be >= 0"),
        ({"estimator": "pathwise"}, ValueError, "estimator must be one of"),
        ({"generator": 3}, ValueError, "generator must be a torch.Generator"),
        ({"window": 1}, ValueError, "window must be an integer >= 2"),
        ({"log_joint": nan_later, "lr": 0.5}, FloatingPointError, "diverged at step [1-9]"),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    arguments = {
        "log_joint": quadratic_well, "family": DiagonalNormal(2), "num_steps": 100,
        "num_samples": 4, "lr": 0.01, "progress": False,
    } | changes  # fmt: skip
    with pytest.raises(error, match=message):
        fit_stochastic(arguments.pop("log_joint"), arguments.pop("family"), **arguments)


def test_a_family_that_diverged_is_left_finite():
    family = DiagonalNormal(2)
    with pytest.raises(FloatingPointError):
        fit_stochastic(nan_later, family, num_steps=100, num_samples=4, lr=0.5, progress=False)
    assert all(torch.isfinite(p).all() for p in family.parameters())


def test_families_and_batches_refuse_bad_sizes():
    for make in (DiagonalNormal, FullNormal, CouplingFlow, lambda d: MixtureNormal(d, 2)):
        with pytest.raises(ValueError, match="dim must be an integer"):
            make(0)
    with pytest.raises(ValueError, match="dim must be an integer >= 2"):
        CouplingFlow(1)
    with pytest.raises(ValueError, match="num_components"):
        MixtureNormal(2, 0)
    with pytest.raises(ValueError, match="num_samples"):
        FullNormal(2).sample(0)
    with pytest.raises(ValueError, match="num_samples"):
        MixtureNormal(2, 2).sample(0)
    with pytest.raises(ValueError, match="at most 40"):
        minibatch(41)
    with pytest.raises(ValueError, match="of one length"):
        Minibatch(None, None, (torch.zeros(3), torch.zeros(4)), 1)
    target = minibatch(4)
    target.log_likelihood = lambda z, x, n: torch.zeros(len(z))
    with pytest.raises(ValueError, match=r"log_likelihood must return shape \(2, 4\)"):
        target(torch.zeros((2, 3), dtype=torch.float64))


def test_a_sampler_without_gradients_is_told_about_the_score_function():
    class Fixed(DiagonalNormal):
        def sample(self, num_samples, generator=None):
            return super().sample(num_samples, generator).detach()

    with pytest.raises(ValueError, match="use 'score' or 'score_loo'"):
        fit_stochastic(
            quadratic_well, Fixed(1), num_steps=10, num_samples=2, lr=0.1, progress=False
        )
    surrogate(quadratic_well, Fixed(1), 4, seeded(), "score")[0].backward()


def test_pyro_reaches_the_same_elbo():
    pyro = pytest.importorskip("pyro")
    from pyro.infer import SVI, Trace_ELBO
    from pyro.infer.autoguide import AutoMultivariateNormal

    X, y = logistic_data()
    signed = torch.tensor((2 * y - 1)[:, None] * X)

    def model():
        prior = pyro.distributions.Normal(torch.zeros(3).double(), 2.0).to_event(1)
        theta = pyro.sample("theta", prior)
        pyro.factor("data", nn.functional.logsigmoid(theta @ signed.T).sum(-1))

    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    guide = AutoMultivariateNormal(model)
    loss = Trace_ELBO(num_particles=8, vectorize_particles=True, max_plate_nesting=0)
    svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.03, "lrd": 0.997}), loss)
    for _ in range(1200):
        svi.step()
    peer = guide.get_posterior()
    mean, cov = (part.detach().numpy() for part in (peer.mean, peer.covariance_matrix))
    family = FullNormal(3).double()
    fit_stochastic(
        torch_logistic(X, y, 2.0), family, num_steps=1200, num_samples=8, lr=0.03, progress=False
    )
    ours = logistic.elbo(X, y, 2.0, family.mean.detach().numpy(), family.cov.numpy())
    assert logistic.elbo(X, y, 2.0, mean, cov) == pytest.approx(ours, abs=0.02)
