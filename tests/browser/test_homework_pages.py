"""Nothing that a student hands in runs in the browser of the person who looks at it."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

pytest.importorskip("nbgrader")
from homework import tiny

RUN = "document.documentElement.dataset.ran='yes'"
IMG = f'<img src=x onerror="{RUN}">'
WRITTEN = {
    "img": IMG,
    "img_in_text": f"Let $a < b$ and $c > d$.\n\n{IMG}\n\nThen $p<q$.",
    "script": f"text\n\n<script>{RUN}</script>\n",
    "svg": f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RUN}"><circle r="9"/></svg>',
    "iframe": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    "link": f"[click](javascript:{RUN})",
    "link_coded": f"[click](javascript&colon;{RUN})",
    "autofocus": f'<input autofocus onfocus="{RUN}">',
    "mermaid": f"```mermaid\n{IMG}\n```",
    "heading": f"# A title {IMG}",
    "table": f"| a |\n|---|\n| {IMG} |",
    "maths": f"$x$ {IMG} $y$ \\href{{javascript:{RUN}}}{{z}}",
    "details": f'<details open ontoggle="{RUN}">x</details>',
}
SHOWN = {
    "html": {"text/html": f"<script>{RUN}</script>"},
    "svg": {"image/svg+xml": f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RUN}"></svg>'},
    "javascript": {"application/javascript": RUN},
    "latex": {"text/latex": f"$x$ {IMG}"},
    "markdown": {"text/markdown": IMG},
    "png": {"image/png": f'x" onerror="{RUN}'},
    "vega": {"application/vnd.vegalite.v5+json": {"mark": IMG}},
    "widget": {"application/vnd.jupyter.widget-view+json": {"model_id": f"</script>{IMG}"}},
}
HONEST = """Since $a < b$ and $q<p$, with `x<y` in code:

$$
\\mathrm{KL}(q\\|p) = \\sum_k q_k \\log\\frac{q_k}{p_k}, \\qquad q_k < 1 \\tag{9.1}
$$

| case | $a<b$ |
| --- | --- |
| **1** | 2 < 3 |
"""


def odd_notebook(course):
    """Scripts in a raw cell, an attachment, metadata, tags and titles."""
    notebook = tiny.released(course)
    notebook.cells.append(new_raw_cell(IMG, metadata={"raw_mimetype": "text/html"}))
    extra = new_markdown_cell("![a](attachment:a.svg)")
    extra.attachments = {"a.svg": {f'image/svg+xml" onerror="{RUN}': "AAAA"}}
    extra.metadata["tags"] = [f'"><script>{RUN}</script>']
    notebook.cells.append(extra)
    notebook.cells.append(new_code_cell("1", metadata={"magics_language": IMG, "tags": [IMG]}))
    close = f"</script></title><script>{RUN}</script>"
    notebook.metadata |= {"title": close, "widgets": {"a": close}}
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": close, "language": IMG}
    notebook.metadata["language_info"] = {"name": close}
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    course = tiny.make_course(tmp_path_factory.mktemp("course"))
    for name, text in WRITTEN.items():
        tiny.hand_in(course, f"written_{name}", text=text)
    show = "from IPython.display import display\nimport json\n"
    show += f"for data in json.loads({json.dumps(json.dumps(list(SHOWN.values())))}):\n"
    show += "    display(data, raw=True)\n"
    tiny.hand_in(course, "shown", code=show + tiny.RIGHT, text="see above")
    tiny.hand_in(course, "raises", code=f"raise ValueError({IMG!r})", text="see above")
    tiny.hand_in(course, "odd", odd_notebook(course))
    tiny.hand_in(course, "honest", text=HONEST)
    for command in "autograde", "generate_feedback":
        done = tiny.nbgrader(course, command, "hw9")
        assert done.returncode == 0, done.stderr
    return course


@pytest.fixture(scope="module")
def server(course):
    """The address of a Jupyter server with formgrader in this course."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open(course / "server.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser",
             f"--port={port}", "--IdentityProvider.token=", "--ServerApp.jpserver_extensions",
             "nbgrader.server_extensions.formgrader=True"],
            cwd=course, env=tiny.environment(course), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2)
            break
        except OSError:
            time.sleep(0.5)
    yield address
    process.terminate()
    process.wait(30)


def submission_ids(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        found = book.notebook_submissions("hw9", "hw9")
        return {notebook.student.id: notebook.id for notebook in found}


def ran(browser):
    """Whether a payload has run, after giving it time and clicking what invites a click."""
    time.sleep(0.3)
    for link in browser.find_elements("link text", "click"):
        browser.execute_script("arguments[0].click()", link)
    return browser.execute_script("return document.documentElement.dataset.ran || 'no'") == "yes"


def test_the_payloads_do_run_where_nothing_stops_them(make_browser, tmp_path):
    browser = make_browser()
    page, caught = tmp_path / "page.html", set()
    for name in "img", "script", "svg", "autofocus", "details":
        page.write_text(f"<!DOCTYPE html><html><body>{WRITTEN[name]}</body></html>")
        browser.get(page.as_uri())
        caught |= {name} if ran(browser) else set()
    assert caught == {"img", "script", "svg", "autofocus", "details"}


def test_nothing_runs_in_formgrader(make_browser, course, server):
    browser = make_browser()
    for student, number in submission_ids(course).items():
        browser.get(f"{server}/formgrader/submissions/{number}/")
        assert browser.find_elements("css selector", "textarea.comment"), browser.page_source[:500]
        assert not ran(browser), student


def test_nothing_runs_in_feedback(make_browser, course):
    browser = make_browser()
    pages = sorted(course.glob("feedback/*/hw9/hw9.html"))
    assert len(pages) == len(submission_ids(course))
    for page in pages:
        browser.get(page.as_uri())
        assert "Score:" in browser.page_source
        assert not ran(browser), page.parts[-3]


def test_formulas_and_tables_are_shown_as_they_were_written(make_browser, course, server):
    browser = make_browser()
    autograded = json.loads((course / "autograded/honest/hw9/hw9.ipynb").read_text("utf-8"))
    assert HONEST.strip() in ["".join(c["source"]).strip() for c in autograded["cells"]]
    browser.get(f"{server}/formgrader/submissions/{submission_ids(course)['honest']}/")
    text = browser.find_element("tag name", "body").text
    for formula in "$a < b$", "$q<p$", "x<y", "q_k < 1", "2 < 3":
        assert formula in text, text
    assert browser.find_elements("css selector", ".rendered_html table")


def test_an_answer_with_markup_keeps_its_formulas(course):
    source = (course / "autograded/written_img_in_text/hw9/hw9.ipynb").read_text("utf-8")
    assert "$a < b$" in source and "$p<q$" in source and "&lt;img" in source
