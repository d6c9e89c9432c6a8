"""Wait for what a page does by itself; no more than is needed, and not for ever."""

import time


def until(question, what, seconds=180):
    """The first true answer of question(), asked again and again; what: for the error."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return answer
