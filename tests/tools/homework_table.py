"""What the checks of a homework make of the answers in its table.

python tests/tools/homework_table.py hw1            each answer, its points, what catches it
python tests/tools/homework_table.py hw1 --write    also writes tests/homework/seen/hw1.toml
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from homework import tables


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help=f"one of {', '.join(tables.NAMES)}")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--task", default="", help="only check cells whose id contains this")
    options = parser.parse_args()
    entries = [
        (task, kind, entry)
        for task in tables.tasks_of(options.name)
        if options.task in task["check"]
        for kind in ("wrong", "right")
        for entry in task[kind]
    ]
    variants = [
        (task["needed"] | {task["answer"]: entry["code"]}, task["check"])
        for task, _, entry in entries
    ]
    checks, results = tables.checks_of(options.name), {}
    for (task, kind, entry), graded in zip(
        entries, tables.score(options.name, variants), strict=True
    ):
        got = graded[task["check"]]
        visible, hidden = checks[task["check"]]
        lost = [
            title for title, points in (visible | hidden).items() if got["checks"][title] < points
        ]
        if kind == "wrong":
            results[task["check"], entry["name"]] = got["checks"]
        seen = any(title in visible for title in lost)
        odd = bool(lost) if kind == "right" else not lost or seen == entry.get("hidden", False)
        print(
            f"{'!!' if odd else '  '} {task['check']} {kind:5} {got['total']:3g}  {entry['name']}"
        )
        print(f"        lost: {'; '.join(lost) or 'nothing'}") if odd else None
    if options.write:
        tables.seen_path(options.name).write_text(
            tables.seen_text(options.name, results), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
