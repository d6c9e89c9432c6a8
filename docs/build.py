"""Build the site of the course into docs/_build/html.

    python docs/build.py                everything; sliders are drawn where the cache is out of date
    python docs/build.py --fast         older pictures of the sliders will do; none are drawn
    python docs/build.py --no-sliders   the stored pictures in their place, in seconds
    python docs/build.py --pdf          also cheat sheet and glossary as PDF (needs Chromium)
    python docs/build.py --slides       also the notebooks as slides, into docs/_build/html/slides

Nothing is executed but the cells up to the last slider of a notebook.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parent))
import lists
import pages
import sliders

HERE = Path(__file__).parent


def repository():
    """The address that the launch buttons need: a setting, or the git remote if it is on the web.

    Never guessed: a remote that is a folder, or none, gives an empty string, and no buttons.
    """
    if "COURSE_REPOSITORY" in os.environ:
        return os.environ["COURSE_REPOSITORY"]
    command = ["git", "-C", str(HERE), "remote", "get-url", "origin"]
    remote = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    remote = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", remote)
    on_the_web = re.fullmatch(
        r"https://(?:[^@/]+@)?([\w.-]+\.\w+/[^/]+/[^/]+?)(?:\.git)?/?", remote
    )
    return f"https://{on_the_web[1]}" if on_the_web else ""


def mathjax():
    """The one file of MathJax that the pages need, from the package that ships it."""
    (file,) = [f for f in files("sphinx-mathjax-offline") if f.name == "tex-svg-full.js"]
    return file.locate()


def pictures(cache, draw):
    """stem -> folder of the sliders' pictures, or None, for every notebook; draws what is missing.

    draw : "all" draws what is out of date, "draft" draws little of it (needed.py), "cached" takes
           old pictures, "none" none
    """

    def folder(path):
        if draw == "none" or not pages.explore_cells(pages.read(path)):
            return None
        found = sliders.cached(path, cache, stale=draw == "cached")
        if found is None and draw in ("all", "draft"):
            started = time.time()
            found = sliders.draw_in_advance(path, cache, draft=draw == "draft")
            print(f"{path.name}: sliders drawn in {time.time() - started:.0f} s", flush=True)
        return found

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as several:  # each draws in a process
        stems = [path.stem for path in pages.NOTEBOOKS]
        return dict(zip(stems, several.map(folder, pages.NOTEBOOKS), strict=True))


def link_or_copy(source, target):
    """The same file at a second place, or a copy of it where that is another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def prepare(source, static, cache, draw="all", also=()):
    """Write the pages and lists that Sphinx reads, and into static what it need not touch."""
    source.mkdir(parents=True)
    (static / "mathjax").mkdir(parents=True)
    shutil.copy(mathjax(), static / "mathjax")
    named = lists.cells_named_by_the_glossary()
    drawn = pictures(cache, draw)
    for path in pages.NOTEBOOKS:
        notebook = pages.read(path)
        shown, folder = {}, drawn[path.stem]
        if folder is not None:
            shutil.copytree(folder, static / "frames" / path.stem, copy_function=link_or_copy)
            alts = {c.id: c.metadata.get("alt", "") for c in notebook.cells}
            shown = sliders.html(folder, f"_static/frames/{path.stem}", alts)
        nbformat.write(pages.page(notebook, shown, named), source / path.name)
    for name, text in {
        "cheatsheet.md": lists.cheatsheet(),
        "glossary.md": lists.glossary(),
    }.items():
        (source / name).write_text(text, encoding="utf-8")
    (source / "index.md").write_text(index(also), encoding="utf-8")


def index(also=()):
    """The first page: docs/index.md with the table of contents from the notebooks.

    also : what else is built, of "slides", "cheatsheet.pdf" and "glossary.pdf"; it gets its links
    """
    address = repository()
    here = f"[the course's repository]({address})" if address else "the course's folder"
    run = (
        f"To run and answer, take {here}, which has the notebooks and what they import, "
        "and open them in JupyterLab with the command in its README."
    )
    if address.startswith("https://github.com/"):  # as conf.py's launch buttons
        run += (
            " The rocket above a notebook opens it on Binder or on Colab; on Colab run "
            f"`%pip install git+{address}@{os.environ.get('COURSE_BRANCH', 'main')}` first."
        )
    places = {"slides": "slides/index.html"}
    words = [f'<a href="{places.get(name, name)}">{name}</a>' for name in also]
    links = f" To teach with, or to print: {', '.join(words)}." if words else ""
    text = (HERE / "index.md").read_text(encoding="utf-8")
    text = text.replace("RUN_THEM", run).replace("ALSO", links)
    return text.replace("PAGES", "\n".join(path.stem for path in pages.NOTEBOOKS))


def build(out, cache, draw="all", strict=True, also=()):
    """Build the site into the folder out / html, where also comes (index); return that folder."""
    from sphinx.cmd.build import build_main

    source, html = out / "source", out / "html"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(html, ignore_errors=True)
    prepare(source, html / "_static", cache, draw, also)
    os.environ["COURSE_REPOSITORY"] = repository()
    options = ["-W", "--keep-going"] if strict else []
    folders = ["-c", str(HERE), "-d", str(out / "doctrees"), str(source), str(html)]
    if build_main(["-q", "-b", "html", *options, *folders]):
        raise SystemExit("Sphinx found something to mend: see above")
    for path in pages.NOTEBOOKS:  # what the reader downloads is the notebook of the course
        shutil.copy(path, html / "_sources" / path.name)
    (html / ".nojekyll").touch()
    return html


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="old pictures of the sliders will do")
    parser.add_argument("--no-sliders", action="store_true", help="stored pictures only")
    parser.add_argument("--pdf", action="store_true", help="also the two lists as PDF")
    parser.add_argument("--slides", action="store_true", help="also the slides")
    parser.add_argument("--out", type=Path, default=HERE / "_build")
    options = parser.parse_args(arguments)
    draw = "none" if options.no_sliders else "cached" if options.fast else "all"
    printed = ["cheatsheet.pdf", "glossary.pdf"] if options.pdf and lists.browser() else []
    also = ["slides"] * options.slides + printed
    html = build(options.out, HERE / "_build" / "frames", draw, also=also)
    if options.slides:
        import slides

        slides.write(html)
    if options.pdf:
        lists.write_pdfs(html)
    size = sum(f.stat().st_size for f in html.rglob("*") if f.is_file())
    print(f"{html / 'index.html'}: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
