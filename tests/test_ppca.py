"""ppca: closed forms against scipy, scikit-learn, Bayes' rule and random perturbations."""

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from vi_helpers import ppca
from vi_helpers.densities import mvn_logpdf


def example(seed=0, dim=5, latent_dim=2):
    rng = np.random.default_rng(seed)
    params = ppca.PPCAParams(
        rng.normal(size=(dim, latent_dim)), rng.normal(size=dim), rng.uniform(0.2, 1.0)
    )
    return params, rng.normal(size=(60, dim)) @ rng.normal(size=(dim, dim))


def test_log_evidence_is_that_of_scipy():
    params, X = example()
    cov = params.weights @ params.weights.T + params.noise_var * np.eye(5)
    expected = stats.multivariate_normal(params.bias, cov).logpdf(X)
    np.testing.assert_allclose(ppca.log_evidence_per_point(X, params), expected, rtol=1e-10)


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_posterior_and_evidence_obey_bayes_rule_at_any_z(latent_dim):
    params, X = example(latent_dim=latent_dim)
    means, cov = ppca.posterior(X, params)
    z = np.random.default_rng(1).normal(size=latent_dim)
    centre = params.weights @ z + params.bias
    log_joint = mvn_logpdf(X, centre, params.noise_var * np.eye(5)) + stats.norm.logpdf(z).sum()
    log_posterior = [stats.multivariate_normal(mean, cov).logpdf(z) for mean in means]
    np.testing.assert_allclose(
        log_joint - log_posterior, ppca.log_evidence_per_point(X, params), rtol=1e-9
    )


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
def test_maximum_likelihood_solution_is_that_of_scikit_learn(latent_dim):
    _, X = example()
    # scikit-learn divides by N - 1; scaled data make its covariance the one of maximum likelihood.
    centred = (X - X.mean(0)) * np.sqrt((len(X) - 1) / len(X))
    params = ppca.fit_ppca(X, latent_dim)
    peer = PCA(latent_dim).fit(centred)
    assert params.noise_var == pytest.approx(peer.noise_variance_, rel=1e-10)
    cov = params.weights @ params.weights.T + params.noise_var * np.eye(5)
    np.testing.assert_allclose(cov, peer.get_covariance(), atol=1e-10)
    np.testing.assert_allclose(
        ppca.log_evidence_per_point(X, params), peer.score_samples(X - X.mean(0)), rtol=1e-10
    )


def test_no_parameters_nearby_are_more_likely():
    _, X = example()
    best = ppca.fit_ppca(X, 2)
    highest = ppca.log_evidence_per_point(X, best).mean()
    rng = np.random.default_rng(2)
    for _ in range(200):
        other = ppca.PPCAParams(
            best.weights + 0.05 * rng.normal(size=best.weights.shape),
            best.bias + 0.05 * rng.normal(size=5),
            best.noise_var * np.exp(0.05 * rng.normal()),
        )
        assert ppca.log_evidence_per_point(X, other).mean() < highest


def test_columns_are_orthogonal_so_the_posterior_factorises():
    _, X = example()
    cov = ppca.posterior(X, ppca.fit_ppca(X, 3))[1]
    np.testing.assert_allclose(cov, np.diag(np.diag(cov)), atol=1e-12)


def test_a_rotation_of_the_latents_leaves_the_evidence_alone():
    params, X = example(latent_dim=3)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turned = ppca.PPCAParams(params.weights @ turn.T, params.bias, params.noise_var)
    np.testing.assert_allclose(
        ppca.log_evidence_per_point(X, turned), ppca.log_evidence_per_point(X, params)
    )
    np.testing.assert_allclose(
        ppca.posterior(X, turned)[0], ppca.posterior(X, params)[0] @ turn.T, atol=1e-12
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones(3)}, "weights must have shape"),
        ({"weights": np.full((3, 2), np.nan)}, "weights must be finite"),
        ({"bias": np.ones(2)}, r"bias must have shape \(3,\), got \(2,\)"),
        ({"noise_var": 0.0}, "noise_var must be positive"),
        ({"noise_var": np.ones(3)}, "noise_var must have 0 dimension"),
    ],
)
def test_impossible_parameters_are_refused(change, message):
    good = {"weights": np.ones((3, 2)), "bias": np.zeros(3), "noise_var": 1.0}
    with pytest.raises(ValueError, match=message):
        ppca.PPCAParams(**(good | change))


@pytest.mark.parametrize("function", [ppca.log_evidence_per_point, ppca.posterior])
@pytest.mark.parametrize("X", [np.ones((4, 6)), np.ones(5), np.full((4, 5), np.inf)])
def test_impossible_points_are_refused(function, X):
    with pytest.raises(ValueError, match="X must"):
        function(X, example()[0])


@pytest.mark.parametrize(
    ("X", "latent_dim", "message"),
    [
        (np.ones((4, 3)), 3, "latent_dim must be < D = 3, got 3"),
        (np.ones((4, 3)), 0, "latent_dim must be an integer >= 1"),
        (np.ones((1, 3)), 1, "at least two points"),
        (np.ones((4, 3)), 1, "X must vary outside"),
        (np.outer(np.arange(4), [1.0, 2.0, 3.0]), 1, "X must vary outside"),
        (np.ones(4), 1, "X must have shape"),
    ],
)
def test_data_without_a_solution_are_refused(X, latent_dim, message):
    with pytest.raises(ValueError, match=message):
        ppca.fit_ppca(X, latent_dim)
