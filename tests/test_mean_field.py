"""mean_field: brute force, quadrature, random perturbations, and mixture_vb where they meet."""

import numpy as np
import pytest
import reference
from scipy import optimize

from vi_helpers import mean_field, mixture_vb
from vi_helpers.divergences import kl_mvn
from vi_helpers.results import ConvergenceWarning

SHAPES = [(1, 1), (1, 4), (2, 2), (2, 6), (3, 4), (4, 3)]


def gaussian_target(dim, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(dim, dim + 2))
    return rng.normal(size=dim), root @ root.T / (dim + 2)


def some_blocks(dim, seed):
    order = np.random.default_rng(seed).permutation(dim)
    return [list(order[:2]), *[[i] for i in order[2:]]]


def points(num_points, seed=0):
    return np.random.default_rng(seed).normal(0, 2.5, num_points)


def random_q(num_points, num_components, seed=0):
    """A q that no update made, so that no term of the bound cancels."""
    rng = np.random.default_rng(seed)
    resp = rng.dirichlet(np.full(num_components, 0.7), num_points)
    return mean_field.UnitMixtureQ(
        rng.normal(size=num_components), rng.uniform(0.3, 2, num_components), resp
    )


# A Gaussian target


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_the_trace_is_minus_kl_after_each_sweep_and_never_falls(dim):
    mean, cov = gaussian_target(dim, seed=dim)
    blocks = some_blocks(dim, seed=1)
    start = mean + np.linspace(1, 2, dim)
    fit = mean_field.fit_gaussian_target(mean, cov, start, blocks=blocks, max_iter=7, tol=0)
    precision, q_mean, expected = np.linalg.inv(cov), start, []
    q_cov = mean_field.factorised_cov(precision, blocks)
    for sweep in range(8):
        expected.append(-kl_mvn(q_mean, q_cov, mean, cov))
        for block in blocks if sweep < 7 else []:
            q_mean = mean_field.update_q_block(q_mean, block, mean, precision)
            assert -kl_mvn(q_mean, q_cov, mean, cov) >= expected[-1] - 1e-12
    np.testing.assert_allclose(fit.elbos, expected, atol=1e-10)
    np.testing.assert_allclose(fit.params.mean, q_mean)
    assert np.diff(fit.elbos).min() >= -1e-12


@pytest.mark.parametrize("blocks", [None, [[2, 0], [1, 3]], [[3], [0, 1, 2]]])
def test_the_optimum_has_the_target_mean_and_no_q_of_its_family_is_better(blocks):
    mean, cov = gaussian_target(4, seed=5)
    fit = mean_field.fit_gaussian_target(mean, cov, np.zeros(4), blocks=blocks, tol=1e-15)
    np.testing.assert_allclose(fit.params.mean, mean, atol=1e-6)
    least = kl_mvn(fit.params.mean, fit.params.cov, mean, cov)
    rng = np.random.default_rng(0)
    inside = fit.params.cov != 0
    for _ in range(50):
        shake = np.where(inside, rng.normal(size=(4, 4)), 0)
        other = np.linalg.inv(np.linalg.inv(fit.params.cov) + 0.02 * (shake + shake.T))
        assert kl_mvn(fit.params.mean + 0.02 * rng.normal(size=4), other, mean, cov) > least


def test_each_variance_alone_is_one_over_the_diagonal_of_the_precision():
    mean, cov = gaussian_target(5, seed=2)
    fit = mean_field.fit_gaussian_target(mean, cov, mean)
    np.testing.assert_allclose(fit.params.cov, np.diag(1 / np.diag(np.linalg.inv(cov))))


def test_one_block_is_exact_after_one_sweep():
    mean, cov = gaussian_target(3, seed=3)
    fit = mean_field.fit_gaussian_target(mean, cov, mean + 5, blocks=[[0, 1, 2]], max_iter=2)
    np.testing.assert_allclose(fit.params.cov, cov)
    assert fit.elbos[1] == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("rho", [0.3, -0.9])
def test_in_the_plane_a_sweep_shrinks_the_error_by_rho_squared(rho):
    precision = np.linalg.inv([[1.0, rho], [rho, 1.0]])
    q_mean = np.array([5.0, -2.0])
    for sweep in range(5):
        before = q_mean
        for i in (0, 1):
            q_mean = mean_field.update_q_block(q_mean, [i], np.zeros(2), precision)
        if sweep:  # the first sweep forgets the start of the first coordinate
            np.testing.assert_allclose(q_mean, rho**2 * before, rtol=1e-10)


def test_a_sweep_is_the_linear_map_of_block_gauss_seidel():
    mean, cov = gaussian_target(5, seed=4)
    precision, blocks = np.linalg.inv(cov), [[3, 1], [0], [4, 2]]
    place = np.empty(5, dtype=int)
    for number, block in enumerate(blocks):
        place[block] = number
    solved = np.where(place[:, None] >= place, precision, 0)
    sweep = np.linalg.solve(solved, solved - precision)
    q_mean = start = mean + np.arange(1.0, 6.0)
    for block in blocks:
        q_mean = mean_field.update_q_block(q_mean, block, mean, precision)
    np.testing.assert_allclose(q_mean - mean, sweep @ (start - mean), atol=1e-12)
    assert np.abs(np.linalg.eigvals(sweep)).max() < 1


def test_joining_blocks_never_loosens_the_bound():
    for seed in range(20):
        mean, cov = gaussian_target(4, seed)
        bounds = [
            mean_field.fit_gaussian_target(mean, cov, mean, blocks=blocks).elbo
            for blocks in (None, [[0, 1], [2], [3]], [[0, 1], [2, 3]], [[0, 1, 2, 3]])
        ]
        assert np.diff(bounds).min() > -1e-12


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mean": [0, np.nan]}, "mean must be finite"),
        ({"cov": [[1, 2], [2, 1]]}, "cov must be positive definite"),
        ({"cov": np.eye(3)}, "cov must have shape"),
        ({"init_mean": [0.0]}, "init_mean must have shape"),
        ({"init_mean": [np.inf, 0]}, "init_mean must be finite"),
        ({"blocks": [[0, 1], [1]]}, "blocks must hold each of 0..1 exactly once"),
        ({"blocks": [[0]]}, "blocks must hold each of 0..1 exactly once"),
        ({"blocks": [[0], [2]]}, "blocks must hold each of 0..1 exactly once"),
        ({"blocks": [[0, 1], []]}, "none be empty"),
        ({"blocks": [[0.5], [1]]}, "blocks must hold"),
        ({"blocks": [0, 1]}, "blocks must be lists of indices"),
        ({"blocks": 3}, "blocks must be lists of indices"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": np.nan}, "tol"),
    ],
)
def test_the_gaussian_fit_refuses_bad_input(change, complaint):
    arguments = {"mean": [0, 0], "cov": np.eye(2), "init_mean": [1, 1]} | change
    with pytest.raises(ValueError, match=complaint):
        mean_field.fit_gaussian_target(**arguments)


# The Bayesian mixture


@pytest.mark.parametrize(("K", "N"), SHAPES)
def test_the_log_evidence_is_the_sum_over_assignments_one_by_one(K, N):
    x = points(N, seed=K + N)
    expected = reference.unit_mixture_log_evidence_by_assignments(x, K, 1.7)
    assert mean_field.unit_mixture_log_evidence(x, K, prior_std=1.7) == pytest.approx(expected)


@pytest.mark.parametrize("prior_std", [0.6, 3.0])
@pytest.mark.parametrize("K", [1, 2])
def test_the_log_evidence_is_that_of_quadrature_over_the_means(K, prior_std):
    x = points(7)
    expected = reference.unit_mixture_log_evidence_by_quadrature(x, K, prior_std)
    ours = mean_field.unit_mixture_log_evidence(x, K, prior_std=prior_std)
    assert ours == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("K", "N"), SHAPES)
def test_the_elbo_is_the_expectation_term_by_term_and_below_the_evidence(K, N):
    x = points(N)
    evidence = mean_field.unit_mixture_log_evidence(x, K, prior_std=2.3)
    for seed in range(5):
        q = random_q(N, K, seed)
        bound = mean_field.elbo(x, q, prior_std=2.3)
        expected = reference.unit_mixture_elbo(x, q.means, q.stds, q.resp, 2.3)
        assert bound == pytest.approx(expected, abs=1e-9)
        assert bound <= evidence + 1e-10


def test_a_responsibility_of_zero_costs_nothing():
    q = mean_field.UnitMixtureQ([-1, 2], [0.5, 1.5], [[1, 0], [0, 1], [0.4, 0.6]])
    expected = reference.unit_mixture_elbo(points(3), q.means, q.stds, q.resp, 2.0)
    assert mean_field.elbo(points(3), q, prior_std=2.0) == pytest.approx(expected)


def test_each_update_is_the_best_that_an_optimiser_finds():
    x, q = points(5), random_q(5, 3)

    def loss_of_means(v):
        moved = mean_field.UnitMixtureQ(v[:3], np.exp(v[3:]), q.resp)
        return -mean_field.elbo(x, moved, prior_std=2.0)

    def loss_of_resp(v):
        resp = np.exp(v.reshape(5, 3))
        moved = mean_field.UnitMixtureQ(q.means, q.stds, resp / resp.sum(axis=1, keepdims=True))
        return -mean_field.elbo(x, moved, prior_std=2.0)

    means, stds = mean_field.update_q_means(x, q.resp, prior_std=2.0)
    found = optimize.minimize(loss_of_means, np.zeros(6), tol=1e-9).x
    np.testing.assert_allclose(found, [*means, *np.log(stds)], atol=1e-4)
    found = np.exp(optimize.minimize(loss_of_resp, np.zeros(15), tol=1e-9).x.reshape(5, 3))
    resp = mean_field.update_q_assignments(x, q.means, q.stds)
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), resp, atol=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_the_bound_never_falls_and_the_end_is_a_fixed_point(seed):
    x = points(40, seed)
    rng = np.random.default_rng(seed)
    fit = mean_field.fit_unit_mixture(x, 4, prior_std=3.0, rng=rng, tol=1e-12, max_iter=20_000)
    assert np.diff(fit.elbos).min() > -1e-11
    assert fit.elbo == pytest.approx(mean_field.elbo(x, fit.params, prior_std=3.0))
    resp = mean_field.update_q_assignments(x, fit.params.means, fit.params.stds)
    np.testing.assert_allclose(resp, fit.params.resp, atol=1e-4)


def test_one_component_is_exact():
    x = points(9)
    fit = mean_field.fit_unit_mixture(x, 1, prior_std=2.0)
    evidence = mean_field.unit_mixture_log_evidence(x, 1, prior_std=2.0)
    assert fit.elbo == pytest.approx(evidence, abs=1e-10)


def test_renaming_the_components_and_mirroring_the_line_change_nothing_else():
    x, init = points(12), np.array([-1.0, 0.2, 2.0])
    one = mean_field.fit_unit_mixture(x, 3, prior_std=2.0, init=init)
    two = mean_field.fit_unit_mixture(-x, 3, prior_std=2.0, init=-init[::-1])
    np.testing.assert_allclose(one.params.means, -two.params.means[::-1])
    np.testing.assert_allclose(one.params.resp, two.params.resp[:, ::-1])
    np.testing.assert_allclose(one.elbos, two.elbos)


def test_equal_starts_stay_equal_for_ever():
    x = points(12)
    fit = mean_field.fit_unit_mixture(x, 3, prior_std=2.0, init=np.full((12, 3), 1 / 3))
    assert np.ptp(fit.params.means) < 1e-12
    assert fit.elbo < mean_field.fit_unit_mixture(x, 3, prior_std=2.0).elbo


def test_points_that_are_all_equal_do_not_make_an_equal_start():
    fit = mean_field.fit_unit_mixture(np.full(6, 2.0), 2, prior_std=2.0, max_iter=1, tol=0)
    assert np.ptp(fit.params.resp, axis=1).min() > 1e-6


def test_the_three_ways_to_start_agree():
    x, means = points(8), np.array([-2.0, 0.5, 3.0])
    resp = mean_field.update_q_assignments(x, means, np.ones(3))
    q = mean_field.UnitMixtureQ(*mean_field.update_q_means(x, resp, prior_std=2.0), resp)
    fits = [mean_field.fit_unit_mixture(x, 3, prior_std=2.0, init=i) for i in (means, resp, q)]
    for fit in fits[1:]:
        np.testing.assert_allclose(fit.elbos, fits[0].elbos)


def test_a_generator_decides_the_start_and_without_one_fits_repeat():
    x = points(30)
    starts = [
        mean_field.fit_unit_mixture(x, 3, prior_std=2.0, rng=rng).elbos[0]
        for rng in (None, None, np.random.default_rng(7))
    ]
    assert starts[0] == starts[1] != starts[2]


def test_the_exact_posterior_has_the_moments_of_quadrature():
    x, s = points(6, seed=1), 2.0
    grid = np.linspace(-9, 9, 721)
    one, two = np.meshgrid(grid, grid, indexing="ij")
    log_p = -0.5 * (one**2 + two**2) / s**2
    for point in x:
        log_p = log_p + np.logaddexp(-0.5 * (point - one) ** 2, -0.5 * (point - two) ** 2)
    p = np.exp(log_p - log_p.max())
    p = p / p.sum()
    exact = mean_field.exact_posterior(x, 2, prior_std=s)
    probs = exact.probs
    assert probs.sum() == pytest.approx(1)
    assert probs @ exact.means[:, 0] == pytest.approx((p * one).sum(), abs=1e-6)
    second = probs @ (exact.means**2 + exact.stds**2)[:, 1]
    assert second == pytest.approx((p * two**2).sum(), abs=1e-6)
    product = probs @ exact.means.prod(axis=1)
    assert product == pytest.approx((p * one * two).sum(), abs=1e-6)


def test_draws_of_the_exact_posterior_have_its_moments():
    exact = mean_field.exact_posterior(points(5), 3, prior_std=2.0)
    draws = exact.sample(40_000, np.random.default_rng(0))
    for power, expected in ((1, exact.means), (2, exact.means**2 + exact.stds**2)):
        values = draws**power
        error = values.std(axis=0) / np.sqrt(len(values))
        assert (np.abs(values.mean(axis=0) - exact.probs @ expected) < 4 * error).all()
    spread = draws.prod(axis=1)
    expected = exact.probs @ exact.means.prod(axis=1)  # independent given the assignment
    assert abs(spread.mean() - expected) < 4 * spread.std() / np.sqrt(len(spread))


def test_the_chance_of_sharing_a_component_is_that_of_the_list():
    x = points(4)
    exact = mean_field.exact_posterior(x, 3, prior_std=2.0)
    together = exact.same_component()
    expected = sum(p for p, c in zip(exact.probs, exact.labels, strict=True) if c[1] == c[3])
    assert together[1, 3] == pytest.approx(expected)
    np.testing.assert_allclose(np.diag(together), 1)


def test_mixture_vb_tends_to_this_model_as_its_prior_fixes_weights_and_precisions():
    x, s = points(25), 2.5
    init = np.array([-2.0, 0.0, 2.5])
    ours = mean_field.fit_unit_mixture(x, 3, prior_std=s, init=init, tol=1e-9)
    resp = mean_field.update_q_assignments(x, init, np.ones(3))
    gaps = []
    for sure in (1e3, 1e5):
        prior = mixture_vb.Prior(sure, 1 / s**2, np.zeros(1), np.eye(1) / sure, sure)
        peer = mixture_vb.fit_vb(x[:, None], 3, prior=prior, init=resp, tol=1e-9)
        gaps.append(np.abs(peer.params.m[:, 0] - ours.params.means).max())
        gaps.append(abs(peer.elbo - ours.elbo))
    assert gaps[2] < 1e-3 and gaps[3] < 1e-2
    assert gaps[2] < gaps[0] / 50 and gaps[3] < gaps[1] / 50  # the error falls like 1 / sure


def test_far_from_zero_no_digit_that_matters_is_lost():
    x = points(20) + 1e6
    fit = mean_field.fit_unit_mixture(x, 2, prior_std=1e6, init=x[:2], tol=1e-6)
    near = mean_field.fit_unit_mixture(x - 1e6, 2, prior_std=1e6, init=x[:2] - 1e6, tol=1e-6)
    np.testing.assert_allclose(fit.params.means - 1e6, near.params.means, atol=1e-4)


def test_a_fit_that_is_cut_short_warns():
    with pytest.warns(ConvergenceWarning, match="fit_unit_mixture did not converge in 1"):
        mean_field.fit_unit_mixture(points(9), 2, prior_std=2.0, max_iter=1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"x": [1.0, np.nan]}, "x must be finite"),
        ({"x": [[1.0], [2.0]]}, "x must have 1 dimension"),
        ({"x": []}, "x must hold at least one number"),
        ({"num_components": 3}, "num_components must be at most the number of points, 2, got 3"),
        ({"num_components": 0}, "num_components must be an integer >= 1"),
        ({"num_components": 1.5}, "num_components must be an integer >= 1"),
        ({"prior_std": 0.0}, "prior_std must be positive"),
        ({"prior_std": -1.0}, "prior_std must be positive"),
        ({"prior_std": np.inf}, "prior_std must be finite"),
        ({"prior_std": [1.0, 1.0]}, "prior_std must have 0 dimension"),
        ({"init": [0.0]}, "init must have shape"),
        ({"init": [0.0, np.nan]}, "init must be finite"),
        ({"init": [[0.5, 0.6], [0.5, 0.5]]}, "init must sum to 1"),
        ({"init": mean_field.UnitMixtureQ([0], [1], [[1], [1]])}, "init.resp must have shape"),
        ({"rng": 3}, "rng must be a numpy.random.Generator"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1.0}, "tol must be >= 0"),
    ],
)
def test_the_mixture_fit_refuses_bad_input(change, complaint):
    arguments = {"x": [1.0, 2.0], "num_components": 2, "prior_std": 1.0} | change
    x, K = arguments.pop("x"), arguments.pop("num_components")
    with pytest.raises(ValueError, match=complaint):
        mean_field.fit_unit_mixture(x, K, **arguments)


@pytest.mark.parametrize(
    ("N", "complaint"), [(14, "3\\*\\*14, 4,782,969"), (20_000, "3\\*\\*20000, about 10\\*\\*9542")]
)
def test_a_table_that_is_too_large_is_refused_and_the_message_says_how_large(N, complaint):
    with pytest.raises(ValueError, match=complaint):
        mean_field.unit_mixture_log_evidence(np.zeros(N), 3, prior_std=1.0)


@pytest.mark.parametrize(
    ("means", "stds", "resp", "complaint"),
    [
        ([0, np.nan], [1, 1], [[0.5, 0.5]], "means must be finite"),
        ([0, 1], [1, 0], [[0.5, 0.5]], "stds must be positive"),
        ([0, 1], [1], [[0.5, 0.5]], "stds must have shape"),
        ([0, 1], [1, 1], [[0.5, 0.6]], "resp must sum to 1"),
        ([0, 1], [1, 1], [[1.0]], "resp must have shape"),
    ],
)
def test_a_q_that_is_none_cannot_be_made(means, stds, resp, complaint):
    with pytest.raises(ValueError, match=complaint):
        mean_field.UnitMixtureQ(means, stds, resp)


def test_a_gaussian_q_that_is_none_cannot_be_made():
    with pytest.raises(ValueError, match="cov must be positive definite"):
        mean_field.GaussianQ([0, 0], -np.eye(2))
