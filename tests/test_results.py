"""The one loop: its contract for tol and max_iter, and a warning at the caller's line."""

import warnings

import numpy as np
import pytest

from vi_helpers import (
    divergences,
    ising,
    latent_features,
    logistic,
    mixture_em,
    mixture_vb,
    results,
)
from vi_helpers.densities import normal_logpdf
from vi_helpers.results import ConvergenceWarning, climb

X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X[:, 0] + 0.5 * np.random.default_rng(1).normal(size=40) > 0).astype(float)
FITS = {
    "em": lambda **kw: mixture_em.fit_em(
        X, mixture_em.init_params(X, 2, np.random.default_rng(2)), **kw
    ),
    "vb": lambda **kw: mixture_vb.fit_vb(X, 2, **kw),
    "features": lambda **kw: latent_features.fit_em(
        X, latent_features.init_params(X, 2, np.random.default_rng(3)), **kw
    ),
    "logistic": lambda **kw: logistic.fit_gaussian(X, Y, 2.0, **kw),
    "spins": lambda **kw: ising.fit_mean_field(ising.grid(4, 4, 0.3, 0.1), **kw),
    "chains": lambda **kw: ising.fit_chains(ising.grid(4, 4, 0.3, 0.1), [[0, 1], [4, 8]], **kw),
}


def halve(**kwargs):
    return climb("halve", 1.0, lambda x: x / 2, lambda x: -x, **kwargs)


def test_the_trace_is_the_bound_of_every_state_and_the_params_the_last_state():
    fit = halve(max_iter=50, tol=1e-3)
    np.testing.assert_array_equal(fit.elbos, -(0.5 ** np.arange(fit.n_iter + 1)))
    changes = np.diff(fit.elbos)
    assert fit.converged and changes[-1] < 1e-3 <= changes[-2]
    assert fit.params == 0.5**fit.n_iter and fit.elbo == fit.elbos[-1]


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_every_fit_runs_all_iterations_without_a_warning_when_tol_is_zero(fit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit(tol=0, max_iter=7)
    assert result.n_iter == 7 and len(result.elbos) == 8 and not result.converged
    assert (np.diff(result.elbos) > -1e-9).all()


@pytest.mark.parametrize("fit", [*FITS.values(), halve], ids=[*FITS, "climb"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tol": -1.0}, "tol must be >= 0, got -1"),
        ({"tol": np.nan}, "tol must be finite"),
        ({"tol": "small"}, "tol must be numeric"),
        ({"max_iter": 0}, "max_iter must be an integer >= 1"),
        ({"max_iter": 2.5}, "max_iter must be an integer >= 1"),
    ],
)
def test_every_fit_refuses_the_same_tolerances_and_iterations(fit, change, message):
    with pytest.raises(ValueError, match=message):
        fit(**({"max_iter": 5, "tol": 1e-6} | change))


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_stops_early_warns_once_at_the_line_of_its_caller(name):
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 it") as caught:
        fit = FITS[name](max_iter=1, tol=1e-12)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert f"tol is {1e-12:.3g}" in str(caught[0].message)
    assert "change of the bound, in nats" in str(caught[0].message)
    assert not fit.converged and fit.n_iter == 1


def test_a_gaussian_fit_that_stops_early_speaks_of_the_slope():
    def log_p(x):
        return normal_logpdf(x, 30.0, 2.0)

    with pytest.warns(ConvergenceWarning, match="in 1 it.*slope of KL") as caught:
        fit = divergences.fit_gaussian(log_p, 0.0, 1.0, max_iter=1)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert fit.n_iter == 1 and fit.path.shape == (2, 3) and not fit.converged
    with pytest.warns(ConvergenceWarning, match=r"in 2 it.*slope of KL.*tol is 1e-05"):
        divergences.fit_gaussian_plane(
            lambda z: normal_logpdf(z, 3.0, 2.0).sum(axis=1), [0.0, 0.0], np.eye(2), max_iter=1
        )


def test_a_bound_that_is_not_finite_is_an_error_that_names_the_fit_and_the_iteration():
    with pytest.raises(ValueError, match="halve: the bound is nan after iteration 2"):
        climb("halve", 0, lambda i: i + 1, lambda i: [0.0, 1.0, np.nan][i], max_iter=9, tol=0)


def test_the_tolerance_is_a_float():
    assert results.tolerance(np.float32(0.5)) == 0.5
