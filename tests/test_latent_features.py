"""Laws of EM for binary latent factors, exact and restricted."""

import numpy as np
import pytest
import reference
from scipy.special import expit, logsumexp

from vi_helpers import datasets
from vi_helpers import latent_features as lf
from vi_helpers.results import ConvergenceWarning


def random_problem(rng, num_points=40, dim=5, num_factors=3, noise_std=0.7):
    weights = rng.normal(size=(dim, num_factors))
    bias = rng.normal(size=dim)
    pi = rng.uniform(0.2, 0.8, num_factors)
    states = rng.random((num_points, num_factors)) < pi
    X = states @ weights.T + bias + noise_std * rng.normal(size=(num_points, dim))
    return X, lf.LatentParams(pi, weights, bias, noise_std**2)


def test_the_log_likelihood_is_that_of_a_mixture_of_all_states():
    rng = np.random.default_rng(1)
    X, params = random_problem(rng, num_points=8)
    terms = [[reference.latent_log_joint(x, z, params) for z in lf.all_states(3)] for x in X]
    expected = logsumexp(terms, axis=1).sum()
    assert lf.log_evidence(X, params) == pytest.approx(expected, abs=1e-9)


def test_the_exact_e_step_closes_the_gap_for_any_parameters():
    rng = np.random.default_rng(2)
    for _ in range(5):
        X, params = random_problem(rng)
        bound = lf.elbo(X, params, lf.e_step_exact(X, params))
        assert bound == pytest.approx(lf.log_evidence(X, params), abs=1e-9)


def test_the_factorised_bound_is_the_sum_over_all_states():
    rng = np.random.default_rng(3)
    X, params = random_problem(rng, num_points=6)
    for mean in (rng.random((6, 3)), lf.e_step_hard(X, params).mean):
        bound = lf.elbo(X, params, lf.factorised(mean))
        assert bound == pytest.approx(reference.latent_elbo(X, params, mean), abs=1e-9)


def test_a_coordinate_update_is_the_best_value_of_its_factor():
    rng = np.random.default_rng(4)
    X, params = random_problem(rng)
    mean = rng.random((len(X), 3))
    for k in range(3):
        mean[:, k] = lf.update_factor(X, params, mean, k)
        best = lf.elbo(X, params, lf.factorised(mean))
        for step in (-0.05, 0.05):
            other = mean.copy()
            other[:, k] = expit(np.log(mean[:, k]) - np.log1p(-mean[:, k]) + step)
            assert lf.elbo(X, params, lf.factorised(other)) < best


def test_a_sweep_is_one_update_of_each_factor_in_turn():
    rng = np.random.default_rng(44)
    X, params = random_problem(rng)
    mean = np.tile(params.pi, (len(X), 1))
    for _ in range(3):
        for k in range(3):
            mean[:, k] = lf.update_factor(X, params, mean, k)
    swept = lf.e_step_mean_field(X, params, sweeps=3)
    np.testing.assert_allclose(swept.mean, mean, rtol=1e-10, atol=1e-14)


def test_no_restricted_bound_passes_the_exact_log_likelihood():
    rng = np.random.default_rng(5)
    for _ in range(5):
        X, params = random_problem(rng)
        exact = lf.log_evidence(X, params)
        hard = lf.e_step_hard(X, params)
        started_hard = lf.e_step_mean_field(X, params, hard)
        bounds = [lf.elbo(X, params, q) for q in (hard, started_hard)]
        assert bounds[0] <= bounds[1] < exact  # a point mass is one of the factorised q
        assert lf.elbo(X, params, lf.factorised(rng.random((len(X), 3)))) < exact


@pytest.mark.parametrize("e_step", ["mean_field", "hard"])
def test_the_bound_stays_below_the_exact_likelihood_at_every_iteration(e_step):
    rng = np.random.default_rng(6)
    X = datasets.make_bars(200, 3, rng, noise_std=0.5)[0].reshape(200, -1)
    params, q = lf.init_params(X, 6, rng), None
    for _ in range(15):
        q = lf.E_STEPS[e_step](X, params, q)
        after_e = lf.elbo(X, params, q)
        assert after_e < lf.log_evidence(X, params)
        params = lf.m_step(X, q)
        assert after_e - 1e-9 < lf.elbo(X, params, q) < lf.log_evidence(X, params)


@pytest.mark.parametrize("e_step", ["exact", "mean_field", "hard"])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_never_falls(e_step, seed):
    rng = np.random.default_rng(seed)
    X, _ = random_problem(rng, num_points=150)
    init = lf.init_params(X, 4, rng)
    fit = lf.fit_em(X, init, e_step=e_step, learn_bias=True, max_iter=3000, tol=1e-5)
    assert fit.converged
    assert np.diff(fit.elbos).min() > -1e-8
    assert len(fit.elbos) == fit.n_iter + 1


@pytest.mark.parametrize("learn_bias", [False, True])
def test_the_m_step_is_the_best_theta(learn_bias):
    rng = np.random.default_rng(7)
    X, params = random_problem(rng)
    q = lf.e_step_exact(X, params)
    best = lf.m_step(X, q, learn_bias=learn_bias)
    top = lf.elbo(X, best, q)
    fields = ["pi", "weights", "noise_var"] + ["bias"] * learn_bias
    for name in fields:
        for _ in range(5):
            value = getattr(best, name)
            moved = vars(best) | {name: value * (1 + 0.01 * rng.normal(size=np.shape(value)))}
            assert lf.elbo(X, lf.LatentParams(**moved), q) < top


def test_features_that_do_not_overlap_leave_mean_field_no_gap():
    rng = np.random.default_rng(8)
    X, params = random_problem(rng)
    axes = np.linalg.qr(rng.normal(size=(5, 3)))[0] * [1.0, 2.0, 0.5]
    params = lf.LatentParams(params.pi, axes, params.bias, params.noise_var)
    bound = lf.elbo(X, params, lf.e_step_mean_field(X, params))
    assert bound == pytest.approx(lf.log_evidence(X, params), abs=1e-9)


def test_mean_field_pushes_overlapping_features_apart_and_exact_em_does_not():
    rng = np.random.default_rng(9)
    overlap = 0.6
    weights = np.array([[1, overlap], [0, 0.8]])
    states = rng.random((3000, 2)) < 0.5
    X = states @ weights.T + 0.4 * rng.normal(size=(3000, 2))
    init = lf.LatentParams(np.full(2, 0.5), weights, np.zeros(2), 0.16)
    cosines = {}
    for e_step in ("exact", "mean_field"):
        learned = lf.fit_em(X, init, e_step=e_step, max_iter=1000).params.weights
        unit = learned / np.linalg.norm(learned, axis=0)
        cosines[e_step] = unit[:, 0] @ unit[:, 1]
    assert cosines["exact"] == pytest.approx(overlap, abs=0.05)
    assert 0 < cosines["mean_field"] < overlap - 0.1


def test_exact_em_finds_the_bars():
    rng = np.random.default_rng(1)
    images, _, bars = datasets.make_bars(400, 3, rng, noise_std=0.5)
    X = images.reshape(400, -1)
    fit = lf.fit_em(X, lf.init_params(X, 6, rng))
    misfit = ((bars.reshape(6, -1)[:, :, None] - fit.params.weights) ** 2).mean(axis=1)
    assert sorted(misfit.argmin(axis=1)) == list(range(6))
    assert misfit.min(axis=1).max() < 0.02
    assert np.sqrt(fit.params.noise_var) == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(fit.params.pi, 0.3, atol=0.07)


def test_units_and_a_shift_change_only_units_and_bias():
    rng = np.random.default_rng(10)
    X, init = random_problem(rng)
    for e_step in ("exact", "mean_field", "hard"):
        plain = lf.fit_em(X, init, e_step=e_step, learn_bias=True, max_iter=2000)
        scaled_init = lf.LatentParams(
            init.pi, 1e4 * init.weights, 1e4 * init.bias + 1e6, 1e8 * init.noise_var
        )
        moved = 1e4 * X + 1e6
        fit = lf.fit_em(moved, scaled_init, e_step=e_step, learn_bias=True, max_iter=2000)
        shift = X.size * np.log(1e4)
        assert fit.elbo + shift == pytest.approx(plain.elbo, abs=1e-3)
        np.testing.assert_allclose(fit.params.weights, 1e4 * plain.params.weights, rtol=1e-2)


def test_factors_that_nobody_uses_and_perfect_fits_stay_finite():
    X = np.tile([[1.0, 2.0]], (10, 1))
    pi = np.array([0.5, 1e-6])
    init = lf.LatentParams(pi, np.array([[1.0, 50.0], [2.0, 50.0]]), np.zeros(2), 1.0)
    for e_step in lf.E_STEPS:
        fit = lf.fit_em(X, init, e_step=e_step, min_noise_var=1e-4)
        assert np.isfinite(fit.elbos).all()
        assert np.diff(fit.elbos).min() > -1e-8
        assert fit.params.noise_var == pytest.approx(1e-4)
        assert ((fit.params.pi > 0) & (fit.params.pi < 1)).all()


def test_make_bars_adds_the_bars_that_are_on_and_noise():
    images, on, bars = datasets.make_bars(3000, 4, np.random.default_rng(11), noise_std=0.2)
    assert images.shape == (3000, 4, 4)
    assert bars.shape == (8, 4, 4)
    assert (bars.sum(axis=(1, 2)) == 4).all()
    np.testing.assert_allclose(bars.sum(axis=0), 2)  # each pixel in one row and one column
    clean = sum(on[:, k, None, None] * bars[k] for k in range(8))
    assert (images - clean).std() == pytest.approx(0.2, abs=0.005)
    assert on.mean() == pytest.approx(0.3, abs=0.02)


def test_a_fit_stopped_too_early_says_so_once():
    X, init = random_problem(np.random.default_rng(12))
    with pytest.warns(ConvergenceWarning, match="fit_em did not converge in 1") as record:
        fit = lf.fit_em(X, init, max_iter=1)
    assert len(record) == 1
    assert not fit.converged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.full((40, 5), np.nan)}, "X must be finite"),
        ({"X": np.zeros((40, 4))}, "X must have shape"),
        ({"e_step": "soft"}, "e_step must be one of 'exact'"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"tol": -1.0}, "tol must be >= 0"),
        ({"min_noise_var": -1.0}, "min_noise_var must be positive"),
    ],
)
def test_bad_input_is_named(change, message):
    X, init = random_problem(np.random.default_rng(13))
    with pytest.raises(ValueError, match=message):
        lf.fit_em(**({"X": X, "init": init} | change))


def test_bad_starts_and_too_many_states_are_refused():
    X, init = random_problem(np.random.default_rng(14))
    for field, value in [("pi", np.array([0.5, 1.0, 0.5])), ("noise_var", 0.0)]:
        with pytest.raises(ValueError, match=f"^{field} must"):
            lf.fit_em(X, lf.LatentParams(**(vars(init) | {field: value})))
    with pytest.raises(ValueError, match="num_factors must be <= 14 to enumerate, got 30"):
        lf.all_states(30)
    with pytest.raises(ValueError, match="rng must be"):
        lf.init_params(X, 3, 7)
