"""Each check passes what it should and names the argument in what it refuses."""

import numpy as np
import pytest

from vi_helpers import validation


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: validation.finite("x", [1.0, np.nan]), r"x must be finite, got 1 NaN"),
        (lambda: validation.finite("x", "text"), r"x must be numeric and real, got str"),
        (lambda: validation.finite("x", [1.0], ndim=2), r"x must have 2 dim.*got shape \(1,\)"),
        (lambda: validation.finite("x", [[1.0]], shape=(None, 2)), r"\('any', 2\), got \(1, 1\)"),
        (lambda: validation.positive("std", [1.0, 0.0]), r"std must be positive, got .* 0"),
        (lambda: validation.probabilities("p", [0.5, 0.6]), r"p must sum to 1 .* got a sum of 1.1"),
        (lambda: validation.probabilities("p", [1.5, -0.5]), r"p must be non-negative"),
        (lambda: validation.probabilities("p", []), r"p must hold at least one probability"),
        (lambda: validation.covariance("cov", [[1.0, 2.0], [2.0, 1.0]]), r"positive definite"),
        (lambda: validation.covariance("cov", [[1.0, 0.5], [0.0, 1.0]]), r"symmetric"),
        (lambda: validation.covariance("cov", np.eye(2), dim=3), r"\(\.\.\., 3, 3\), got \(2, 2\)"),
        (
            lambda: validation.finite("x", np.ma.array([1.0, 2.0], mask=[0, 1])),
            r"must be a plain",
        ),
        (lambda: validation.finite("x", [1.0 + 2.0j]), r"x must be numeric and real, got list"),
        (lambda: validation.finite("x", np.ones(2, complex)), r"numeric and real, got complex128"),
        (lambda: validation.finite("x", [[1.0], [1.0, 2.0]]), r"x must be numeric and real"),
        (lambda: validation.finite("x", np.array(["2026-01-01"], "M8[D]")), r"x must be numeric"),
        (lambda: validation.data("X", np.zeros((0, 2))), r"X must hold at least one number"),
        (
            lambda: validation.data("X", np.zeros((3, 2)), dim=3),
            r"must have shape .*, got \(3, 2",
        ),
        (lambda: validation.data("X", [[1.0, np.nan]]), r"X must be finite"),
        (lambda: validation.covariance("cov", np.zeros((0, 2, 2))), r"at least one matrix"),
        (lambda: validation.covariance("cov", np.eye(2), shape=(3, 2, 2)), r"cov must have shape"),
        (lambda: validation.covariance("cov", np.zeros((2, 2))), r"cov must be positive definite"),
        (lambda: validation.covariance("cov", -np.eye(2), singular=True), r"semi-definite"),
        (
            lambda: validation.log_probabilities("log_q", [[0.0, 0.0]]),
            r"must sum to 1",
        ),
        (lambda: validation.log_probabilities("log_q", [[np.nan, 0.0]]), r"log_q .* got NaN"),
        (lambda: validation.log_probabilities("log_q", [0.0]), r"log_q must have shape"),
        (lambda: validation.integer("k", 0), r"k must be an integer >= 1, got 0"),
        (lambda: validation.integer("k", 2.0), r"k must be an integer >= 1, got 2.0"),
        (lambda: validation.integer("k", True), r"k must be an integer"),
        (lambda: validation.one_of("mode", "c", ["a", "b"]), r"mode must be one of 'a', 'b', got"),
        (lambda: validation.generator("rng", 0), r"rng must be a numpy.random.Generator, got int"),
    ],
)
def test_bad_input_is_refused_with_the_name_of_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_good_input_comes_back_as_float_arrays():
    assert validation.finite("x", [1, 2], shape=(None,)).dtype == float
    assert validation.positive("std", 2).shape == ()
    assert validation.probabilities("p", [[0.2, 0.8], [1, 0]]).shape == (2, 2)
    assert validation.covariance("cov", np.eye(3)[None], dim=3).shape == (1, 3, 3)
    assert validation.integer("k", np.int64(3)) == 3
    np.testing.assert_array_equal(validation.log_probabilities("q", [[0.0, -np.inf]]), [[1, 0]])
    assert validation.covariance("cov", np.zeros((2, 2)), singular=True).shape == (2, 2)


def test_definiteness_does_not_depend_on_the_units_of_the_columns():
    units = np.array([1e-8, 1.0, 1e8])
    correlation = np.array([[1.0, 0.9, 0.8], [0.9, 1.0, 0.9], [0.8, 0.9, 1.0]])
    validation.covariance("cov", correlation * np.outer(units, units))
    correlation[0, 2] = correlation[2, 0] = 0.0
    with pytest.raises(ValueError, match="positive definite"):
        validation.covariance("cov", correlation * np.outer(units, units))


def test_probabilities_in_float32_pass_and_are_normalised():
    logits = np.random.default_rng(0).normal(size=(50, 300)).astype(np.float32)
    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert q.dtype == np.float32 and np.abs(q.astype(float).sum(axis=1) - 1).max() > 1e-8
    np.testing.assert_allclose(validation.probabilities("q", q).sum(axis=1), 1, atol=1e-14)
    with pytest.raises(ValueError, match="q must sum to 1"):
        validation.probabilities("q", 1.001 * q)
    with pytest.raises(ValueError, match="q must sum to 1"):
        validation.probabilities("q", q.astype(float))


def test_a_singular_matrix_is_refused_and_a_thin_one_taken_in_any_units():
    rng = np.random.default_rng(8)
    for _ in range(500):
        size = int(rng.integers(2, 6))
        thin = rng.integers(1, 6, (size, size - 1)) + 5.0 * np.eye(size, size - 1)
        units = np.outer(*2 * [10.0 ** rng.integers(-3, 4, size)])
        singular = thin @ thin.T
        with pytest.raises(ValueError, match="cov must be positive definite"):
            validation.covariance("cov", singular)
        near = (singular + 1e-10 * np.trace(singular) * np.eye(size)) * units
        np.linalg.cholesky(validation.covariance("cov", near))
