"""A check says not answered, correct, or why not; and a lax check is caught."""

import re

import numpy as np
import pytest
import torch

from vi_helpers.exercises import (
    NotYet,
    as_numbers,
    as_probabilities,
    assert_close,
    try_answer,
)


def check_square(square):
    assert_close(square(3.0), 9.0, hint="try it on 3")
    assert_close(square(np.array([1.5, -2.0])), [2.25, 4.0])


def unanswered(x):
    raise NotImplementedError


@pytest.mark.parametrize("answer", [..., unanswered])
def test_an_untouched_stub_counts_as_not_answered(answer, capsys):
    try_answer("1.1", check_square, answer)
    assert capsys.readouterr().out == "Exercise 1.1: not answered yet\n"


def test_a_right_answer_is_accepted(capsys):
    try_answer("1.1", check_square, lambda x: x**2)
    assert capsys.readouterr().out == "Exercise 1.1: correct\n"


def test_a_wrong_answer_fails_with_the_hint():
    with pytest.raises(NotYet, match=r"Exercise 1.1: not yet. .*got 6, expected 9; try it on 3"):
        try_answer("1.1", check_square, lambda x: 2 * x)


def test_jupyter_shows_a_wrong_answer_in_one_line():
    with pytest.raises(NotYet) as caught:
        try_answer("1.1", check_square, lambda x: 2 * x)
    assert caught.value._render_traceback_() == [str(caught.value)]


def no_return(x):
    x**2


def breaks(x):
    return x / [1, 2]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (no_return, "must be real numbers, got None (is a return missing?)"),
        (lambda x: "nine", "must be real numbers, got 'nine' (str)"),
        (lambda x: np.array([[9.0]]), "must be one number, got an array of shape (1, 1)"),
        (lambda x: (9.0, 1.0), "must be one number, got a tuple of 2"),
        (lambda x: [[1.0], [1.0, 2.0]], "must be real numbers, got a list of 2"),
        (lambda x: 9 + 0j, "must be real numbers, got (9+0j)"),
        (lambda x: np.nan, "must be finite"),
        (breaks, "Your function raised TypeError: unsupported operand type(s) for /: 'float'"),
        (lambda: 9, "Your function raised TypeError"),
        (7, "The check cannot use 7 (int) (TypeError: 'int' object is not callable)"),
        (None, "The check cannot use None"),
    ],
)
def test_whatever_goes_wrong_is_told_in_a_sentence(answer, sentence):
    with pytest.raises(NotYet, match=re.escape(sentence)):
        try_answer("1.1", check_square, answer)


def test_an_error_in_the_answer_names_the_line_and_what_it_was_called_with():
    with pytest.raises(NotYet, match=r"in the line `return x / \[1, 2\]`, .*with 3.0 \(float\)"):
        try_answer("1.1", check_square, breaks)


def test_a_result_that_the_check_cannot_unpack_is_described():
    def check(pair):
        first, _ = pair(1.0)
        assert_close(first, 1.0)

    with pytest.raises(NotYet, match=r"cannot use what came back, a tuple of 3"):
        try_answer("1.1", check, lambda x: (x, x, x))


def test_a_pair_of_tensors_with_gradients_is_numbers():
    pair = (torch.tensor(1.5, requires_grad=True), [torch.tensor(2.0, requires_grad=True)] * 2)
    np.testing.assert_array_equal(as_numbers(pair[1]), [2.0, 2.0])
    assert as_numbers((pair[0], 2.5)).tolist() == [1.5, 2.5]


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), torch.tensor(3.0, requires_grad=True)])
def test_a_number_may_come_as_any_kind_of_number(value):
    assert as_numbers(value, shape=()) == 3.0


def test_a_close_array_passes_and_the_worst_entry_is_named():
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert_close(expected * (1 + 1e-8), expected)
    with pytest.raises(AssertionError, match=r"got 3.5 at \(1, 0\), expected 3"):
        assert_close([[1.0, 2.0], [3.5, 4.1]], expected)
    with pytest.raises(AssertionError, match=r"must be shape \(2, 2\), got a list of 2"):
        assert_close([1.0, 2.0], expected)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([0.3, 0.6], "q must sum to one, got a sum of 0.9"),
        ([[0.5, 0.5], [1.2, -0.2]], "q must not be negative, got -0.2"),
        (1.0, "q must be a list of probabilities, got 1.0 (float)"),
        ([], "q must be a list of probabilities, got a list of 0"),
        (None, "q must be real numbers, got None"),
    ],
)
def test_what_is_no_distribution_is_told_in_a_sentence(value, sentence):
    with pytest.raises(AssertionError, match=re.escape(sentence)):
        as_probabilities(value, what="q")


def test_probabilities_may_come_in_single_precision_and_sum_to_one_afterwards():
    rows = as_probabilities(torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]))
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-15)
