"""The pictures of the sliders: kept between builds, shown without a kernel."""

import contextlib
import hashlib
import html as markup
import json
import multiprocessing
import os
import re
import shutil
import sys
import traceback
from importlib.metadata import version
from pathlib import Path

import pages

FRAMES = Path(__file__).with_name("frames.py")
# On Linux a notebook's process is a copy of one that has imported what most of them need, which
# takes longer than their few pictures. Elsewhere a copy is not safe, and each imports for itself.
PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
DEAR = ("IPython", "ipywidgets", "matplotlib.pyplot", "scipy.stats", "sklearn.datasets", "torch")
if sys.platform == "linux":
    PROCESSES.set_forkserver_preload(list(DEAR))


def key(notebook, made_with):
    """A hash of all that the pictures depend on.

    That is the notebook's code up to its last slider, the modules of the package that it loaded
    (made_with, but for the checks of exercises), and how pictures are made.
    """
    digest = hashlib.sha256()
    last = pages.explore_cells(notebook)[-1].id
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(f"{cell.id}\n{cell.source}\n".encode())
        if cell.id == last:
            break
    for file in [FRAMES, *(pages.ROOT / "vi_helpers" / name for name in made_with)]:
        if file.name == "exercises.py":
            continue
        digest.update(file.read_bytes() if file.exists() else b"gone")
    digest.update(" ".join(map(version, ("matplotlib", "numpy", "torch"))).encode())
    return digest.hexdigest()


def cached(path, cache, stale=False):
    """The folder of the notebook's pictures, or None; with stale=True an older one will do."""
    folder = cache / path.stem
    if not (folder / "key").exists():
        return None
    made_with = json.loads((folder / "sliders.json").read_text(encoding="utf-8"))["made_with"]
    fresh = (folder / "key").read_text() == key(pages.read(path), made_with)
    return folder if fresh or stale else None


def draw_in_advance(path, cache, draft=False):
    """Fill the cache for one notebook, in a process of its own; return its folder.

    draft : few pictures from few cells (needed.py); never taken for the real ones
    """
    folder, notebook = cache / path.stem, pages.read(path)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log"
    process = PROCESSES.Process(target=_record, args=(path, folder, draft, log, dict(os.environ)))
    process.start()
    process.join()
    if process.exitcode:
        words = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8"))
        raise SystemExit(f"{path.name}: the sliders could not be drawn\n{words[-3000:]}")
    log.unlink()
    made_with = json.loads((folder / "sliders.json").read_text(encoding="utf-8"))["made_with"]
    (folder / "key").write_text("draft" if draft else key(notebook, made_with))
    return folder


def _record(path, folder, draft, log, environment):
    """What a process does: frames.record in the environment of the build; what it says is kept."""
    os.environ.clear()
    os.environ.update(environment)
    with (
        log.open("w", encoding="utf-8") as said,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            import frames

            frames.record(path, folder, draft)
        except BaseException:
            traceback.print_exc()
            sys.exit(1)


def html(folder, address, alts):
    """cell id -> list of HTML: a picture at the start values, and a range input a slider.

    address : where the folder's pictures are seen from the page; alts : cell id -> text
    """
    found = {}
    groups = json.loads((Path(folder) / "sliders.json").read_text(encoding="utf-8"))["groups"]
    for group in groups:
        inputs = []
        for slider in group["sliders"]:
            labels, start = slider["labels"], slider["start"]
            inputs.append(
                f"<label><span>{markup.escape(slider['name'])}</span>"
                f'<input type="range" min="0" max="{len(labels) - 1}" step="1" value="{start}" '
                f"data-labels='{markup.escape(json.dumps(labels, ensure_ascii=False))}' "
                f'aria-valuetext="{markup.escape(labels[start])}">'
                f"<output>{markup.escape(labels[start])}</output></label>"
            )
        place = "-".join(str(slider["start"]) for slider in group["sliders"])
        width, height = group["size"]
        alt = markup.escape(alts.get(group["cell"], ""))
        coarse = any(slider["thinned"] for slider in group["sliders"])
        note = "<p>The sliders take coarser steps here than in JupyterLab.</p>" if coarse else ""
        found.setdefault(group["cell"], []).append(
            f'<div class="sliders" data-frames="{address}/{group["prefix"]}">'
            f'<div class="controls" hidden>{"".join(inputs)}{note}</div>'
            f'<img src="{address}/{group["prefix"]}-{place}.webp" alt="{alt}" '
            f'width="{width}" height="{height}" loading="lazy"></div>'
        )
    return found
