"""Bayesian logistic regression against quadrature, grids, differences and scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference import logistic_posterior_on_a_grid
from scipy import integrate, special, stats
from scipy.optimize import approx_fprime
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression

from vi_helpers import logistic, quadrature
from vi_helpers.laplace import laplace_approximation
from vi_helpers.results import ConvergenceWarning

PRIOR_STD = 2.0


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(15, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    return X, (rng.random(15) < special.expit(X @ [2.0, -1.0])).astype(float)


@pytest.fixture(scope="module")
def grid(data):
    return logistic_posterior_on_a_grid(*data, PRIOR_STD)


@pytest.mark.parametrize("function", [special.expit, special.log_expit])
@pytest.mark.parametrize("spread", [0.3, 3.0, 15.0])
def test_expectations_over_the_activation_match_adaptive_quadrature(function, spread):
    mean = 0.7
    truth = integrate.quad(
        lambda t: function(mean + spread * t) * stats.norm.pdf(t),
        *(-12, 12),
        points=[-mean / spread],
        epsabs=1e-13,
        limit=400,
    )[0]
    ours = quadrature.expect_normal(function, np.array([mean]), np.array([spread]))[0]
    assert_allclose(ours, truth, atol=1e-8)


def test_the_log_joint_is_likelihood_times_prior(data):
    X, y = data
    theta = np.array([[0.3, -1.2], [2.0, 0.1]])
    expected = [
        stats.bernoulli.logpmf(y, special.expit(X @ t)).sum()
        + stats.norm.logpdf(t, 0, PRIOR_STD).sum()
        for t in theta
    ]
    assert_allclose(logistic.log_joint(X, y, PRIOR_STD)(theta), expected, rtol=1e-12)


def test_the_elbo_is_the_average_of_log_joint_minus_log_q(data):
    rng = np.random.default_rng(1)
    mean, cov = np.array([1.0, -0.5]), np.array([[0.8, 0.3], [0.3, 0.5]])
    q = stats.multivariate_normal(mean, cov)
    theta = q.rvs(200_000, random_state=rng)
    terms = logistic.log_joint(*data, PRIOR_STD)(theta) - q.logpdf(theta)
    error = terms.std() / np.sqrt(len(terms))
    assert abs(terms.mean() - logistic.elbo(*data, PRIOR_STD, mean, cov)) < 4 * error


def test_expected_derivatives_are_the_derivatives_of_the_elbo(data):
    mean, cov = np.array([1.0, -0.5]), np.array([[0.8, 0.3], [0.3, 0.5]])
    gradient, curvature = logistic.expected_derivatives(*data, PRIOR_STD, mean, cov)

    def by_mean(m):
        return logistic.elbo(*data, PRIOR_STD, m, cov)

    def by_variance(v):
        moved = cov + np.diag(v)
        return logistic.elbo(*data, PRIOR_STD, mean, moved)

    assert_allclose(approx_fprime(mean, by_mean), gradient, atol=1e-5)
    entropy_part = np.diag(np.linalg.inv(cov))
    expected = 0.5 * (entropy_part - np.diag(curvature))
    assert_allclose(approx_fprime(np.zeros(2), by_variance), expected, atol=1e-5)


def test_elbo_and_kl_to_the_grid_posterior_sum_to_the_log_evidence(data, grid):
    points, weights, log_evidence = grid
    for factorised in (False, True):
        q = logistic.fit_gaussian(*data, PRIOR_STD, factorised=factorised)
        log_q = stats.multivariate_normal(q.params.mean, q.params.cov).logpdf(points)
        cell = (28 / 560) ** 2
        inside = weights > 0
        log_p = np.log(weights[inside]) - np.log(cell)
        kl = np.sum(np.exp(log_q[inside]) * (log_q[inside] - log_p)) * cell
        assert kl > 0
        assert_allclose(q.elbo + kl, log_evidence, atol=1e-6)


def test_the_fit_rises_and_ends_where_its_optimality_conditions_hold(data):
    for factorised in (False, True):
        fit = logistic.fit_gaussian(*data, PRIOR_STD, factorised=factorised, tol=1e-12)
        assert fit.converged
        assert (np.diff(fit.elbos) >= 0).all()
        gradient, curvature = logistic.expected_derivatives(
            *data, PRIOR_STD, fit.params.mean, fit.params.cov
        )
        precision = np.linalg.inv(fit.params.cov)
        assert_allclose(gradient, 0, atol=1e-4)
        assert_allclose(np.diag(precision), np.diag(curvature), rtol=1e-4)
        if factorised:
            assert fit.params.cov[0, 1] == 0
        else:
            assert_allclose(precision, curvature, atol=1e-4)


def test_steps_are_shortened_where_full_ones_would_diverge():
    iris = load_iris()
    X, y = iris.data[50::5, 2:], (iris.target[50::5] == 2).astype(float)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    fit = logistic.fit_gaussian(X, y, 20.0, max_iter=500)
    assert fit.converged
    assert (np.diff(fit.elbos) >= 0).all()
    assert fit.elbo > -4


def test_no_random_q_beats_the_fit(data):
    rng = np.random.default_rng(2)
    best = logistic.fit_gaussian(*data, PRIOR_STD)
    for size in (0.01, 0.1, 1.0):
        for _ in range(50):
            root = np.linalg.cholesky(best.params.cov) + np.tril(size * rng.normal(size=(2, 2)))
            mean = best.params.mean + size * rng.normal(size=2)
            assert logistic.elbo(*data, PRIOR_STD, mean, root @ root.T) < best.elbo + 1e-9


def test_the_mode_is_scikit_learns_penalised_fit():
    X, labels = load_breast_cancer(return_X_y=True)
    X = np.column_stack([np.ones(len(X)), (X - X.mean(axis=0)) / X.std(axis=0)])
    peer = LogisticRegression(
        C=PRIOR_STD**2, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(X, labels)
    ours = laplace_approximation(logistic.log_joint(X, labels, PRIOR_STD), np.zeros(31))
    assert_allclose(ours.mean, peer.coef_[0], atol=1e-6)


def test_predictions_average_over_q_and_plug_in_without_spread(data):
    rng = np.random.default_rng(4)
    X = data[0]
    mean, cov = np.array([1.0, -0.5]), np.array([[0.8, 0.3], [0.3, 0.5]])
    draws = special.expit(rng.multivariate_normal(mean, cov, 100_000) @ X.T)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - logistic.predict(X, mean, cov)) < 4 * error).all()
    assert_allclose(logistic.predict(X, mean, np.zeros((2, 2))), special.expit(X @ mean))


def test_a_fit_that_stops_early_says_so(data):
    with pytest.warns(ConvergenceWarning, match="fit_gaussian did not converge in 2 it"):
        assert not logistic.fit_gaussian(*data, PRIOR_STD, max_iter=2).converged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones(3)}, "X must have shape"),
        ({"X": np.full((3, 2), np.nan)}, "X must be finite"),
        ({"y": np.ones(2)}, "y must have shape"),
        ({"y": np.array([0, 1, 2])}, "y must hold zeros and ones"),
        ({"prior_std": 0.0}, "prior_std must be positive"),
        ({"max_iter": 0}, "max_iter must be an integer >= 1"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"X": np.ones((3, 2)), "y": np.array([0, 1, 1]), "prior_std": 1.0} | change
    with pytest.raises(ValueError, match=message):
        logistic.fit_gaussian(**arguments)
