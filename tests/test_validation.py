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
