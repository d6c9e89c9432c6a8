"""An instructor's working folders hold notebooks too, which are not the course's to test."""

collect_ignore = ["release", "submitted", "autograded", "feedback", "downloaded", "runs"]
