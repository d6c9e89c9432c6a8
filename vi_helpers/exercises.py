"""Run an exercise's check on an answer, and show that the check refuses wrong ones."""


def try_answer(label, check, answer):
    """Run check(answer) and print the verdict in one line.

    answer : a value, or a function. `...` (Ellipsis), or a function that raises
             NotImplementedError, counts as not answered yet.
    A wrong answer raises AssertionError with the check's hint.
    """
    if answer is ...:
        print(f"Exercise {label}: not answered yet")
        return
    try:
        check(answer)
    except NotImplementedError:
        print(f"Exercise {label}: not answered yet")
    except AssertionError as error:
        raise AssertionError(f"Exercise {label}: not yet. {error}") from None
    else:
        print(f"Exercise {label}: correct")


def assert_rejects(check, *wrong_answers):
    """Raise AssertionError if check accepts one of the wrong answers."""
    for number, answer in enumerate(wrong_answers, 1):
        try:
            check(answer)
        except AssertionError:
            continue
        raise AssertionError(f"the check accepted wrong answer number {number}: {answer!r}")
    print(f"the check refuses {len(wrong_answers)} wrong answer(s)")
