"""Effective sample size and Pareto k against exact laws; calibration of right and wrong fits."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from reference import pareto_k_by_likelihood

from vi_helpers.diagnostics import Calibration, calibrate, effective_sample_size, pareto_k


def log_weights_normal(std, num, rng):
    """q = N(0, std²), p = N(0, 1): the tail of the weights has shape 1 - std²."""
    z = std * rng.standard_normal(num)
    return -0.5 * z**2 + 0.5 * (z / std) ** 2 + np.log(std)


def log_weights_mean_field(rho, num, rng):
    """The mean-field optimum of a unit normal with correlation rho: shape rho."""
    z = np.sqrt(1 - rho**2) * rng.standard_normal((num, 2))
    square = z[:, 0] ** 2 - 2 * rho * z[:, 0] * z[:, 1] + z[:, 1] ** 2
    return -0.5 * (square - (z**2).sum(axis=1)) / (1 - rho**2) + 0.5 * np.log(1 - rho**2)


def test_equal_weights_count_in_full_and_one_weight_counts_as_one():
    assert effective_sample_size(np.full(50, -1e4)) == pytest.approx(50)
    assert effective_sample_size([0.0, -np.inf, -np.inf]) == pytest.approx(1)


def test_effective_sample_size_is_the_ratio_of_sums_and_ignores_a_constant():
    weights = np.random.default_rng(0).exponential(size=200)
    expected = weights.sum() ** 2 / (weights**2).sum()
    for constant in (0.0, 1e4, -1e4):
        assert effective_sample_size(np.log(weights) + constant) == pytest.approx(expected)


def test_effective_share_meets_its_law_for_a_wide_normal():
    """q = N(0, s²), s² > 1/2: S / ESS tends to E_q[w²] = s² / sqrt(2 s² - 1)."""
    rng = np.random.default_rng(1)
    for std in (0.9, 1.2, 2.0):
        share = effective_sample_size(log_weights_normal(std, 400_000, rng)) / 400_000
        assert share == pytest.approx(np.sqrt(2 * std**2 - 1) / std**2, rel=0.02)


@pytest.mark.parametrize(
    ("draw", "value", "law"),
    [
        (log_weights_normal, 0.9, 0.19),
        (log_weights_normal, 0.7, 0.51),
        (log_weights_normal, 0.3, 0.91),
        (log_weights_mean_field, 0.3, 0.3),
        (log_weights_mean_field, 0.7, 0.7),
        (log_weights_mean_field, 0.9, 0.9),
    ],
)
def test_pareto_k_comes_near_the_exact_tail_of_two_gaussian_laws(draw, value, law):
    rng = np.random.default_rng(2)
    found = [pareto_k(draw(value, 100_000, rng)) for _ in range(5)]
    # it tends to the law from below, and slowly: the tail has logarithms in it
    assert law - 0.12 < np.mean(found) < law + 0.06


def test_pareto_k_looks_at_the_largest_weights_and_not_at_the_smallest():
    rng = np.random.default_rng(3)
    assert pareto_k(log_weights_normal(2.0, 10_000, rng)) < 0.1  # q too wide: bounded weights
    assert pareto_k(log_weights_normal(0.5, 10_000, rng)) > 0.4


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_finds_the_shape_of_pareto_weights_as_a_likelihood_fit_does(k):
    log_weights = k * np.random.default_rng(4).exponential(size=40_000)  # P(w > t) = t^(-1/k)
    found = pareto_k(log_weights + 300.0)
    assert found == pytest.approx(k, abs=0.12)
    assert found == pytest.approx(pareto_k_by_likelihood(log_weights), abs=0.06)


@pytest.mark.parametrize("num", [25, 226, 300, 400, 1000, 4321, 100_000])
def test_pareto_k_is_the_librarys_of_all_weights(num):
    log_weights = 0.6 * np.random.default_rng(num).exponential(size=num) - 1000
    whole = float(array_stats.psislw(-log_weights)[1])
    assert pareto_k(log_weights) == pytest.approx(whole, abs=1e-9)


def test_equal_weights_have_no_tail():
    assert pareto_k(np.full(1000, 3.7)) == -np.inf


@pytest.mark.parametrize(
    ("log_weights", "message"),
    [
        (np.zeros(24), "at least 25"),
        (np.append(np.zeros(5), np.full(995, -np.inf)), "above zero, got 5"),
        (np.log(np.arange(1000) % 4 + 1.0), None),
        (np.append(np.zeros(999), np.nan), "NaN"),
        (np.append(np.zeros(999), np.inf), "inf"),
        (np.zeros((100, 2)), r"shape \(S,\)"),
        (np.full(100, -np.inf), "only -inf"),
    ],
)
def test_weights_without_a_tail_to_fit_are_refused_and_never_give_a_nan(log_weights, message):
    if message is None:
        assert pareto_k(log_weights) == -np.inf
        return
    with pytest.raises(ValueError, match=message):
        pareto_k(log_weights)


def test_weights_that_tie_at_the_edge_of_the_tail_are_refused():
    log_weights = np.zeros(10_000)
    log_weights[:20] = np.arange(20) + 1.0
    with pytest.raises(ValueError, match="must differ in their tail"):
        pareto_k(log_weights)


def simulate(rng):
    z = rng.standard_normal(2)
    return z, z + rng.standard_normal(2)


def posterior(std_factor=1.0, shift=0.0):
    """N(x / 2, 1/2) is exact; the arguments spoil it."""

    def draws(x, rng):
        return x / 2 + shift + std_factor * np.sqrt(0.5) * rng.standard_normal((99, 2))

    return draws


def test_exact_posteriors_have_uniform_ranks():
    found = calibrate(simulate, posterior(), 1000, np.random.default_rng(5))
    assert found.ranks.shape == (1000, 2)
    assert (found.p_values() > 0.001).all()
    assert found.counts(10).sum(axis=1).tolist() == [1000, 1000]


def test_narrow_posteriors_make_a_valley_wide_ones_a_hill_and_shifted_ones_a_slope():
    rng = np.random.default_rng(6)
    narrow = calibrate(simulate, posterior(0.6), 1000, rng)
    wide = calibrate(simulate, posterior(1.6), 1000, rng)
    high = calibrate(simulate, posterior(shift=0.3), 1000, rng)
    assert max(fit.p_values().max() for fit in (narrow, wide, high)) < 1e-6
    for column in narrow.counts(10):
        assert column[[0, -1]].min() > 2 * column[4:6].max()
    for column in wide.counts(10):
        assert 2 * column[[0, -1]].max() < column[4:6].min()
    for column in high.counts(10):  # draws too high: few of them lie below the truth
        assert column[0] > 2 * column[-1]


def test_the_prior_passes_calibration_although_it_ignores_the_data():
    found = calibrate(
        simulate, lambda x, rng: rng.standard_normal((99, 2)), 1000, np.random.default_rng(7)
    )
    assert (found.p_values() > 0.001).all()


def test_the_p_value_of_uniform_ranks_is_uniform():
    rng = np.random.default_rng(8)
    values = [Calibration(rng.integers(100, size=(400, 1)), 99).p_values()[0] for _ in range(500)]
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.04)


def test_bad_calibration_input_is_named():
    rng = np.random.default_rng(9)
    with pytest.raises(ValueError, match="num_simulations"):
        calibrate(simulate, posterior(), 0, rng)
    with pytest.raises(ValueError, match="posterior_draws must have shape"):
        calibrate(simulate, lambda x, rng: np.zeros((99, 3)), 2, rng)
    with pytest.raises(ValueError, match="posterior_draws must be finite"):
        calibrate(simulate, lambda x, rng: np.full((99, 2), np.nan), 2, rng)
    with pytest.raises(ValueError, match="simulate's z"):
        calibrate(lambda rng: (np.zeros((2, 2)), None), posterior(), 2, rng)
    with pytest.raises(ValueError, match="num_bins must divide 100"):
        calibrate(simulate, posterior(), 5, rng).counts(7)
