"""divergences and gaussian_fits: closed forms against quadrature, Monte Carlo and torch; optima."""

import warnings

import numpy as np
import pytest
from scipy import stats

from vi_helpers import densities, divergences, gaussian_fits
from vi_helpers.divergences import fit_gaussian
from vi_helpers.gaussian_fits import exclusive_derivatives
from vi_helpers.results import ConvergenceWarning


def random_cov(rng, dim):
    root = rng.normal(size=(dim, dim))
    return root @ root.T + 0.3 * np.eye(dim)


def test_kl_normal_agrees_with_quadrature_on_random_pairs():
    rng = np.random.default_rng(1)
    for _ in range(20):
        mean_q, mean_p = rng.normal(size=2) * 2
        std_q, std_p = np.exp(rng.normal(size=2) * 0.5)
        exact = divergences.kl_quad(
            stats.norm(mean_q, std_q).logpdf,
            stats.norm(mean_p, std_p).logpdf,
            mean_q - 12 * std_q,
            mean_q + 12 * std_q,
        )
        assert divergences.kl_normal(mean_q, std_q, mean_p, std_p) == pytest.approx(exact, abs=1e-8)


def test_kl_normal_of_the_vae_formula_keeps_its_constant():
    assert divergences.kl_normal(1, 2, 0, 1) == pytest.approx(1.306853, abs=5e-7)


def test_kl_normal_broadcasts_and_is_zero_exactly_at_equality():
    kl = divergences.kl_normal(np.zeros((3, 1)), 1.0, np.array([0.0, 1.0]), 1.0)
    np.testing.assert_allclose(kl, np.tile([0, 0.5], (3, 1)))
    stds = np.exp(np.random.default_rng(2).normal(size=1000))
    kl = divergences.kl_normal(0.3, stds, 0.3, stds * (1 + 1e-15))
    assert (kl >= 0).all() and kl.max() < 1e-15


def test_kl_mvn_agrees_with_torch_and_with_the_one_dimensional_form():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    for dim in (1, 2, 4):
        means = [rng.normal(size=dim) for _ in range(2)]
        covs = [random_cov(rng, dim) for _ in range(2)]
        peers = [
            torch.distributions.MultivariateNormal(torch.tensor(m), torch.tensor(c))
            for m, c in zip(means, covs, strict=True)
        ]
        ours = divergences.kl_mvn(means[0], covs[0], means[1], covs[1])
        assert ours == pytest.approx(torch.distributions.kl_divergence(*peers).item(), rel=1e-9)
        if dim == 1:
            stds = [np.sqrt(c[0, 0]) for c in covs]
            one = divergences.kl_normal(means[0][0], stds[0], means[1][0], stds[1])
            assert ours == pytest.approx(one, rel=1e-12)


def test_kl_mvn_batches_like_a_loop_and_does_not_change_under_an_affine_map():
    rng = np.random.default_rng(4)
    mean_q, mean_p = rng.normal(size=(5, 3)), rng.normal(size=3)
    cov_q, cov_p = np.stack([random_cov(rng, 3) for _ in range(5)]), random_cov(rng, 3)
    batch = divergences.kl_mvn(mean_q, cov_q, mean_p, cov_p)
    loop = [divergences.kl_mvn(m, c, mean_p, cov_p) for m, c in zip(mean_q, cov_q, strict=True)]
    np.testing.assert_allclose(batch, loop, rtol=1e-12)
    a = rng.normal(size=(3, 3))
    mapped = divergences.kl_mvn(
        mean_q @ a.T + 1, a @ cov_q @ a.T, mean_p @ a.T + 1, a @ cov_p @ a.T
    )
    np.testing.assert_allclose(mapped, batch, rtol=1e-8)


def test_kl_adds_up_over_independent_factors():
    stds_q, stds_p = np.array([0.5, 2.0, 1.0]), np.array([1.0, 1.0, 3.0])
    means_q, means_p = np.array([0.0, 1.0, -1.0]), np.zeros(3)
    joint = divergences.kl_mvn(means_q, np.diag(stds_q**2), means_p, np.diag(stds_p**2))
    parts = divergences.kl_normal(means_q, stds_q, means_p, stds_p)
    assert joint == pytest.approx(parts.sum(), rel=1e-12)


def test_kl_categorical_handles_zeros_on_either_side():
    assert divergences.kl_categorical([0.0, 1.0], [0.5, 0.5]) == pytest.approx(np.log(2))
    assert divergences.kl_categorical([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert divergences.kl_categorical([0.0, 1.0], [0.0, 1.0]) == 0
    q, p = np.random.default_rng(5).dirichlet(np.ones(6), size=(2, 4))
    np.testing.assert_allclose(divergences.kl_categorical(q, p), (q * np.log(q / p)).sum(-1))
    assert divergences.kl_categorical(q, p[0]).shape == (4,)


def test_rounding_leaves_no_negative_divergence_between_neighbours():
    rng = np.random.default_rng(10)
    q = rng.dirichlet(np.ones(5), size=2000)
    p = q * (1 + 1e-13 * rng.normal(size=q.shape))
    p /= p.sum(axis=-1, keepdims=True)
    assert divergences.kl_categorical(q, p).min() >= 0
    assert divergences.kl_bernoulli(q, np.clip(p, 0, 1)).min() >= 0
    covs = np.stack([random_cov(rng, 3) for _ in range(300)])
    assert divergences.kl_mvn(np.zeros(3), covs, np.zeros(3), covs * (1 + 1e-13)).min() >= 0


def test_kl_bernoulli_is_the_categorical_kl_of_two_outcomes():
    q, p = np.array([0.0, 0.2, 1.0, 0.5, 0.5]), np.array([0.3, 0.7, 1.0, 0.5, 0.0])
    both = divergences.kl_categorical(np.stack([q, 1 - q], -1), np.stack([p, 1 - p], -1))
    np.testing.assert_allclose(divergences.kl_bernoulli(q, p), both, rtol=1e-12)


def test_kl_quad_knows_zero_and_infinite_cases():
    wide, narrow = stats.uniform(0, 2).logpdf, stats.uniform(0, 1).logpdf
    assert divergences.kl_quad(narrow, wide, -1, 3) == pytest.approx(np.log(2), abs=1e-3)
    assert divergences.kl_quad(wide, narrow, -1, 3) == np.inf


def test_kl_mc_is_unbiased_with_an_honest_standard_error():
    rng = np.random.default_rng(6)
    q, p = stats.norm(1, 2), stats.norm(0, 1)
    runs = np.array(
        [divergences.kl_mc(q.logpdf, p.logpdf, rng.normal(1, 2, size=500)) for _ in range(400)]
    )
    exact, spread = divergences.kl_normal(1, 2, 0, 1), runs[:, 0].std(ddof=1)
    assert abs(runs[:, 0].mean() - exact) < 4 * spread / np.sqrt(len(runs))
    assert runs[:, 1].mean() == pytest.approx(spread, rel=0.15)


def test_kl_mc_takes_points_in_the_plane_and_reports_infinity():
    samples = np.random.default_rng(7).normal(size=(2000, 2))
    q = lambda z: densities.mvn_logpdf(z, np.zeros(2), np.eye(2))  # noqa: E731
    p = lambda z: densities.mvn_logpdf(z, np.ones(2), 2 * np.eye(2))  # noqa: E731
    estimate, error = divergences.kl_mc(q, p, samples)
    exact = divergences.kl_mvn(np.zeros(2), np.eye(2), np.ones(2), 2 * np.eye(2))
    assert abs(estimate - exact) < 4 * error
    assert divergences.kl_mc(q, q, samples) == (0, 0)
    line = samples[:, 0]
    half = divergences.kl_mc(stats.norm.logpdf, stats.halfnorm.logpdf, line)
    assert half == (np.inf, np.inf)


def test_multi_start_finds_the_three_published_minima_of_the_exclusive_kl():
    found = divergences.all_minima(densities.two_modes(4.0, 0.5), np.linspace(-3, 3, 5), [0.3, 2.0])
    table = [(fit.mean, fit.std, fit.kl) for fit, _ in found]
    expected = [
        (-1.99980, 0.500398, 0.693053),
        (1.99980, 0.500398, 0.693053),
        (0.0, 1.736362, 1.871197),
    ]
    np.testing.assert_allclose(table, expected, atol=1.5e-6)
    assert sum(count for _, count in found) == 10


def test_the_inclusive_fit_matches_moments_and_its_kl_is_the_least():
    log_p = densities.two_modes(4.0, 0.5)
    fit = fit_gaussian(log_p, 0.3, 1.0, "inclusive")
    assert (fit.mean, fit.std) == pytest.approx((0, 2.061553), abs=1e-6)
    assert fit.direction == "inclusive"
    for mean, std in [(0.0, 2.061553), (0.1, 2.06), (0.0, 1.9), (2.0, 0.5)]:
        q = stats.norm(mean, std).logpdf
        assert divergences.kl_quad(log_p, q, -8, 8) >= fit.kl - 1e-9
    assert divergences.kl_quad(log_p, stats.norm(0, fit.std).logpdf, -8, 8) == pytest.approx(fit.kl)


@pytest.mark.parametrize("direction", ["exclusive", "inclusive"])
def test_a_gaussian_target_is_recovered_whatever_its_scale_and_normaliser(direction):
    for scale in (1e-3, 1.0, 1e4):
        log_p = lambda x, s=scale: -0.5 * ((x - 3 * s) / (2 * s)) ** 2 + 7  # noqa: E731
        fit = fit_gaussian(log_p, scale, scale, direction)
        assert (fit.mean / scale, fit.std / scale) == pytest.approx((3, 2), abs=1e-7)
        assert fit.kl == pytest.approx(0, abs=1e-9) and fit.converged


def test_bishop_10_1_has_the_known_fits_though_it_is_not_normalised():
    fit = fit_gaussian(densities.bishop_10_1, 0.0, 1.0)
    assert (fit.mean, fit.std) == pytest.approx((0.707120, 0.493646), abs=1e-6)
    assert 0.372383 - fit.kl == pytest.approx(0.200384, abs=2e-6)
    fit = fit_gaussian(densities.bishop_10_1, 0.0, 1.0, "inclusive")
    assert (fit.mean, fit.std**2) == pytest.approx((0.672800, 0.413872), abs=1e-6)


def test_the_derivatives_agree_with_finite_differences():
    log_p, h = densities.normal_mixture([0.3, 0.7], [-1.0, 2.0], [0.5, 1.0]), 1e-4

    def value(mean, log_std):
        return exclusive_derivatives(log_p, mean, np.exp(log_std))[0]

    mean, log_std = 0.4, 0.2
    _, gradient, hessian = exclusive_derivatives(log_p, mean, np.exp(log_std))
    steps = np.array([[h, 0], [0, h]])
    centre = np.array([mean, log_std])
    for i in range(2):
        numeric = (value(*(centre + steps[i])) - value(*(centre - steps[i]))) / (2 * h)
        assert gradient[i] == pytest.approx(numeric, abs=1e-6)
        ahead = exclusive_derivatives(log_p, *_to_std(centre + steps[i]))[1]
        behind = exclusive_derivatives(log_p, *_to_std(centre - steps[i]))[1]
        np.testing.assert_allclose(hessian[i], (ahead - behind) / (2 * h), atol=1e-6)


def _to_std(v):
    return v[0], np.exp(v[1])


def test_kl_never_rises_along_the_path_and_ends_where_the_hessian_is_positive():
    log_p = densities.two_modes(3.5, 0.5)
    for mean, std in [(0.0, 0.2), (-0.3, 0.2), (1.0, 3.0)]:
        fit = fit_gaussian(log_p, mean, std)
        assert tuple(fit.path[0, :2]) == (mean, std) and len(fit.path) == fit.n_iter + 1
        assert (np.diff(fit.path[:, 2]) < 1e-9).all()
        hessian = exclusive_derivatives(log_p, fit.mean, fit.std)[2]
        assert np.linalg.eigvalsh(hessian)[0] > 0
        # where the derivative by std is zero, Stein's identity fixes the curvature in the mean
        assert hessian[0, 0] * fit.std**2 == pytest.approx(1, abs=1e-7)


def test_the_side_minima_appear_with_separation_and_the_middle_one_stays():
    means = {}
    for separation in (2.0, 3.0, 6.0):
        found = divergences.all_minima(densities.two_modes(separation, 0.5), [-1, 0, 1], [0.4, 2.0])
        means[separation] = sorted(round(fit.mean, 2) for fit, _ in found)
    assert means == {2.0: [0.0], 3.0: [-1.49, 0.0, 1.49], 6.0: [-3.0, 0.0, 3.0]}


def test_too_few_iterations_are_admitted_with_one_warning():
    with pytest.warns(ConvergenceWarning, match="fit_gaussian did not converge") as caught:
        log_p = densities.two_modes(2.4, 0.5)
        fit = fit_gaussian(log_p, 10.0, 1.0, max_iter=1)
    assert not fit.converged and len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_gaussian(log_p, 1.0, 1.0).converged


def test_bishop_10_2_both_directions():
    cov = np.array([[1.0, 0.9], [0.9, 1.0]])
    log_p = lambda z: densities.mvn_logpdf(z, np.zeros(2), cov)  # noqa: E731
    fit = divergences.fit_gaussian_plane(log_p, [1.0, 0.5], np.eye(2), diagonal=True)
    mean, cov_q, kl = fit.mean, fit.cov, fit.kl
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(cov_q, 0.19 * np.eye(2), atol=1e-6)
    known = -0.5 * np.log(0.19)
    assert kl == pytest.approx(known, abs=1e-8) and known == pytest.approx(0.830366, abs=1e-6)
    assert divergences.kl_mvn(np.zeros(2), cov, np.zeros(2), np.eye(2)) == pytest.approx(known)
    fit = divergences.fit_gaussian_plane(log_p, [1.0, 0.5], np.eye(2))
    free, kl = fit.cov, fit.kl
    np.testing.assert_allclose(free, cov, atol=1e-6)
    assert kl == pytest.approx(0, abs=1e-8)


def test_a_plane_with_two_modes_has_an_optimum_at_each_and_its_kl_agrees_with_monte_carlo():
    rng, tilt = np.random.default_rng(9), np.array([[0.6, -0.35], [-0.35, 0.6]])
    log_p = densities.mvn_mixture([0.5, 0.5], [[-1.4, -1.4], [1.4, 1.4]], [tilt, tilt])
    for start in (-2.0, 0.0, 2.0):
        fit = divergences.fit_gaussian_plane(log_p, [start, start], np.eye(2))
        mean, cov, kl = fit.mean, fit.cov, fit.kl
        np.testing.assert_allclose(mean, np.full(2, np.sign(start) * 1.4), atol=0.01)
        log_q = lambda z, m=mean, c=cov: densities.mvn_logpdf(z, m, c)  # noqa: E731
        draws = rng.multivariate_normal(mean, cov, size=20_000)
        estimate, error = divergences.kl_mc(log_q, log_p, draws)
        # rare draws between the modes carry what the standard error may miss
        assert abs(estimate - kl) < 4 * error + 3e-4


def test_wasserstein_agrees_with_the_closed_forms():
    q, p = stats.norm(0, 1).ppf, stats.norm(3, 2).ppf
    assert divergences.wasserstein(q, p, 2) == pytest.approx(np.hypot(3, 1), abs=1e-9)
    assert divergences.wasserstein(q, stats.norm(-5, 1).ppf, 1) == pytest.approx(5, abs=1e-9)
    # stochastically ordered: W1 is the difference of means
    wide = stats.uniform(2, 3).ppf
    assert divergences.wasserstein(stats.uniform(0, 1).ppf, wide) == pytest.approx(3, abs=1e-8)


def test_w1_agrees_with_scipy_on_samples():
    rng = np.random.default_rng(8)
    samples = rng.normal(size=20_000), rng.exponential(size=20_000)
    ours = divergences.wasserstein(stats.norm.ppf, stats.expon.ppf)
    assert stats.wasserstein_distance(*samples) == pytest.approx(ours, abs=0.03)


EYE = np.eye(2)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: divergences.kl_normal(0, 0, 0, 1), "std_q must"),
        (lambda: divergences.kl_normal(0, 1, 0, -1), "std_p must"),
        (lambda: divergences.kl_normal(np.nan, 1, 0, 1), "mean_q must"),
        (lambda: divergences.kl_normal(np.zeros(2), 1, np.zeros(3), 1), "shapes must"),
        (lambda: divergences.kl_mvn(0.0, EYE, [0, 0], EYE), "mean_q must"),
        (lambda: divergences.kl_mvn([0, 0], EYE, [0, 0, 0], EYE), "mean_p must"),
        (lambda: divergences.kl_mvn([0, 0], np.eye(3), [0, 0], EYE), "cov_q must"),
        (lambda: divergences.kl_mvn([0, 0], EYE, [0, 0], -EYE), "cov_p must"),
        (lambda: divergences.kl_mvn([0, 0], [[1, 2], [2, 1]], [0, 0], EYE), "cov_q must"),
        (lambda: divergences.kl_categorical([0.5, 0.6], [0.5, 0.5]), "q must"),
        (lambda: divergences.kl_categorical([0.5, 0.5], [1.5, -0.5]), "p must"),
        (lambda: divergences.kl_categorical([0.5, 0.5], [0.2, 0.3, 0.5]), "p must"),
        (lambda: divergences.kl_categorical([0.5, np.nan], [0.5, 0.5]), "q must"),
        (lambda: divergences.kl_bernoulli(1.1, 0.5), "q must"),
        (lambda: divergences.kl_quad(np.abs, np.abs, 1, 0), "low must"),
        (lambda: divergences.kl_mc(np.abs, np.abs, np.zeros(1)), "samples must"),
        (lambda: divergences.kl_mc(np.abs, np.abs, [0.0, np.nan]), "samples must"),
        (lambda: divergences.kl_mc(stats.expon.logpdf, np.abs, [-1.0, 1.0]), "samples must"),
        (lambda: divergences.kl_mc(np.abs, lambda x: x * np.nan, np.ones(3)), "log_p must"),
        (lambda: fit_gaussian(np.abs, 0, 0), "init_std must"),
        (lambda: fit_gaussian(np.abs, np.inf, 1), "init_mean must"),
        (lambda: fit_gaussian(densities.two_modes(), 0, 1, "forward"), "direction must"),
        (lambda: fit_gaussian(lambda x: 0 * x, 0, 1), "log_p must have a finite integral"),
        (lambda: fit_gaussian(lambda x: x * np.nan, 0, 1), "log_p must"),
        (lambda: fit_gaussian(stats.expon.logpdf, 1, 1), "log_p must be finite within"),
        (
            lambda: fit_gaussian(stats.cauchy.logpdf, 0, 1, "inclusive"),
            "log_p must have a finite v",
        ),
        (lambda: divergences.fit_gaussian_plane(np.abs, np.zeros(3), EYE), "init_mean must"),
        (lambda: divergences.fit_gaussian_plane(np.abs, np.zeros(2), np.eye(3)), "init_cov must"),
        (lambda: divergences.wasserstein(np.abs, np.abs, 3), "order must"),
        (lambda: divergences.wasserstein(np.abs, lambda u: u[:3]), "quantile_p must"),
    ],
)
def test_bad_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        call()


# --- numbers that used to be wrong without a word -------------------------------------------------


@pytest.mark.parametrize("direction", ["exclusive", "inclusive"])
@pytest.mark.parametrize(("mean", "std"), [(1000.0, 0.01), (1e5, 1.0)])
def test_a_target_too_narrow_to_see_from_the_start_is_refused(mean, std, direction):
    def log_p(x):
        return densities.normal_logpdf(x, mean, std)

    with pytest.raises(ValueError, match="log_p must"):
        divergences.fit_gaussian(log_p, 0.0, 1.0, direction)
    near = divergences.fit_gaussian(log_p, mean + 3 * std, 2 * std, direction)
    assert (near.mean, near.std) == pytest.approx((mean, std)) and abs(near.kl) < 1e-8


@pytest.mark.parametrize(
    "log_p",
    [
        lambda z: np.zeros(len(z)),
        lambda z: -(z[:, 0] ** 2),
        lambda z: z[:, 0] - z[:, 1] ** 2,
        lambda z: -0.5 * np.log1p((z**2).sum(axis=1)),
    ],
)
def test_a_plane_target_that_does_not_decay_is_refused(log_p):
    with pytest.raises(ValueError, match="log_p must"):
        divergences.fit_gaussian_plane(log_p, np.zeros(2), np.eye(2))


def test_a_grid_that_misses_q_is_refused():
    def log_q(x):
        return densities.normal_logpdf(x, 0.0, 1.0)

    for low, high, num in ((5, 20, 20_001), (0.5, 8, 20_001), (-1000, 1000, 101)):
        with pytest.raises(ValueError, match="must hold the mass of q"):
            divergences.kl_quad(log_q, log_q, low, high, num)


def test_the_fits_of_gaussian_fits_are_all_here():
    homes = {gaussian_fits.__name__, "vi_helpers._plane_fit"}
    own = {
        name
        for name, value in vars(gaussian_fits).items()
        if getattr(value, "__module__", "") in homes and not name.startswith("_")
    }
    assert len(own) >= 6 and own <= set(divergences.__all__)
