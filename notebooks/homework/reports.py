"""What came of the checks and of cells: points, lines, errors, and what a student may read."""

from nbformat.v4 import new_output
from nbgrader import utils


def error_output(name, message):
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


def trimmed(output, most=4000):
    """An output whose error text is not long: a message can hold a gigabyte."""
    if output.output_type == "error":
        output.ename, output.evalue = str(output.ename)[:80], str(output.evalue)[:most]
        output.traceback = [str(line)[:most] for line in output.traceback[:20]]
    return output


class Report:
    """What came of one check cell."""

    def __init__(self, points):
        self.most, self.checks, self.value, self.error = points, [], 0.0, ""

    def add(self, event):
        if event["event"] == "check":
            self.checks.append({k: v for k, v in event.items() if k != "event"})
        elif event["event"] == "score":
            self.value = event["value"]
        else:
            self.error = event.get("error", "")

    @property
    def points(self):
        """The points earned, never more than there are; nan and such count as none."""
        earned = sum(c["points"] for c in self.checks if c["passed"])
        value = earned if self.checks else self.value
        return float(min(value, self.most)) if value > 0 else 0.0

    @property
    def lines(self):
        """The report as a student sees it in the notebook."""
        lines = []
        for check in self.checks:
            got, of, name = check["points"] * check["passed"], check["points"], check["name"]
            tail = f" ({check['message']})" if check["message"] else ""
            lines.append(f"{got:g}/{of:g} {name}{tail}")
        return [*lines, *([f"stopped: {self.error}"] if self.error else [])]


def total_of(cell):
    """The last output of a check cell, whose metadata hold its checks one by one; or None."""
    found = [o for o in cell.get("outputs", []) if o.output_type == "execute_result"]
    is_check = utils.is_grade(cell) and not utils.is_solution(cell)
    return found[-1] if is_check and found and "checks" in found[-1].metadata else None


def failed_in_sight(cell):
    """Whether a visible check of this cell has something to say."""
    total = total_of(cell)
    return bool(total) and any(c["message"] and not c["hidden"] for c in total.metadata["checks"])


def quote(cell, seen):
    """Note what the visible checks said in the run without the hidden ones."""
    total, quoted = total_of(cell), total_of(seen)
    said = {c["name"]: c["message"] for c in quoted.metadata["checks"]} if quoted else {}
    for check in total.metadata["checks"] if total else []:
        check["quote"] = "" if check["hidden"] else said.get(check["name"], "")
