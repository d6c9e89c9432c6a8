"""A check says not answered, correct, or why not; and a lax check is caught."""

import pytest

from vi_helpers.exercises import assert_rejects, try_answer


def check_square(square):
    assert square(3) == 9, "try it on 3"


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
    with pytest.raises(AssertionError, match=r"Exercise 1.1: not yet. try it on 3"):
        try_answer("1.1", check_square, lambda x: 2 * x)


def test_a_check_that_accepts_a_wrong_answer_is_caught():
    assert_rejects(check_square, lambda x: 2 * x)
    with pytest.raises(AssertionError, match="accepted wrong answer number 2"):
        assert_rejects(lambda f: check_square(f), lambda x: x, lambda x: x * x)


def test_an_error_in_the_students_code_is_shown_as_it_is():
    with pytest.raises(ZeroDivisionError):
        try_answer("1.1", check_square, lambda x: x / 0)
