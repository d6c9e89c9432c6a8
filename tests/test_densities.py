"""densities: agreement with scipy, normalisation by quadrature, known constants, bad input."""

import numpy as np
import pytest
from scipy import stats

from vi_helpers import densities


def grid(*bounds, step=0.05):
    axis = np.arange(*bounds, step)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), step**2


def test_normal_logpdf_agrees_with_scipy_and_broadcasts():
    x, mean, std = np.linspace(-40, 40, 7)[:, None], np.array([0.0, 3.0]), np.array([1.0, 0.1])
    np.testing.assert_allclose(
        densities.normal_logpdf(x, mean, std), stats.norm.logpdf(x, mean, std), rtol=1e-12
    )


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_mvn_logpdf_agrees_with_scipy(dim):
    rng = np.random.default_rng(dim)
    root = rng.normal(size=(dim, dim))
    cov, mean, x = (
        root @ root.T + 0.1 * np.eye(dim),
        rng.normal(size=dim),
        rng.normal(size=(9, dim)),
    )
    expected = stats.multivariate_normal(mean, cov).logpdf(x)
    np.testing.assert_allclose(densities.mvn_logpdf(x, mean, cov), expected, rtol=1e-9)


def test_mvn_logpdf_keeps_the_leading_axes():
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    values = densities.mvn_logpdf(x, np.zeros(2), np.eye(2))
    assert values.shape == (3, 4)
    assert densities.mvn_logpdf(x[1, 2], np.zeros(2), np.eye(2)) == pytest.approx(values[1, 2])


def test_mixtures_integrate_to_one():
    x = np.linspace(-20, 20, 4001)
    log_p = densities.normal_mixture([0.2, 0.8], [-3.0, 1.0], [0.5, 2.0])
    assert np.trapezoid(np.exp(log_p(x)), x) == pytest.approx(1, abs=1e-10)
    points, area = grid(-9, 9)
    covs = [np.diag([1.0, 0.3]), [[0.5, 0.2], [0.2, 0.5]]]
    log_p = densities.mvn_mixture([0.4, 0.6], [[-2.0, 1.0], [1.0, 0.0]], covs)
    assert np.exp(log_p(points)).sum() * area == pytest.approx(1, abs=1e-8)


def test_mixtures_stay_finite_far_in_the_tails_and_accept_a_zero_weight():
    log_p = densities.normal_mixture([1.0, 0.0], [0.0, 5.0], [1.0, 1.0])
    x = np.array([-1e3, 0.0, 60.0])
    np.testing.assert_allclose(log_p(x), densities.normal_logpdf(x), rtol=1e-12)


def test_two_modes_is_symmetric_with_the_variance_of_its_parts():
    log_p, x = densities.two_modes(4.0, 0.5), np.linspace(-12, 12, 4001)
    np.testing.assert_allclose(log_p(x), log_p(-x), atol=1e-12)
    assert np.trapezoid(np.exp(log_p(x)) * x**2, x) == pytest.approx(0.25 + 4, abs=1e-8)


def test_log_sigmoid_does_not_overflow_and_is_the_log_of_the_logistic_function():
    np.testing.assert_allclose(densities.log_sigmoid([-1e4, 0.0, 1e4]), [-1e4, -np.log(2), 0])
    x = np.linspace(-5, 5, 11)
    np.testing.assert_allclose(densities.log_sigmoid(x), np.log(1 / (1 + np.exp(-x))), rtol=1e-12)


def test_bishop_10_1_has_the_published_normaliser_mean_and_variance():
    z = np.linspace(-10, 10, 20_001)
    weight = np.exp(densities.bishop_10_1(z))
    norm = np.trapezoid(weight, z)
    mean = np.trapezoid(z * weight, z) / norm
    variance = np.trapezoid((z - mean) ** 2 * weight, z) / norm
    np.testing.assert_allclose(
        [np.log(norm), mean, variance], [0.372383, 0.6728, 0.413872], atol=1e-6
    )


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: densities.normal_logpdf(0.0, 0.0, 0.0), "std"),
        (lambda: densities.normal_logpdf(0.0, 0.0, -1.0), "std"),
        (lambda: densities.normal_logpdf(0.0, np.nan, 1.0), "mean"),
        (lambda: densities.mvn_logpdf(np.zeros((4, 3)), np.zeros(2), np.eye(2)), "x"),
        (lambda: densities.mvn_logpdf(np.zeros((4, 2)), np.zeros(2), np.eye(3)), "cov"),
        (lambda: densities.mvn_logpdf(np.zeros(2), np.zeros(2), [[1, 2], [2, 1]]), "cov"),
        (lambda: densities.mvn_logpdf(np.zeros(2), np.zeros(2), [[1, 0.5], [0, 1]]), "cov"),
        (lambda: densities.normal_mixture([0.5, 0.6], [0, 1], [1, 1]), "weights"),
        (lambda: densities.normal_mixture([0.5, 0.5], [0, 1, 2], [1, 1]), "means"),
        (lambda: densities.normal_mixture([0.5, 0.5], [0, 1], [1, 0]), "stds"),
        (lambda: densities.mvn_mixture([1.0], [[0, 0]], [np.zeros((2, 2))]), "covs"),
        (lambda: densities.mvn_mixture([1.0], [[0, 0]], np.eye(2)), "covs"),
        (lambda: densities.two_modes(np.nan), "separation"),
    ],
)
def test_bad_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=rf"^{name} must"):
        call()


@pytest.mark.parametrize("wrong", [lambda x: x * np.nan, lambda x: x[:-1], lambda x: x + np.inf])
def test_a_target_that_returns_nonsense_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=r"^log_p must"):
        densities.evaluate("log_p", wrong, np.zeros(3))
