"""nbgrader's table of all scores as a CSV file that spreadsheets read as it is meant."""

import csv

from nbgrader.api import MissingEntry
from nbgrader.plugins import ExportPlugin

COLUMNS = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
)  # fmt: skip


def plain_text(value):
    """A field that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


class CarefulExport(ExportPlugin):
    """The same columns as nbgrader's own, with commas and quotes in names written as CSV does."""

    def export(self, gradebook):
        students, assignments = set(self.student), set(self.assignment)
        with open(self.to or "grades.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for assignment in gradebook.assignments:
                for student in gradebook.students:
                    if assignments and assignment.name not in assignments:
                        continue
                    if students and student.id not in students:
                        continue
                    row = self.row(gradebook, assignment, student)
                    table.writerow([plain_text(row.get(column)) for column in COLUMNS])

    @staticmethod
    def row(gradebook, assignment, student):
        """One student's scores; without a submission they are 0, as nbgrader has it."""
        row = {"assignment": assignment.name, "duedate": assignment.duedate, "raw_score": 0.0}
        row |= {"student_id": student.id, "last_name": student.last_name, "email": student.email}
        row |= {"first_name": student.first_name, "max_score": assignment.max_score}
        row |= {"late_submission_penalty": 0.0, "score": 0.0}
        try:
            submission = gradebook.find_submission(assignment.name, student.id)
        except MissingEntry:
            return row
        penalty = submission.late_submission_penalty or 0.0
        row |= {"timestamp": submission.timestamp, "raw_score": submission.score}
        return row | {
            "late_submission_penalty": penalty, "score": max(0.0, submission.score - penalty),
        }  # fmt: skip
