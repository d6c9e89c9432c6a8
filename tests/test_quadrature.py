"""Nodes and weights against moments in closed form and adaptive quadrature."""

import numpy as np
import pytest
from scipy import integrate, stats

from vi_helpers import quadrature


def test_the_line_has_the_moments_of_a_standard_normal():
    nodes, weights = quadrature.normal_line()
    moments = [weights @ nodes**k for k in range(9)]
    np.testing.assert_allclose(moments, [1, 0, 1, 0, 3, 0, 15, 0, 105], atol=1e-10)


def test_the_plane_has_the_moments_of_two_independent_ones():
    nodes, weights = quadrature.normal_plane(0.2)
    np.testing.assert_allclose(weights @ nodes, 0, atol=1e-14)
    np.testing.assert_allclose((nodes.T * weights) @ nodes, np.eye(2), atol=1e-8)
    assert weights @ (nodes**2).prod(axis=1) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("function", [np.tanh, np.cos, lambda x: np.logaddexp(0, x)])
def test_an_expectation_is_that_of_adaptive_quadrature(function):
    mean, std = np.array([-1.0, 0.3, 4.0]), np.array([0.1, 2.0, 5.0])
    ours = quadrature.expect_normal(function, mean, std)
    for m, s, value in zip(mean, std, ours, strict=True):
        density = stats.norm(m, s).pdf
        ends = m - 12 * s, m + 12 * s
        exact = integrate.quad(
            lambda x, pdf=density: pdf(x) * function(x), *ends, epsabs=1e-12, limit=200
        )[0]
        assert value == pytest.approx(exact, abs=1e-9)


def test_the_shared_arrays_cannot_be_changed():
    nodes, weights = quadrature.normal_line(11, 3.0)
    for array in (nodes, weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
