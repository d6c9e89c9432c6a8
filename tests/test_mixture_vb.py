"""Laws of variational Bayes for Gaussian mixtures."""

import warnings

import numpy as np
import pytest
import reference
from scipy import integrate, stats
from scipy.special import gammaln, logsumexp
from sklearn.exceptions import ConvergenceWarning as SklearnWarning
from sklearn.mixture import BayesianGaussianMixture

from vi_helpers import mixture_em
from vi_helpers import mixture_vb as vb
from vi_helpers.results import ConvergenceWarning


def blobs(rng, centres, points_each, std=1.0):
    centres = np.asarray(centres, dtype=float)
    return np.concatenate([rng.normal(c, std, (points_each, centres.shape[1])) for c in centres])


def some_prior(dim, alpha0=0.7):
    spread = 0.3 * np.eye(dim) + 0.05
    return vb.Prior(alpha0, 0.4, np.linspace(-0.5, 0.5, dim), spread, dim + 1.5)


def random_q(rng, X, num_components, prior):
    """A q that no update made: its factors do not fit each other, so that no constant cancels."""
    log_resp, other = np.log(rng.dirichlet(np.ones(num_components), (2, len(X))))
    best = vb.m_step(X, prior, other)
    stretch = rng.uniform(0.8, 1.5, (3, num_components))
    alpha, beta, nu = stretch * np.array([best.alpha, best.beta, best.nu])
    return log_resp, vb.VBParams(alpha, beta, best.m, best.W, np.maximum(nu, X.shape[1]))


def test_the_elbo_is_e_q_log_joint_minus_log_q_by_monte_carlo():
    rng = np.random.default_rng(1)
    X = blobs(rng, [[0, 0], [3, 1]], 4)
    prior = some_prior(2)
    log_resp, params = random_q(rng, X, 3, prior)
    size = 4000
    pi = rng.dirichlet(params.alpha, size)
    total = stats.dirichlet.logpdf(pi.T, np.full(3, prior.alpha0))
    total -= stats.dirichlet.logpdf(pi.T, params.alpha)
    labels = np.array([rng.choice(3, size, p=np.exp(row)) for row in log_resp]).T
    log_lik = np.zeros((size, len(X), 3))
    for k in range(3):
        precisions = stats.wishart.rvs(params.nu[k], params.W[k], size, random_state=rng)
        total += stats.wishart.logpdf(np.moveaxis(precisions, 0, -1), prior.nu0, prior.W0)
        total -= stats.wishart.logpdf(np.moveaxis(precisions, 0, -1), params.nu[k], params.W[k])
        for s, cov in enumerate(np.linalg.inv(precisions)):
            mean = rng.multivariate_normal(params.m[k], cov / params.beta[k])
            total[s] += stats.multivariate_normal.logpdf(mean, prior.m0, cov / prior.beta0)
            total[s] -= stats.multivariate_normal.logpdf(mean, params.m[k], cov / params.beta[k])
            log_lik[s, :, k] = stats.multivariate_normal.logpdf(X, mean, cov)
    rows = np.arange(size)
    for n in range(len(X)):
        chosen = labels[:, n]
        total += np.log(pi[rows, chosen]) + log_lik[rows, n, chosen] - log_resp[n, chosen]
    error = total.std() / np.sqrt(size)
    assert error < 0.2
    assert abs(total.mean() - vb.elbo(X, prior, log_resp, params)) < 4 * error


def test_the_elbo_is_e_q_log_joint_minus_log_q_by_quadrature():
    """One dimension, two components: scipy's densities, integrated factor by factor."""
    rng = np.random.default_rng(2)
    X = blobs(rng, [[-1], [2]], 3)
    prior = some_prior(1)
    log_resp, params = random_q(rng, X, 2, prior)
    resp = np.exp(log_resp)
    q_pi, p_pi = stats.beta(*params.alpha), stats.beta(prior.alpha0, prior.alpha0)
    nk = resp.sum(axis=0)

    def weights(pi):
        log_joint = nk @ np.log([pi, 1 - pi]) + p_pi.logpdf(pi)
        return q_pi.pdf(pi) * (log_joint - q_pi.logpdf(pi))

    total = -(resp * log_resp).sum() + integrate.quad(weights, 0, 1, epsabs=1e-11)[0]
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(4)
    for k in range(2):
        q_lam = stats.gamma(params.nu[k] / 2, scale=2 * params.W[k, 0, 0])
        p_lam = stats.gamma(prior.nu0 / 2, scale=2 * prior.W0[0, 0])

        def component(lam, k=k, q_lam=q_lam, p_lam=p_lam):
            std = (params.beta[k] * lam) ** -0.5
            mean = params.m[k, 0] + std * nodes
            value = p_lam.logpdf(lam) - q_lam.logpdf(lam)
            value = value + stats.norm.logpdf(mean, prior.m0[0], (prior.beta0 * lam) ** -0.5)
            value -= stats.norm.logpdf(mean, params.m[k, 0], std)
            value += resp[:, k] @ stats.norm.logpdf(X, mean, lam**-0.5)
            return q_lam.pdf(lam) * (value @ node_weights) / node_weights.sum()

        total += integrate.quad(component, 0, q_lam.isf(1e-16), epsabs=1e-11, limit=200)[0]
    assert vb.elbo(X, prior, log_resp, params) == pytest.approx(total, abs=1e-7)


def test_each_step_is_the_best_for_its_factor():
    rng = np.random.default_rng(3)
    X = blobs(rng, [[0, 0], [3, 1]], 15)
    prior = some_prior(2)
    log_resp, params = random_q(rng, X, 3, prior)
    best_resp, fit_term = vb.e_step(X, params)
    best = vb.elbo(X, prior, best_resp, params)
    assert best == pytest.approx(fit_term - vb.kl_to_prior(params, prior), abs=1e-9)
    for _ in range(20):
        other = best_resp + 0.05 * rng.normal(size=best_resp.shape)
        other -= logsumexp(other, axis=1, keepdims=True)
        assert vb.elbo(X, prior, other, params) < best
    fitted = vb.m_step(X, prior, log_resp)
    best = vb.elbo(X, prior, log_resp, fitted)
    for name in ("alpha", "beta", "m", "W", "nu"):
        for factor in (0.98, 1.02):
            fields = vars(fitted) | {name: getattr(fitted, name) * factor}
            assert vb.elbo(X, prior, log_resp, vb.VBParams(**fields)) < best


@pytest.mark.parametrize("seed", range(6))
def test_the_elbo_never_falls(seed):
    rng = np.random.default_rng(seed)
    X = blobs(rng, rng.normal(0, 4, (3, 2)), 30) * rng.uniform(0.01, 100)
    fit = vb.fit_vb(X, 5, prior=vb.default_prior(X, alpha0=10.0 ** rng.uniform(-3, 1)), rng=rng)
    assert fit.converged
    assert np.diff(fit.elbos).min() > -1e-9 * abs(fit.elbo)
    assert len(fit.elbos) == fit.n_iter + 1


@pytest.mark.parametrize("dim", [1, 2])
def test_the_elbo_stays_below_the_exact_evidence_of_tiny_data(dim):
    rng = np.random.default_rng(4)
    X = blobs(rng, [[-2] * dim, [2] * dim], 3)
    prior = some_prior(dim)
    log_evidence = reference.bayesian_mixture_log_evidence(X, 2, prior)
    for _ in range(5):
        log_resp, params = random_q(rng, X, 2, prior)
        assert vb.elbo(X, prior, log_resp, params) < log_evidence
        fit = vb.fit_vb(X, 2, prior=prior, rng=rng)
        assert fit.elbos.max() < log_evidence
    assert log_evidence - fit.elbo < 2  # and the bound is not idle


def test_one_component_has_no_gap_and_every_constant():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(7, 3))
    prior = some_prior(3)
    exact = sum(reference.normal_wishart_predictive(X[n], X[:n], prior) for n in range(len(X)))
    assert vb.log_evidence_one_component(X, prior) == pytest.approx(exact, abs=1e-9)
    assert vb.fit_vb(X, 1, prior=prior).elbo == pytest.approx(exact, abs=1e-9)


def test_rotating_scaling_and_shifting_the_data_changes_only_the_units():
    rng = np.random.default_rng(6)
    X = blobs(rng, [[0, 0, 0], [5, 1, 0], [0, 4, 4]], 40)
    resp = vb.init_resp(X, 4, rng)
    prior = some_prior(3)
    plain = vb.fit_vb(X, 4, prior=prior, init=resp)
    turn = stats.ortho_group.rvs(3, random_state=rng)
    for scale, shift in [(1e4, 0.0), (1e-4, 0.0), (1.0, 1e6), (1e4, 1e6)]:
        moved = vb.Prior(
            prior.alpha0,
            prior.beta0,
            scale * prior.m0 @ turn + shift,
            turn.T @ prior.W0 @ turn / scale**2,
            prior.nu0,
        )
        fit = vb.fit_vb(scale * X @ turn + shift, 4, prior=moved, init=resp)
        np.testing.assert_allclose(fit.elbos + X.size * np.log(scale), plain.elbos, rtol=1e-7)
        np.testing.assert_allclose(fit.params.alpha, plain.params.alpha, rtol=1e-6)


def test_naming_the_components_otherwise_changes_nothing():
    rng = np.random.default_rng(7)
    X = blobs(rng, [[0, 0], [5, 1], [0, 4]], 20)
    resp = vb.init_resp(X, 3, rng)
    fit, other = (vb.fit_vb(X, 3, init=r) for r in (resp, resp[:, [2, 0, 1]]))
    np.testing.assert_allclose(other.elbos, fit.elbos, rtol=1e-12)
    np.testing.assert_allclose(other.params.m, fit.params.m[[2, 0, 1]], rtol=1e-9, atol=1e-9)


def sklearn_params(model):
    W = np.linalg.inv(model.covariances_ * model.degrees_of_freedom_[:, None, None])
    return vb.VBParams(
        model.weight_concentration_,
        model.mean_precision_,
        model.means_,
        W,
        model.degrees_of_freedom_,
    )


def test_every_iteration_agrees_with_scikit_learn_from_the_same_start():
    rng = np.random.default_rng(8)
    X = blobs(rng, [[0, 0], [4, 1], [0, 3]], 50)
    prior = some_prior(2)
    model = BayesianGaussianMixture(
        n_components=3,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=prior.alpha0,
        mean_precision_prior=prior.beta0,
        mean_prior=prior.m0,
        degrees_of_freedom_prior=prior.nu0,
        covariance_prior=np.linalg.inv(prior.W0),
        reg_covar=0,
        max_iter=1,
        tol=0,
        warm_start=True,
        random_state=0,
    )
    constants = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SklearnWarning)  # one iteration at a time is meant
        params = sklearn_params(model.fit(X))
        for _ in range(25):
            log_resp, _ = vb.e_step(X, params)
            params = vb.m_step(X, prior, log_resp)
            peer = sklearn_params(model.fit(X))
            for name in ("alpha", "beta", "m", "W", "nu"):
                np.testing.assert_allclose(getattr(params, name), getattr(peer, name), rtol=1e-8)
            constants.append(vb.elbo(X, prior, log_resp, params) - model.lower_bound_)
    assert np.ptp(constants) < 1e-8
    assert abs(constants[0]) > 1  # scikit-learn leaves constants out


def test_the_predictive_density_integrates_to_one():
    rng = np.random.default_rng(9)
    line = vb.fit_vb(blobs(rng, [[-3], [2]], 10), 3, rng=rng).params
    density = lambda x: np.exp(vb.log_predictive([[x]], line))[0]  # noqa: E731
    parts = [(-np.inf, -5), (-5, 0), (0, 5), (5, np.inf)]
    total = sum(integrate.quad(density, *ends, epsabs=1e-11)[0] for ends in parts)
    assert total == pytest.approx(1, abs=1e-8)
    plane = vb.fit_vb(blobs(rng, [[-3, 0], [2, 1]], 30), 2, rng=rng).params
    angle = np.linspace(-1, 1, 602)[1:-1] * np.pi / 2
    axis = np.tan(angle)  # the whole line, with dx = (1 + x^2) d(angle)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = np.exp(vb.log_predictive(grid, plane)).reshape(600, 600)
    lengths = (1 + axis**2) * (angle[1] - angle[0])
    assert lengths @ values @ lengths == pytest.approx(1, abs=1e-8)


def test_the_predictive_density_is_the_average_density_under_q():
    rng = np.random.default_rng(10)
    params = vb.fit_vb(blobs(rng, [[-3, 0], [2, 1]], 10), 2, rng=rng).params
    places = np.array([[0.0, 0.0], [2.0, 1.0], [-3.0, 3.0]])
    draws = np.zeros((4000, len(places)))
    pi = rng.dirichlet(params.alpha, len(draws))
    for k in range(2):
        precisions = stats.wishart.rvs(params.nu[k], params.W[k], len(draws), random_state=rng)
        for s, cov in enumerate(np.linalg.inv(precisions)):
            mean = rng.multivariate_normal(params.m[k], cov / params.beta[k])
            draws[s] += pi[s, k] * stats.multivariate_normal.pdf(places, mean, cov)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (abs(draws.mean(axis=0) - np.exp(vb.log_predictive(places, params))) < 4 * error).all()


def test_components_empty_themselves_and_return_to_the_prior():
    rng = np.random.default_rng(11)
    X = blobs(rng, [[0, 0], [8, 0]], 60)
    prior = vb.default_prior(X, alpha0=1e-3)
    fit = vb.fit_vb(X, 6, prior=prior, max_iter=2000, tol=1e-9, rng=rng)
    nk = fit.params.alpha - prior.alpha0
    assert (nk > 1).sum() == 2
    empty = np.argmin(nk)
    assert nk[empty] < 1e-6
    np.testing.assert_allclose(fit.params.m[empty], prior.m0, atol=1e-5)
    np.testing.assert_allclose(fit.params.W[empty], prior.W0, rtol=1e-5)


def test_many_points_make_the_elbo_the_maximum_likelihood_answer():
    rng = np.random.default_rng(12)
    X = blobs(rng, [[0, 0], [8, 0]], 4000)
    mixture = vb.expected_mixture(vb.fit_vb(X, 2, rng=rng).params)
    weights, means, covs = mixture.weights, mixture.means, mixture.covs
    order = np.argsort(means[:, 0])
    np.testing.assert_allclose(weights, 0.5, atol=0.01)
    np.testing.assert_allclose(means[order], [[0, 0], [8, 0]], atol=0.08)
    np.testing.assert_allclose(covs, np.broadcast_to(np.eye(2), (2, 2, 2)), atol=0.08)


def test_duplicates_a_single_point_and_more_components_than_points_stay_finite():
    prior = some_prior(2)
    for X in (np.zeros((30, 2)), np.ones((1, 2)), np.array([[0.0, 0.0], [1e3, 0.0]])):
        fit = vb.fit_vb(X, 4, prior=prior)
        assert np.isfinite(fit.elbos).all()
        assert all(np.isfinite(values).all() for values in vars(fit.params).values())


def test_the_same_start_gives_the_same_fit_and_rng_moves_the_start():
    X = blobs(np.random.default_rng(13), [[0, 0], [3, 1], [1, 4]], 20)
    again = [vb.fit_vb(X, 3).elbo for _ in range(2)]
    assert again[0] == again[1]
    starts = [vb.init_resp(X, 3, np.random.default_rng(s)) for s in range(2)]
    assert (starts[0] != starts[1]).any()
    assert all((s.sum(axis=1) == 1).all() for s in starts)


def test_a_start_may_be_a_fitted_mixture_and_a_prior_may_be_a_dict():
    rng = np.random.default_rng(16)
    X = blobs(rng, [[0, 0], [6, 1]], 30)
    prior = some_prior(2)
    ml = mixture_em.fit_em(X, mixture_em.init_params(X, 2, rng)).params
    by_resp = vb.fit_vb(X, 2, prior=prior, init=np.exp(mixture_em.e_step(X, ml)[0]))
    np.testing.assert_array_equal(vb.fit_vb(X, 2, prior=vars(prior), init=ml).elbos, by_resp.elbos)


def test_a_fit_stopped_too_early_says_so_once():
    X = blobs(np.random.default_rng(14), [[0, 0], [2, 1]], 30)
    with pytest.warns(ConvergenceWarning, match="fit_vb did not converge in 2") as record:
        fit = vb.fit_vb(X, 3, max_iter=2)
    assert len(record) == 1
    assert not fit.converged
    assert fit.n_iter == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.array([[0.0, np.nan]])}, "X must be finite"),
        ({"X": np.zeros(5)}, "X must have shape"),
        ({"X": np.zeros((5, 2))}, "pass prior"),
        ({"X": np.outer(np.arange(5), [1.0, 2.0])}, "pass prior"),
        ({"num_components": 0}, "num_components must be an integer >= 1, got 0"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"init": np.ones((20, 2))}, "init must sum to 1"),
        ({"init": np.ones((3, 2)) / 2}, "init must have shape"),
        ({"prior": some_prior(3)}, "prior must have dimension 2, got 3"),
        ({"prior": 3.0}, "prior must be a Prior, got float"),
        ({"rng": 7}, "rng must be a numpy.random.Generator"),
        ({"tol": -1.0}, "tol must be >= 0"),
    ],
)
def test_bad_input_is_named(change, message):
    X = np.random.default_rng(15).normal(size=(20, 2))
    arguments = {"X": X, "num_components": 2} | change
    with pytest.raises(ValueError, match=message):
        vb.fit_vb(**arguments)


@pytest.mark.parametrize(
    ("field", "value"),
    [("alpha0", 0.0), ("beta0", -1.0), ("nu0", 1.0), ("W0", -np.eye(2)), ("m0", [np.inf, 0.0])],
)
def test_an_impossible_prior_is_refused(field, value):
    fields = vars(some_prior(2)) | {field: value}
    with pytest.raises(ValueError, match=field):
        vb.Prior(**fields)


def test_the_dirichlet_constant_is_that_of_scipy():
    alpha = np.array([0.5, 2.0, 3.5])
    log_pdf = stats.dirichlet.logpdf([0.2, 0.3, 0.5], alpha)
    powers = (alpha - 1) @ np.log([0.2, 0.3, 0.5])
    assert vb.log_norm_dirichlet(alpha) == pytest.approx(log_pdf - powers, abs=1e-12)
    assert vb.log_norm_dirichlet(np.ones(4)) == pytest.approx(gammaln(4), abs=1e-12)


def test_a_point_with_a_weight_counts_as_often():
    rng = np.random.default_rng(20)
    X, prior = rng.normal(size=(6, 2)), some_prior(2)
    log_resp = np.log(rng.dirichlet(np.ones(3), 6))
    thrice = vb.m_step(np.repeat(X, 3, axis=0), prior, np.repeat(log_resp, 3, axis=0))
    for one, two in zip(
        vars(vb.m_step(X, prior, log_resp + np.log(3))).values(), vars(thrice).values(), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match="log_resp must"):
            vb.m_step(X, prior, np.full((6, 3), wrong))
