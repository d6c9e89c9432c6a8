"""The ELBO: its identities on models whose evidence is known, its estimators, and bad input."""

from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import gammaln, logsumexp

from vi_helpers.divergences import kl_categorical, kl_quad
from vi_helpers.elbo import (
    ConjugateNormal,
    DiagonalNormal,
    elbo_enumerated,
    elbo_forms,
    elbo_grid,
    elbo_mc,
    grid_weights,
    importance_bound,
)

GRID = np.linspace(-20.0, 15.0, 7001)


def discrete_model(rng, num_states=5):
    return np.log(rng.dirichlet(np.ones(num_states))), np.log(rng.uniform(0.01, 1, num_states))


def log_poisson_joint(z):
    """z ~ N(0, 1.5²), x = 1 a count with log rate z: no closed form for log p(x)."""
    return stats.norm.logpdf(z[:, 0], 0, 1.5) + z[:, 0] - np.exp(z[:, 0]) - gammaln(2)


def random_normal(rng):
    return DiagonalNormal(rng.uniform(-2, 2), np.log(rng.uniform(0.1, 1.5)))


def test_elbo_plus_kl_is_log_evidence_by_enumeration():
    rng = np.random.default_rng(0)
    log_prior, log_lik = discrete_model(rng)
    log_joint = log_prior + log_lik
    q = rng.dirichlet(np.ones(5), size=200)
    posterior = np.exp(log_joint - logsumexp(log_joint))
    total = elbo_enumerated(log_joint, q) + kl_categorical(q, posterior)
    np.testing.assert_allclose(total, logsumexp(log_joint), atol=1e-12)


def test_elbo_plus_kl_is_log_evidence_in_the_conjugate_normal_model():
    rng = np.random.default_rng(1)
    for _ in range(200):
        model = ConjugateNormal(
            rng.normal(1, 2, rng.integers(0, 8)), rng.uniform(0.2, 3), 0.7, rng.uniform(0.2, 3)
        )
        q = random_normal(rng)
        assert model.elbo(q) + model.kl_posterior(q) == pytest.approx(
            model.log_evidence(), abs=1e-9
        )


def test_elbo_plus_kl_is_log_evidence_on_a_grid():
    rng = np.random.default_rng(2)
    evidence, _ = integrate.quad(
        lambda z: np.exp(log_poisson_joint(np.array([[z]]))[0]), -20, 15, epsabs=1e-13, limit=200
    )
    # The posterior is normalised by its own sum: normalised by evidence, the law could not fail.
    log_sum = logsumexp(log_poisson_joint(GRID[:, None]), b=GRID[1] - GRID[0])
    for _ in range(100):
        q = random_normal(rng)
        kl = kl_quad(
            lambda z, q=q: q.log_prob(z[:, None]),
            lambda z: log_poisson_joint(z[:, None]) - log_sum,
            GRID[0],
            GRID[-1],
        )
        assert kl >= 0
        assert elbo_grid(log_poisson_joint, q, GRID) + kl == pytest.approx(
            np.log(evidence), abs=1e-9
        )


def test_the_four_forms_agree_on_states_and_on_a_grid():
    rng = np.random.default_rng(3)
    log_prior, log_lik = discrete_model(rng)
    q = rng.dirichlet(np.ones(5))
    forms = elbo_forms(log_prior, log_lik, np.log(q))
    np.testing.assert_allclose(
        list(forms.values()), elbo_enumerated(log_prior + log_lik, q), atol=1e-12
    )
    model, q = ConjugateNormal([0.3, 1.1], prior_std=2.0), DiagonalNormal(0.4, -0.5)
    z = GRID[:, None]
    forms = elbo_forms(
        model.log_prior(z), model.log_likelihood(z), q.log_prob(z), grid_weights(GRID)
    )
    assert len(forms) == 4
    np.testing.assert_allclose(list(forms.values()), model.elbo(q), atol=1e-9)


def test_forms_allow_states_without_mass_and_without_probability():
    log_prior, log_lik = np.log([0.5, 0.3, 0.2]), np.array([-1.0, -2.0, -np.inf])
    with np.errstate(divide="ignore"):
        inside, outside = np.log([0.4, 0.6, 0.0]), np.log([0.4, 0.0, 0.6])
    forms = list(elbo_forms(log_prior, log_lik, inside).values())
    np.testing.assert_allclose(forms, elbo_enumerated(log_prior + log_lik, [0.4, 0.6, 0.0]))
    assert np.isfinite(forms).all()
    assert set(elbo_forms(log_prior, log_lik, outside).values()) == {-np.inf}
    assert elbo_enumerated(log_prior + log_lik, [0.4, 0.0, 0.6]) == -np.inf


def test_conjugate_evidence_and_posterior_match_scipy_and_quadrature():
    model = ConjugateNormal([0.5, -1.0, 2.5], noise_std=0.7, prior_mean=0.4, prior_std=1.8)
    cov = 0.7**2 * np.eye(3) + 1.8**2
    joint = stats.multivariate_normal([0.4] * 3, cov)
    assert model.log_evidence() == pytest.approx(joint.logpdf(model.x), abs=1e-12)
    z, p = GRID[:, None], model.posterior()
    np.testing.assert_allclose(
        p.log_prob(z), model.log_joint(z) - model.log_evidence(), atol=1e-9, rtol=1e-10
    )
    q = DiagonalNormal(0.2, 0.1)
    assert model.elbo(q) == pytest.approx(elbo_grid(model.log_joint, q, GRID), abs=1e-9)


def test_monte_carlo_elbo_covers_the_exact_value():
    rng = np.random.default_rng(4)
    model, q = ConjugateNormal([0.3, 1.1, 0.2]), DiagonalNormal(0.0, -0.3)
    runs = np.array([elbo_mc(model.log_joint, q, 200, rng) for _ in range(400)])
    scores = (runs[:, 0] - model.elbo(q)) / runs[:, 1]
    assert abs(scores.mean()) < 4 / np.sqrt(400)
    assert scores.std() == pytest.approx(1.0, abs=0.15)


def test_monte_carlo_elbo_has_zero_variance_at_the_posterior():
    model = ConjugateNormal([0.3, 1.1, 0.2])
    estimate, error = elbo_mc(model.log_joint, model.posterior(), 50, np.random.default_rng(5))
    assert estimate == pytest.approx(model.log_evidence(), abs=1e-12)
    assert error < 1e-14


def test_importance_bound_matches_enumeration_and_rises_with_k():
    class Coin:
        """z in {0, 1} as (S, 1) floats, so that E[log mean of k weights] is a finite sum."""

        def sample(self, num_samples, rng):
            return (rng.random((num_samples, 1)) < 0.7).astype(float)

        def log_prob(self, z):
            return np.log(np.where(z[:, 0] == 1, 0.7, 0.3))

    log_joint = np.log([0.25, 0.05])
    log_w, log_q = log_joint - np.log([0.3, 0.7]), np.log([0.3, 0.7])
    rng, exact = np.random.default_rng(6), []
    for k in (1, 2, 5):
        draws = np.array(list(product([0, 1], repeat=k)))
        exact.append(np.exp(log_q[draws].sum(1)) @ (logsumexp(log_w[draws], axis=1) - np.log(k)))
        estimate, error = importance_bound(
            lambda z: log_joint[z[:, 0].astype(int)], Coin(), k, 4000, rng
        )
        assert abs(estimate - exact[-1]) < 4 * error
    assert exact[0] == pytest.approx(elbo_enumerated(log_joint, [0.3, 0.7]))
    assert np.all(np.diff(exact) > 0.01)
    assert exact[-1] < logsumexp(log_joint)


def test_importance_bound_survives_log_weights_far_below_underflow():
    model, q = ConjugateNormal([0.3]), DiagonalNormal(0.0, 0.0)
    far = importance_bound(lambda z: model.log_joint(z) - 5000, q, 10, 50, np.random.default_rng(7))
    near = importance_bound(model.log_joint, q, 10, 50, np.random.default_rng(7))
    np.testing.assert_allclose(far[0] + 5000, near[0], atol=1e-9)


def test_diagonal_normal_matches_scipy_and_its_own_samples():
    q = DiagonalNormal([0.5, -1.0], [0.2, -0.7])
    cov = np.diag(np.exp([0.4, -1.4]))
    peer = stats.multivariate_normal([0.5, -1.0], cov)
    z = q.sample(20_000, np.random.default_rng(8))
    assert z.shape == (20_000, 2)
    np.testing.assert_allclose(q.log_prob(z), peer.logpdf(z), atol=1e-10)
    assert q.entropy() == pytest.approx(peer.entropy(), abs=1e-12)
    np.testing.assert_allclose(np.cov(z.T), cov, atol=4 * 1.5 * np.sqrt(2 / 20_000))
    np.testing.assert_allclose(z.mean(axis=0), q.mean, atol=4 * 1.3 / np.sqrt(20_000))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: elbo_enumerated([0.0, np.nan], [0.5, 0.5]), "log_joint_table"),
        (lambda: elbo_enumerated([0.0, 0.0], [0.5, 0.6]), "q"),
        (lambda: elbo_enumerated([0.0, 0.0, 0.0], [0.5, 0.5]), "log_joint_table"),
        (lambda: elbo_forms([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]), "log_q"),
        (lambda: elbo_grid(log_poisson_joint, DiagonalNormal(0, 0), [0.0, 1.0]), "q"),
        (lambda: elbo_grid(log_poisson_joint, DiagonalNormal(0, 0), [1.0, 0.0]), "grid"),
        (lambda: DiagonalNormal([0.0, 1.0], [0.0]), "log_std"),
        (lambda: DiagonalNormal(np.inf, 0.0), "mean"),
        (lambda: DiagonalNormal(0.0, 0.0).sample(0, np.random.default_rng(0)), "num_samples"),
        (lambda: DiagonalNormal(0.0, 0.0).sample(3, 7), "rng"),
        (lambda: DiagonalNormal(0.0, 0.0).log_prob(np.zeros((3, 2))), "z"),
        (lambda: ConjugateNormal([[0.0]]), "x"),
        (lambda: ConjugateNormal([0.0], noise_std=0.0), "noise_std"),
        (lambda: ConjugateNormal([0.0], prior_std=-1.0), "prior_std"),
    ],
)
def test_bad_input_names_the_argument(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()


def test_estimators_refuse_a_log_joint_that_is_not_finite():
    rng, q = np.random.default_rng(9), DiagonalNormal(0.0, 0.0)
    for bad in (-np.inf, np.inf, np.nan):
        with pytest.raises(ValueError, match="log_joint"):
            elbo_mc(lambda z, bad=bad: np.full(len(z), bad), q, 10, rng)
    with pytest.raises(ValueError, match="log_joint must map"):
        elbo_mc(lambda z: z, q, 10, rng)
    with pytest.raises(ValueError, match="num_samples"):
        elbo_mc(log_poisson_joint, q, 1, rng)
    with pytest.raises(ValueError, match="num_repeats"):
        importance_bound(log_poisson_joint, q, 5, 1, rng)
