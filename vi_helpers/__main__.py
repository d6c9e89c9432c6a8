"""Open the course in JupyterLab, on copies of the notebooks that no update touches.

    python -m vi_helpers [options of JupyterLab, for example --no-browser]

JupyterLab writes into every notebook that it opens, and git refuses to update a file that was
written to. So each notebook is copied once into my_notebooks/, which git ignores.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

FOLDER = "my_notebooks"
FIRST = "00_start_here.ipynb"
ORIGINS = ".origins.json"  # the hash that each notebook had when it was copied


def copy_notebooks(root):
    """Copy each of root/notebooks that has no copy yet; a copy that exists is never written to.

    Returns (made, changed): the names of the new copies, and those of the older copies whose
    notebook is another one now than when it was copied.
    """
    pages = sorted((root / "notebooks").glob("*.ipynb"))
    if not pages:
        raise FileNotFoundError(f"no notebooks in {root / 'notebooks'}: run this in a clone")
    copies = root / FOLDER
    copies.mkdir(exist_ok=True)
    record = copies / ORIGINS
    origins = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    hashes = {page.name: hashlib.sha256(page.read_bytes()).hexdigest() for page in pages}
    made = [page for page in pages if not (copies / page.name).exists()]
    changed = [
        page.name
        for page in pages
        if page not in made and origins.get(page.name) != hashes[page.name]
    ]
    # First the record: when this run is killed between the two, the next one copies.
    origins.update({page.name: hashes[page.name] for page in made})
    _replace(record, lambda path: path.write_text(json.dumps(origins, indent=1), encoding="utf-8"))
    for page in made:
        _replace(copies / page.name, lambda path, page=page: shutil.copyfile(page, path))
    return [page.name for page in made], changed


def _replace(target, write):
    """Write to a partial file and put it in the target's place, whole or not at all."""
    partial = target.with_name(target.name + ".part")
    write(partial)
    os.replace(partial, target)


def report(made, changed):
    """What copy_notebooks did, in one or two sentences for the terminal; may be empty."""
    lines = [f"Copied to {FOLDER}: {', '.join(made)}."] if made else []
    if changed:
        lines += [
            f"The course has another version now of: {', '.join(changed)}.",
            f"Your copies in {FOLDER} stay as they are. For the new version rename yours, "
            "and start again.",
        ]
    return "\n".join(lines)


def main(options):
    from jupyterlab.labapp import main as open_lab

    root = Path(__file__).resolve().parents[1]
    print(report(*copy_notebooks(root)), flush=True)
    # The root is the whole clone: the notebooks link to the homework beside them.
    page = f"/lab/tree/{FOLDER}/{FIRST}"
    open_lab([f"--ServerApp.root_dir={root}", f"--LabApp.default_url={page}", *options])


if __name__ == "__main__":
    main(sys.argv[1:])
