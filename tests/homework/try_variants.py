"""Make variants of a homework and replay the base's answers to them: JSON out on stdout.

    python try_variants.py hw1 1 2

Out: {seed: {"lost": what the model solution loses, "changed": check cells with other numbers,
"replayed": {check cell: [points on visible checks of a student who returns what the model solution
returned to the published checks, call by call; the points there are]}, "same data": check cells
that draw data with a seed of the published ones}}.
Runs as a process of its own, because a homework switches vi_helpers off.
"""

import contextlib
import copy
import io
import json
import re
import sys

import make_variant
import nbformat
import numpy as np

SEED = re.compile(r"default_rng\(\[?(\d+)")


def asked_of(notebook):
    stubs = [c.source for c in notebook.cells if make_variant.tag_of(c).get("solution")]
    return set(re.findall(r"(?m)^def (\w+)", "\n".join(stubs)))


def recorder(function, kept):
    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        kept.append(copy.deepcopy(result))
        return result

    return call


def run(source, names):
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        exec(compile(source, "<check>", "exec"), names)
    return names["score"].results


def checks(notebook):
    tagged = [(make_variant.tag_of(c), c.source) for c in notebook.cells if c.cell_type == "code"]
    return {tag["grade_id"]: source for tag, source in tagged if tag.get("grade")}


def main(name, *seeds):
    path = make_variant.HERE / "source" / name / f"{name}.ipynb"
    base, out = nbformat.read(path, as_version=4), {}
    asked, names = asked_of(base), make_variant.run_locked(base.cells)
    visible = {k: source.split("### BEGIN HIDDEN")[0] for k, source in checks(base).items()}
    published = {}
    for check, source in visible.items():
        kept = {function: [] for function in asked}
        most = run(source, names | {f: recorder(names[f], kept[f]) for f in asked})
        published[check] = kept, sum(most.values())
    for seed in seeds:
        variant = nbformat.read(path, as_version=4)
        lost = make_variant.make(variant, int(seed))
        entry = out[seed] = {"lost": lost, "changed": [], "replayed": {}, "same data": []}
        for check, source in checks(variant).items():
            seeds = [set(SEED.findall(text)) for text in (source, checks(base)[check])]
            entry["same data"] += [check] if seeds[0] & seeds[1] else []
            source = source.split("### BEGIN HIDDEN")[0]
            kept, most = published[check]
            replay = {f: lambda *a, left=list(kept[f]), **k: left.pop(0) for f in asked}
            entry["changed"] += [check] if source != visible[check] else []
            entry["replayed"][check] = sum(run(source, names | replay).values()), most
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
