"""Laplace's approximation against closed forms, and its refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, special, stats

from vi_helpers.densities import bishop_10_1, mvn_logpdf
from vi_helpers.laplace import laplace_approximation


def gamma(shape, rate=1.0):
    return lambda z: stats.gamma.logpdf(z[:, 0], shape, scale=1 / rate)


def banana(curvature, std):
    """z1 ~ N(0, 1), z2 given z1 ~ N(curvature (z1² - 1), std²)."""

    def log_p(z):
        bend = curvature * (z[:, 0] ** 2 - 1)
        return stats.norm.logpdf(z[:, 0]) + stats.norm.logpdf(z[:, 1], bend, std)

    return log_p


def beta(a, b):
    return lambda z: stats.beta.logpdf(z[:, 0], a, b)


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_a_gaussian_is_recovered_exactly_with_its_normaliser(dim):
    rng = np.random.default_rng(dim)
    mean, root = rng.normal(size=dim), rng.normal(size=(dim, dim))
    cov = root @ root.T + 0.1 * np.eye(dim)
    fit = laplace_approximation(lambda z: mvn_logpdf(z, mean, cov) + 3.5, np.full(dim, 40.0))
    assert_allclose(fit.mean, mean, atol=1e-8)
    assert_allclose(fit.cov, cov, rtol=1e-8, atol=1e-9)
    assert_allclose(fit.log_evidence, 3.5, atol=1e-9)
    assert fit.hessian_error < 1e-8


@pytest.mark.parametrize("shape", [1.1, 2.0, 50.0])
@pytest.mark.parametrize("start", [0.001, 1.0, 500.0])
def test_a_gamma_density_has_mode_and_variance_a_minus_1(shape, start):
    fit = laplace_approximation(gamma(shape, rate=2.0), [start])
    assert_allclose(fit.mean, [(shape - 1) / 2], rtol=1e-8)
    assert_allclose(fit.cov, [[(shape - 1) / 4]], rtol=1e-7)
    # log Z by Stirling's formula for Gamma(a) = (a - 1)!
    n = shape - 1
    stirling = n * np.log(n) - n + 0.5 * np.log(2 * np.pi * n)
    assert_allclose(fit.log_evidence, stirling - special.gammaln(shape), atol=1e-8)


@pytest.mark.parametrize(("a", "b"), [(3, 5), (2, 2), (30, 500)])
def test_a_beta_density_has_its_closed_form_mode_and_curvature(a, b):
    fit = laplace_approximation(beta(a, b), [0.9])
    mode = (a - 1) / (a + b - 2)
    variance = mode * (1 - mode) / (a + b - 2)
    assert_allclose(fit.mean, [mode], rtol=1e-8)
    assert_allclose(fit.cov, [[variance]], rtol=1e-7)
    expected = stats.beta.logpdf(mode, a, b) + 0.5 * np.log(2 * np.pi * variance)
    assert_allclose(fit.log_evidence, expected, atol=1e-8)


def test_bishops_figure_10_1_is_reached_from_far_away():
    for start in (-50.0, 0.0, 200.0):
        fit = laplace_approximation(bishop_10_1, start)
        assert_allclose(fit.mean, [0.077480], atol=5e-7)
        assert_allclose(fit.cov, [[0.393145]], atol=5e-7)
        assert_allclose(fit.log_evidence, 0.445268, atol=6e-7)


def test_a_poor_start_is_no_obstacle_in_a_bent_valley_or_a_heavy_tail():
    fit = laplace_approximation(lambda z: -optimize.rosen(z.T), [-30.0, 50.0])
    assert_allclose(fit.mean, [1, 1], rtol=1e-6)
    assert_allclose(np.linalg.inv(fit.cov), optimize.rosen_hess([1.0, 1.0]), rtol=1e-6)
    fit = laplace_approximation(lambda z: stats.t.logpdf(z[:, 0], 3), 1e6)
    assert_allclose([fit.mean[0], fit.cov[0, 0]], [0, 0.75], atol=1e-6)
    fit = laplace_approximation(banana(1.0, 0.5), [20.0, -300.0])
    assert_allclose(fit.mean, [0, -1], atol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(1e6, 1e6), (1e-6, 1e-6), (1e8, 1.0), (0, 1e-8)])
def test_the_scale_of_the_target_does_not_matter(mean, std):
    fit = laplace_approximation(lambda z: stats.norm.logpdf(z[:, 0], mean, std), 0.0)
    assert_allclose(fit.mean, [mean], atol=1e-6 * std)
    assert_allclose(fit.cov, [[std**2]], rtol=1e-6)


def test_axes_of_very_different_scale_are_both_found():
    precision = np.array([1e12, 1e-12])
    fit = laplace_approximation(lambda z: -0.5 * (z**2) @ precision, [1.0, 1.0])
    assert_allclose(np.diag(fit.cov) * precision, [1, 1], rtol=1e-6)


def test_thirty_dimensions_match_the_analytic_hessian():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 30))

    def log_joint(theta):
        return special.log_expit(theta @ X.T).sum(axis=1) - 0.5 * (theta**2).sum(axis=1)

    fit = laplace_approximation(log_joint, np.full(30, 2.0))
    p = special.expit(X @ fit.mean)
    assert_allclose(X.T @ (1 - p) - fit.mean, 0, atol=1e-6)
    assert_allclose(np.linalg.inv(fit.cov), (X.T * (p * (1 - p))) @ X + np.eye(30), atol=1e-5)


def test_it_commutes_with_a_linear_change_of_variables():
    root, shift = np.array([[2.0, 0.0], [1.5, 0.3]]), np.array([4.0, -1.0])
    target = banana(0.4, 0.7)
    plain = laplace_approximation(target, [1.0, 1.0])
    moved = laplace_approximation(lambda u: target(u @ root.T + shift), [1.0, 1.0])
    assert_allclose(root @ moved.mean + shift, plain.mean, atol=1e-7)
    assert_allclose(root @ moved.cov @ root.T, plain.cov, atol=1e-6)
    jacobian = np.linalg.slogdet(root)[1]
    assert_allclose(moved.log_evidence + jacobian, plain.log_evidence, atol=1e-7)


def test_a_start_on_the_saddle_between_two_modes_reaches_one_of_them():
    fit = laplace_approximation(
        lambda z: np.logaddexp(-0.5 * (z[:, 0] - 3) ** 2, -0.5 * (z[:, 0] + 3) ** 2), 0.0
    )
    assert abs(abs(fit.mean[0]) - 3) < 1e-6


def test_a_scalar_start_means_one_dimension_and_nan_means_outside():
    fit = laplace_approximation(lambda z: 2 * np.log(z[:, 0]) - z[:, 0], 50)
    assert fit.mean.shape == (1,)
    assert fit.cov.shape == (1, 1)
    assert isinstance(fit.log_evidence, float)
    assert_allclose([fit.mean[0], fit.cov[0, 0]], [2, 2], rtol=1e-7)


@pytest.mark.parametrize(
    ("log_joint", "start"),
    [
        (lambda z: np.zeros(len(z)), [0.0]),
        (lambda z: -(z[:, 0] ** 2), [1.0, 2.0]),
        (lambda z: -((z[:, 0] - z[:, 1]) ** 2), [1.0, 2.0]),
        (lambda z: z[:, 0], [0.0]),
        (lambda z: z[:, 0] ** 2, [0.0]),
        (lambda z: z[:, 0] ** 2 - z[:, 1] ** 2, [0.0, 0.0]),
        (lambda z: z[:, 0] * z[:, 1], [0.0, 0.0]),
        (lambda z: special.log_expit(z[:, 0]), [0.0]),
        (lambda z: -np.exp(-z[:, 0]), [0.0]),
        (lambda z: -(z[:, 0] ** 4), [1.0]),
        (lambda z: -(z[:, 0] ** 4) - z[:, 1] ** 2, [1.0, 1.0]),
        (lambda z: -((z[:, 0] * z[:, 1] - 1) ** 2), [3.0, 2.0]),
        (lambda z: -np.abs(z[:, 0]), [1.0]),
        (lambda z: np.where(np.abs(z[:, 0]) < 1e-3, np.inf, -np.abs(z[:, 0])), [1.0]),
    ],
)
def test_a_target_without_a_proper_mode_is_refused(log_joint, start):
    with pytest.raises(ValueError, match=r"log_joint must have a .*negative definite Hessian"):
        laplace_approximation(log_joint, start)


@pytest.mark.parametrize("start", [0.1, 0.5])
@pytest.mark.parametrize(
    "log_joint",
    [
        lambda z: stats.expon.logpdf(z[:, 0]),
        lambda z: stats.halfnorm.logpdf(z[:, 0]),
        lambda z: stats.uniform.logpdf(z[:, 0]),
        gamma(0.5),
        beta(1, 3),
        beta(0.5, 0.5),
        lambda z: np.where(z[:, 0] > 1, np.nan, -0.5 * (z[:, 0] - 2) ** 2),
    ],
)
def test_a_maximum_on_the_edge_of_the_support_is_refused(log_joint, start):
    with pytest.raises(ValueError, match="inside its support"):
        laplace_approximation(log_joint, [start])


@pytest.mark.parametrize(
    ("log_joint", "start", "message"),
    [
        (gamma(2), [-1.0], "x0 must lie where log_joint is finite"),
        (lambda z: np.full(len(z), np.nan), [0.0], "x0 must lie where log_joint is finite"),
        (gamma(2), [np.nan], "x0 must be finite"),
        (gamma(2), "one", "x0 must be numeric"),
        (gamma(2), [[1.0]], "x0 must be a scalar or have shape"),
        (gamma(2), [], "x0 must be a scalar or have shape"),
        (lambda z: -(z**2), [0.0, 0.0], r"log_joint must return shape \(S,\)"),
        (lambda z: -1.0, [0.0], r"log_joint must return shape \(S,\)"),
    ],
)
def test_bad_input_is_named(log_joint, start, message):
    with pytest.raises(ValueError, match=message):
        laplace_approximation(log_joint, start)
