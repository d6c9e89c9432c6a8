"""EM for Gaussian mixtures: laws, brute force, scikit-learn step by step, and bad input."""

import tracemalloc
import warnings

import numpy as np
import pytest
import reference
from scipy.stats import multivariate_normal, ortho_group
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from vi_helpers import _mixture_sweep, mixture_em
from vi_helpers.mixture_em import GMMParams, e_step, fit_em, init_params, m_step
from vi_helpers.results import ConvergenceWarning


def clusters(rng, N=300, D=2, K=3, spread=3.0):
    means = spread * rng.normal(size=(K, D))
    return means[rng.integers(K, size=N)] + rng.normal(size=(N, D))


def random_params(rng, K=3, D=2):
    factors = rng.normal(size=(K, D, D + 2))
    return GMMParams(
        rng.dirichlet(np.ones(K)), rng.normal(size=(K, D)), factors @ factors.transpose(0, 2, 1)
    )


def run(X, init, n_iter, **kwargs):
    """A fit of exactly n_iter iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_em(X, init, max_iter=n_iter, tol=0.0, **kwargs)


def transform(params, scale=1.0, rotation=None, shift=0.0):
    rotation = np.eye(params.means.shape[1]) if rotation is None else rotation
    return GMMParams(
        params.weights,
        scale * params.means @ rotation.T + shift,
        scale**2 * rotation @ params.covs @ rotation.T,
    )


def assert_close(params, expected, rtol=1e-8):
    for name in ("weights", "means", "covs"):
        got, want = getattr(params, name), getattr(expected, name)
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


# --- the two steps -----------------------------------------------------------------------------


def test_log_likelihood_is_the_sum_over_all_assignments():
    rng = np.random.default_rng(0)
    X, params = clusters(rng, N=6), random_params(rng)
    expected = reference.gmm_log_likelihood_by_assignments(X, params)
    assert e_step(X, params)[1] == pytest.approx(expected, rel=1e-12)


def test_responsibilities_follow_bayes_rule_point_by_point():
    rng = np.random.default_rng(1)
    X, params = clusters(rng, N=50), random_params(rng)
    joint = np.array(
        [
            w * multivariate_normal(m, c).pdf(X)
            for w, m, c in zip(params.weights, params.means, params.covs, strict=True)
        ]
    ).T
    resp = np.exp(e_step(X, params)[0])
    np.testing.assert_allclose(resp, joint / joint.sum(axis=1, keepdims=True), rtol=1e-10)


def test_after_the_e_step_the_bound_touches_and_any_other_q_is_below():
    rng = np.random.default_rng(2)
    X, params = clusters(rng, N=40), random_params(rng)
    log_resp, log_likelihood = e_step(X, params)
    assert reference.gmm_elbo(X, np.exp(log_resp), params) == pytest.approx(
        log_likelihood, abs=1e-10
    )
    for _ in range(5):
        other = rng.dirichlet(np.ones(3), size=len(X))
        assert reference.gmm_elbo(X, other, params) < log_likelihood - 1.0


def test_m_step_is_the_weighted_average_and_no_neighbour_has_a_larger_bound():
    rng = np.random.default_rng(3)
    X = clusters(rng, N=40)
    resp = rng.dirichlet(np.ones(3), size=len(X))
    fitted = m_step(X, np.log(resp))
    assert_close(fitted, GMMParams(*reference.gmm_m_step(X, resp)), rtol=1e-12)
    best = reference.gmm_elbo(X, resp, fitted)
    for _ in range(20):
        weights = fitted.weights * np.exp(0.02 * rng.normal(size=3))
        tilt = np.eye(2) + 0.02 * rng.normal(size=(2, 2))
        near = GMMParams(
            weights / weights.sum(),
            fitted.means + 0.02 * rng.normal(size=(3, 2)),
            tilt @ fitted.covs @ tilt.T,
        )
        assert reference.gmm_elbo(X, resp, near) < best


def test_reg_is_added_to_the_diagonal():
    rng = np.random.default_rng(4)
    X = clusters(rng, N=40)
    log_resp = np.log(rng.dirichlet(np.ones(2), size=len(X)))
    plain, regular = m_step(X, log_resp), m_step(X, log_resp, reg=0.7)
    np.testing.assert_allclose(regular.covs - plain.covs, [0.7 * np.eye(2)] * 2, atol=1e-12)


# --- the fit -----------------------------------------------------------------------------------


def test_the_chain_of_bounds_holds_at_every_iteration():
    rng = np.random.default_rng(5)
    X = clusters(rng, N=60)
    params = init_params(X, 3, rng)
    log_resp, old = e_step(X, params)
    for _ in range(15):
        params = m_step(X, log_resp)
        bound = reference.gmm_elbo(X, np.exp(log_resp), params)
        log_resp, new = e_step(X, params)
        assert new >= bound - 1e-10 >= old - 2e-10
        old = new


@pytest.mark.parametrize("max_loss", [0.0, 1e5], ids=["by the steps", "by the sweep"])
@pytest.mark.parametrize("D, K", [(1, 2), (2, 3), (6, 4)])
def test_fit_em_equals_the_two_steps_repeated(D, K, max_loss, monkeypatch):
    monkeypatch.setattr(_mixture_sweep.Sweep, "max_loss", max_loss)
    rng = np.random.default_rng(6)
    X = clusters(rng, N=3000, D=D, K=K)
    params = init = init_params(X, K, rng)
    log_resp, log_likelihood = e_step(X, params)
    trace = [log_likelihood]
    for _ in range(10):
        params = m_step(X, log_resp)
        log_resp, log_likelihood = e_step(X, params)
        trace.append(log_likelihood)
    fit = run(X, init, 10)
    assert fit.n_iter == 10 and len(fit.elbos) == 11
    np.testing.assert_allclose(fit.elbos, trace, rtol=1e-10)
    assert_close(fit.params, params, rtol=1e-9)


def test_the_sweep_is_used_on_ordinary_data_and_refused_for_narrow_components():
    rng = np.random.default_rng(7)
    X = clusters(rng)
    sweep = _mixture_sweep.Sweep(X)
    assert sweep.is_safe(init_params(X, 3, rng).covs)
    assert not sweep.is_safe(np.array([np.eye(2), 1e-8 * np.eye(2)]))
    assert not _mixture_sweep.Sweep(np.ones((5, 2))).is_safe(np.eye(2)[None])


def sklearn_trace(X, init, n_iter, reg=0.0):
    """scikit-learn's parameters after each iteration and its mean bound before it."""
    model = GaussianMixture(
        len(init.weights),
        weights_init=init.weights,
        means_init=init.means,
        precisions_init=np.linalg.inv(init.covs),
        init_params="random",
        reg_covar=reg,
        max_iter=1,
        tol=0.0,
        warm_start=True,
    )
    steps = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(n_iter):
            model.fit(X)
            params = GMMParams(model.weights_, model.means_, model.covariances_)
            steps.append((params, model.lower_bound_ * len(X)))
    return steps


@pytest.mark.parametrize("data", ["clusters", "iris", "scaled", "ten dimensions"])
@pytest.mark.parametrize("reg", [0.0, 0.01])
def test_every_iteration_agrees_with_scikit_learn(data, reg):
    rng = np.random.default_rng(8)
    X = {
        "clusters": lambda: clusters(rng),
        "iris": lambda: load_iris().data,
        "scaled": lambda: 1e4 * clusters(rng),
        "ten dimensions": lambda: clusters(rng, N=2000, D=10, K=3),
    }[data]()
    init = init_params(X, 3, rng)
    steps = sklearn_trace(X, init, 20, reg)
    fit = run(X, init, 20, reg=reg)
    np.testing.assert_allclose(fit.elbos[:-1], [bound for _, bound in steps], rtol=1e-8)
    for n_iter in (1, 2, 5, 10, 20):
        assert_close(run(X, init, n_iter, reg=reg).params, steps[n_iter - 1][0], rtol=1e-8)


def test_steps_agree_with_scikit_learn_too():
    rng = np.random.default_rng(9)
    X = clusters(rng)
    params = init_params(X, 3, rng)
    for expected, bound in sklearn_trace(X, params, 20):
        log_resp, log_likelihood = e_step(X, params)
        params = m_step(X, log_resp)
        assert log_likelihood == pytest.approx(bound, rel=1e-8)
        assert_close(params, expected, rtol=1e-8)


# --- invariance and hard numerics --------------------------------------------------------------


def test_permuting_components_permutes_the_answer():
    rng = np.random.default_rng(10)
    X = clusters(rng)
    init = init_params(X, 3, rng)
    order = [2, 0, 1]
    permuted = GMMParams(init.weights[order], init.means[order], init.covs[order])
    fit, other = run(X, init, 20), run(X, permuted, 20)
    p = fit.params
    assert_close(other.params, GMMParams(p.weights[order], p.means[order], p.covs[order]), 1e-9)
    np.testing.assert_allclose(other.elbos, fit.elbos, rtol=1e-12)


@pytest.mark.parametrize(
    "scale, rotate, shift, rtol",
    [
        (1e4, False, 0.0, 1e-9),
        (1.0, True, 0.0, 1e-9),
        (1.0, False, 1e6, 1e-7),
        (1e4, True, 5.0, 1e-9),
    ],
    ids=["scaled by 1e4", "rotated", "shifted by 1e6", "all of them"],
)
def test_moving_the_data_moves_the_answer(scale, rotate, shift, rtol):
    rng = np.random.default_rng(11)
    X = clusters(rng, D=3)
    init = init_params(X, 3, rng)
    move = {"scale": scale, "rotation": ortho_group.rvs(3, random_state=0) if rotate else None}
    R = np.eye(3) if move["rotation"] is None else move["rotation"]
    moved = run(scale * X @ R.T + shift, transform(init, **move, shift=shift), 30)
    still = run(X, init, 30)
    assert_close(moved.params, transform(still.params, **move, shift=shift), rtol)
    np.testing.assert_allclose(
        moved.elbos,
        still.elbos - X.size * np.log(scale),
        rtol=0,
        atol=1e-3 if shift == 1e6 else 1e-6,
    )


def test_a_shift_of_a_million_loses_no_more_than_the_data_did():
    rng = np.random.default_rng(12)
    X = np.round(clusters(rng) * 2**10) / 2**10  # exact after the shift, too
    init = init_params(X, 3, rng)
    init = GMMParams(init.weights, np.round(init.means * 2**10) / 2**10, init.covs)
    moved = run(X + 2.0**20, transform(init, shift=2.0**20), 1)
    np.testing.assert_allclose(moved.params.covs, run(X, init, 1).params.covs, rtol=1e-8, atol=1e-8)
    assert moved.elbos[0] == pytest.approx(run(X, init, 1).elbos[0], rel=1e-12)


def test_a_component_forty_standard_deviations_away_is_found():
    rng = np.random.default_rng(13)
    X = np.concatenate([rng.normal(size=(200, 2)), 40 + rng.normal(size=(100, 2))])
    init = GMMParams(
        np.full(2, 0.5), np.array([[0.0, 0.0], [40.0, 40.0]]), np.array([np.eye(2)] * 2)
    )
    log_resp, _ = e_step(X, init)
    assert np.isfinite(log_resp).all() and log_resp.min() < -1000
    fit = fit_em(X, init)
    np.testing.assert_allclose(fit.params.weights, [2 / 3, 1 / 3], rtol=1e-12)
    np.testing.assert_allclose(fit.params.means[1], X[200:].mean(axis=0), rtol=1e-12)
    far = e_step(np.full((1, 2), 1e5), init)
    assert np.isfinite(far[1]) and np.isfinite(far[0]).all()


def test_fewer_points_than_dimensions_works_with_reg_and_is_refused_without():
    rng = np.random.default_rng(14)
    X = rng.normal(size=(8, 20))
    X[4:] += 5
    init = init_params(X, 2, rng)
    fit = fit_em(X, init, reg=0.1)
    assert fit.converged and np.isfinite(fit.elbos).all()
    assert np.linalg.eigvalsh(fit.params.covs).min() > 0.09
    with pytest.raises(ValueError, match="singular"):
        fit_em(X, init)


def test_columns_of_very_different_size_are_not_called_singular():
    rng = np.random.default_rng(15)
    X = clusters(rng, D=3) * np.array([1e-8, 1.0, 1e8])
    fit = fit_em(X, init_params(X, 2, rng))
    assert fit.converged and (np.diff(fit.elbos) > -1e-9).all()


# --- trouble -----------------------------------------------------------------------------------


def test_with_reg_the_bound_falls_by_no_more_than_the_trace_term_gains():
    rng = np.random.default_rng(22)
    X, reg = rng.normal(size=(50, 2)), 0.05
    start = np.array([1e-4 * np.eye(2), np.eye(2)])
    path = [GMMParams(np.full(2, 0.5), np.array([X[0], [0.0, 0.0]]), start)]
    for _ in range(30):
        path.append(m_step(X, e_step(X, path[-1])[0], reg=reg))
    bounds = run(X, path[0], 30, reg=reg).elbos
    np.testing.assert_allclose(bounds, [e_step(X, params)[1] for params in path], rtol=1e-9)
    for old, new, change in zip(path[:-1], path[1:], np.diff(bounds), strict=True):
        inverses = np.linalg.inv(new.covs) - np.linalg.inv(old.covs)
        traces = np.trace(inverses, axis1=1, axis2=2)
        assert change >= 0.5 * reg * len(X) * new.weights @ traces - 1e-9
    assert np.diff(bounds).min() < -0.01  # and fall it does


def test_a_constant_column_starts_with_the_mean_variance_of_the_others():
    rng = np.random.default_rng(23)
    X = np.column_stack([rng.normal(size=(50, 2)), np.full(50, 3.0)])
    var = np.diag(init_params(X, 1, rng).covs[0])
    np.testing.assert_allclose(var, [*X[:, :2].var(axis=0), X[:, :2].var(axis=0).mean()])


def test_a_component_that_collapses_on_a_point_is_an_error_that_names_the_cure():
    rng = np.random.default_rng(16)
    X = rng.normal(size=(50, 2))
    init = GMMParams(
        np.full(2, 0.5), np.array([X[0], [0.0, 0.0]]), np.array([1e-6 * np.eye(2), np.eye(2)])
    )
    with pytest.raises(ValueError, match=r"component 0 is singular.*reg > 0"):
        fit_em(X, init)
    fit = fit_em(X, init, reg=0.05, max_iter=2000)
    assert fit.converged and np.isfinite(fit.elbos).all()


def test_duplicated_points_are_an_error_without_reg_and_fine_with_it():
    rng = np.random.default_rng(17)
    X = np.concatenate([np.ones((20, 2)), 10 + rng.normal(size=(20, 2))])
    init = init_params(X, 2, np.random.default_rng(1))
    with pytest.raises(ValueError, match="singular"):
        fit_em(X, init)
    fit = fit_em(X, init, reg=1e-3)
    np.testing.assert_allclose(np.sort(fit.params.weights), [0.5, 0.5])


def test_a_constant_column_far_from_zero_is_an_error_without_reg():
    rng = np.random.default_rng(18)
    X = np.column_stack([rng.normal(size=50), np.full(50, 0.1 + 1e6)])
    init = init_params(X, 2, rng)
    with pytest.raises(ValueError, match="singular"):
        fit_em(X, init)
    assert fit_em(X, init, reg=1e-3, max_iter=3000).converged


@pytest.mark.parametrize("max_loss", [0.0, 1e5], ids=["by the steps", "by the sweep"])
@pytest.mark.parametrize("far", [60.0, 1e3], ids=["underflow", "no digits"])
def test_an_empty_component_is_an_error(max_loss, far, monkeypatch):
    monkeypatch.setattr(_mixture_sweep.Sweep, "max_loss", max_loss)
    X = np.random.default_rng(19).normal(size=(50, 2))
    init = GMMParams(np.full(2, 0.5), np.array([[0.0, 0.0], [far, 0.0]]), np.array([np.eye(2)] * 2))
    with pytest.raises(ValueError, match="component 1 is empty in iteration 1"):
        fit_em(X, init)


def test_a_component_of_weight_zero_gets_no_point_and_no_warning():
    X = np.random.default_rng(20).normal(size=(20, 2))
    both = GMMParams(np.array([1.0, 0.0]), np.zeros((2, 2)), np.array([np.eye(2)] * 2))
    log_resp, log_likelihood = e_step(X, both)
    assert (log_resp[:, 1] == -np.inf).all() and (log_resp[:, 0] == 0).all()
    one = GMMParams(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    assert log_likelihood == pytest.approx(e_step(X, one)[1])
    with pytest.raises(ValueError, match="empty"):
        m_step(X, log_resp)


def test_identical_components_stay_identical_because_that_is_a_stationary_point():
    rng = np.random.default_rng(21)
    X = clusters(rng)
    one = m_step(X, np.zeros((len(X), 1)))
    twins = GMMParams(np.full(2, 0.5), one.means[[0, 0]], one.covs[[0, 0]])
    fit = fit_em(X, twins)
    assert fit.converged
    np.testing.assert_allclose(fit.params.means[0], fit.params.means[1], rtol=1e-12)
    nudged = GMMParams(twins.weights, twins.means + np.array([[1e-3, 0], [-1e-3, 0]]), twins.covs)
    assert fit_em(X, nudged, max_iter=1000, tol=1e-12).elbo > fit.elbo + 10


def test_not_converging_is_said_once_and_in_the_result():
    rng = np.random.default_rng(22)
    X = clusters(rng)
    with pytest.warns(ConvergenceWarning) as caught:
        fit = fit_em(X, init_params(X, 3, rng), max_iter=2)
    assert len(caught) == 1 and "fit_em did not converge in 2" in str(caught[0].message)
    assert not fit.converged and fit.n_iter == 2 and len(fit.elbos) == 3


def test_a_converged_fit_stops_where_the_last_change_is_below_tol():
    rng = np.random.default_rng(23)
    X = clusters(rng)
    fit = fit_em(X, init_params(X, 3, rng), tol=1e-3)
    changes = np.diff(fit.elbos)
    assert fit.converged and changes[-1] < 1e-3 and (changes[:-1] >= 1e-3).all()
    assert fit.elbo == pytest.approx(e_step(X, fit.params)[1], rel=1e-12)


def test_extra_memory_is_at_most_two_resp_arrays_and_one_copy_of_the_data():
    rng = np.random.default_rng(24)
    N, D, K = 100_000, 2, 5
    X = clusters(rng, N=N, D=D, K=K)
    init = init_params(X, K, rng)
    tracemalloc.start()
    run(X, init, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 8 * (2 * N * K + N * D)


GOOD = GMMParams(np.full(2, 0.5), np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([np.eye(2)] * 2))
X_GOOD = np.random.default_rng(25).normal(size=(10, 2))


def changed(**fields):
    return GMMParams(**{**vars(GOOD), **fields})


@pytest.mark.parametrize(
    "X, params, message",
    [
        (np.where(np.eye(10, 2) > 0, np.nan, X_GOOD), GOOD, "X must be finite"),
        (X_GOOD[:, 0], GOOD, "X must have shape"),
        (X_GOOD[:, :1], GOOD, "X must have shape"),
        (X_GOOD, {"weights": 1}, "must be a GMMParams"),
    ],
)
def test_bad_input_to_the_e_step_and_the_fit_is_named(X, params, message):
    with pytest.raises(ValueError, match=message):
        e_step(X, params)
    with pytest.raises(ValueError, match=message):
        fit_em(X, params)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"weights": [0.5, 0.6]}, "weights must sum to 1"),
        ({"weights": [[0.5, 0.5]]}, "weights must have 1 dimension"),
        ({"means": np.full((2, 2), np.inf)}, "means must be finite"),
        ({"means": np.zeros((3, 2))}, "means must have shape"),
        ({"covs": np.array([np.eye(2), -np.eye(2)])}, "positive semi-definite"),
        ({"covs": np.ones((2, 2, 2)) + np.triu(np.ones((2, 2)))}, "symmetric"),
        ({"covs": np.eye(2)}, "covs must have shape"),
    ],
)
def test_parameters_check_themselves(fields, message):
    with pytest.raises(ValueError, match=message):
        changed(**fields)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: fit_em(X_GOOD[:1], GOOD), "at least as many points as components, got 1 < 2"),
        (lambda: fit_em(X_GOOD, GOOD, reg=-1.0), "reg must be >= 0"),
        (lambda: fit_em(X_GOOD, GOOD, tol=np.nan), "tol must be finite"),
        (lambda: fit_em(X_GOOD, GOOD, max_iter=0), "max_iter must be an integer >= 1"),
        (lambda: init_params(X_GOOD, 11, np.random.default_rng(0)), "10 < 11"),
        (lambda: init_params(X_GOOD, 2, 0), "rng must be a numpy.random.Generator"),
        (lambda: init_params(np.ones((9, 2)), 2, np.random.default_rng(0)), "distinct points"),
        (lambda: m_step(X_GOOD, np.zeros((9, 1))), "log_resp must have shape"),
        (lambda: m_step(X_GOOD, np.zeros((10, 2))), "must sum to 1"),
        (lambda: m_step(X_GOOD, np.full((10, 1), np.nan)), "got NaN"),
    ],
)
def test_other_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_start_depends_on_rng_only_and_is_valid():
    X = clusters(np.random.default_rng(26))
    one, two = (init_params(X, 4, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.means, two.means)
    assert len(np.unique(one.means, axis=0)) == 4
    assert np.isfinite(e_step(X, one)[1])
    assert mixture_em.init_params(X, 1, np.random.default_rng(0)).means.shape == (1, 2)
