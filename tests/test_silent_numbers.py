"""Wrong numbers that once came out in silence: each is an error by name now, or the right number.

test_any_input holds the same for every function; here are the cases that were found first, as laws.
"""

import numpy as np
import pytest
from recipes import FROZEN, RECIPES, Draw

from vi_helpers import (
    densities,
    divergences,
    elbo,
    latent_features,
    mean_field,
    mixture_em,
    mixture_vb,
    ppca,
)


@pytest.mark.filterwarnings("ignore::vi_helpers.results.ConvergenceWarning")
@pytest.mark.parametrize("direction", ["exclusive", "inclusive"])
@pytest.mark.parametrize("std", [1e-4, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize("mean", [0.0, 3.0, 1e3, 1e6, 1e10])
def test_a_gaussian_target_in_or_out_of_reach_has_kl_zero_or_is_refused(mean, std, direction):
    """Once -47 nats, with converged=True: the nodes did not see the target."""

    def log_p(x):
        return densities.normal_logpdf(x, mean, std)

    try:
        fit = divergences.fit_gaussian(log_p, 0.0, 1.0, direction)
    except ValueError as error:
        assert str(error).startswith("log_p must")
        assert mean > 500 * std or std < 1e-3
        return
    assert fit.kl > -1e-5
    if fit.converged:
        np.testing.assert_allclose([fit.mean, fit.std], [mean, std], rtol=1e-4, atol=1e-6)


def test_a_grid_gives_the_closed_form_or_is_refused():
    """Once 32.6 for 0.443: the grid missed q."""
    rng, refused = np.random.default_rng(0), 0
    for _ in range(200):
        (mean_q, mean_p), (std_q, std_p) = rng.normal(size=2), np.exp(rng.normal(size=2))
        low = mean_q - std_q * rng.uniform(0, 30)
        high = mean_q + std_q * rng.uniform(0, 30)

        def log_q(x, mean=mean_q, std=std_q):
            return densities.normal_logpdf(x, mean, std)

        def log_p(x, mean=mean_p, std=std_p):
            return densities.normal_logpdf(x, mean, std)

        try:
            kl = divergences.kl_quad(log_q, log_p, low, high, int(rng.integers(3, 3000)))
        except ValueError as error:
            assert "must hold the mass of q" in str(error)
            refused += 1
            continue
        exact = float(divergences.kl_normal(mean_q, std_q, mean_p, std_p))
        assert abs(kl - exact) < 0.02 * (1 + exact * 5)
    assert 10 < refused < 190


X = np.random.default_rng(1).normal(size=(30, 2))
HIDDEN = np.ma.masked_array(np.where(np.arange(60).reshape(30, 2) == 7, 1e3, X))
HIDDEN[3, 1] = np.ma.masked
START = mixture_em.init_params(X, 2, np.random.default_rng(2))
FACTORS = latent_features.init_params(X, 2, np.random.default_rng(3))
PPCA = ppca.PPCAParams(np.ones((2, 1)), np.zeros(2), 1.0)
FITS = {
    "fit_em": lambda X: mixture_em.fit_em(X, START),
    "fit_vb": lambda X: mixture_vb.fit_vb(X, 2),
    "fit_ppca": lambda X: ppca.fit_ppca(X, 1),
    "log_evidence_per_point": lambda X: ppca.log_evidence_per_point(X, PPCA),
    "latent fit_em": lambda X: latent_features.fit_em(X, FACTORS),
    "default_prior": mixture_vb.default_prior,
    "fit_unit_mixture": lambda x: mean_field.fit_unit_mixture(x, 2, prior_std=1.0),
}
UNUSABLE = {
    "a mask, which a float array would lose": HIDDEN,
    "complex numbers, which would lose their imaginary part": X * (1 + 1j),
    "no rows": X[:0],
    "no columns": X[:, :0],
    "numbers whose squares overflow": X * 1e307,
    "an infinity, on which lstsq once hung": np.where(X[0, 0] == X, np.inf, X),
    "NaN": np.where(X[0, 0] == X, np.nan, X),
    "texts": X.astype(str),
    "a ragged list": [[1.0, 2.0], [3.0]],
}


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("fit", FITS)
def test_data_that_no_fit_can_use_is_refused_by_its_name(fit, kind):
    """Once a fit that moved from 1 to 179, a ZeroDivisionError, a LinAlgError, text of einsum."""
    with pytest.raises(ValueError, match=r"^[xX] must"):
        FITS[fit](UNUSABLE[kind])


@pytest.mark.parametrize("name", FROZEN)
def test_parameters_keep_what_was_checked_and_nothing_else(name, tmp_path):
    """Lists, float32 and arrays that change later: the dataclass holds float64 of its own kind."""
    recipe, made = RECIPES[name].make(Draw(0, tmp_path)), FROZEN[name]
    as_lists = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in recipe.items()}
    whole, listed = made(**recipe), made(**as_lists)
    for key, value in vars(whole).items():
        again = getattr(listed, key)
        assert type(again) is type(value)
        if isinstance(value, np.ndarray):
            assert again.dtype == value.dtype
            assert value.dtype.kind in "fi"
        np.testing.assert_array_equal(again, value)


def test_a_prior_given_as_text_or_list_is_refused_or_becomes_numbers():
    prior = mixture_vb.Prior(np.float32(1), 2, [0, 0], [[1, 0], [0, 1]], 5)
    assert isinstance(prior.alpha0, float) and isinstance(prior.m0, np.ndarray)
    assert elbo.ConjugateNormal([1, 2], noise_std=np.float32(2)).log_evidence() < 0
    for bad in ("1", [1.0], np.ones(1), 1 + 0j, None):
        with pytest.raises(ValueError, match=r"^alpha0 must"):
            mixture_vb.Prior(bad, 2.0, [0, 0], np.eye(2), 5.0)
        with pytest.raises(ValueError, match=r"^prior_std must"):
            elbo.ConjugateNormal([1.0], prior_std=bad)


def test_probabilities_of_a_float32_softmax_are_probabilities_everywhere():
    logits = np.random.default_rng(0).normal(size=(40, 200)).astype(np.float32)
    resp = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    other = resp[::-1]
    precise, other64 = resp.astype(float), other.astype(float)
    precise, other64 = (p / p.sum(axis=1, keepdims=True) for p in (precise, other64))
    np.testing.assert_allclose(
        divergences.kl_categorical(resp, other),
        divergences.kl_categorical(precise, other64),
        rtol=1e-5,
    )
    data = np.random.default_rng(1).normal(size=(40, 2))
    single = mixture_em.m_step(data, np.log(resp), reg=1.0)
    double = mixture_em.m_step(data, np.log(precise), reg=1.0)
    np.testing.assert_allclose(single.means, double.means, atol=1e-5)


def test_a_flat_target_has_no_nearest_gaussian():
    """Once NaN."""
    with pytest.raises(ValueError, match="log_p must"):
        divergences.fit_gaussian_plane(lambda x: np.zeros(len(x)), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="log_p must"):
        divergences.fit_gaussian(lambda x: np.zeros(len(x)), 0.0, 1.0)


def test_expected_factors_with_an_infinity_are_refused_before_lstsq_hangs():
    q = latent_features.factorised(np.full((30, 2), 0.5))
    for spoilt in (np.inf, np.nan):
        second = q.second.copy()
        second[0, 0, 0] = spoilt
        with pytest.raises(ValueError, match=r"^second must be finite"):
            latent_features.Posterior(q.mean, second, q.entropy)
