"""The built site in a browser without a network, read from files as from a USB stick."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
for package in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_revealjs"):
    pytest.importorskip(package, reason='the site needs: python -m pip install -e ".[course,site]"')
sys.path.insert(0, str(DOCS))
import build  # noqa: E402
import pages  # noqa: E402
from filelock import FileLock  # noqa: E402
from waiting import until  # noqa: E402

FIRST, SHORTEST = "01_kl_divergence", "00_start_here"
PLACES = [*(path.stem for path in pages.NOTEBOOKS), "cheatsheet", "glossary"]
OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking")


@pytest.fixture(scope="session")
def site(tmp_path_factory, small_digits):
    """The site in VI_SITE, or one that is built here with a few places of every slider.

    Workers that run side by side share one.
    """
    if "VI_SITE" in os.environ:
        return Path(os.environ["VI_SITE"]).resolve()
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with FileLock(folder / "site.lock"):
        html = folder / "site" / "html"
        if not (html / ".nojekyll").exists():  # the last thing that a build writes
            with mock.patch.dict(os.environ, small_digits, clear=True):
                build.build(folder / "site", folder / "frames", "draft")
    return html


@pytest.fixture
def read(make_browser, site):
    """read(name) opens a page of the site by its file address and waits for its formulas.

    All pages of one test are read in one browser, without a network.
    """
    started = []

    def read(name, folder=site):
        if not started:
            started.append(make_browser(*OFFLINE, watch=True))
        (browser,) = started
        browser.get(f"{folder.as_uri()}/{name}")
        formulas_are_set(browser)
        return browser

    return read


def formulas_are_set(browser):
    browser.execute_async_script(
        "const done = arguments[0]; const ready = () => window.MathJax?.startup?.promise"
        " ? MathJax.startup.promise.then(() => done()) : setTimeout(ready, 50);"
        " document.querySelector('.math') ? ready() : done();"
    )


def elements(browser, css):
    return browser.find_elements("css selector", css)


def requested(browser):
    """The addresses that the page asked for since the last call."""
    entries = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    sent = [e["params"] for e in entries if e["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


def move(browser, picture, knob, key):
    """Press the key; say what is wrong with what follows, or None."""
    source, place = picture.get_attribute("src"), knob.get_attribute("value")
    knob.send_keys(key)
    if knob.get_attribute("value") == place:
        return None  # it stood there already
    loaded = "return arguments[0].complete && arguments[0].naturalWidth > 0"
    try:
        until(lambda: picture.get_attribute("src") != source, "another picture", 5)
        until(lambda: browser.execute_script(loaded, picture), "its file", 5)
    except AssertionError as error:
        return str(error)
    said = knob.find_element("xpath", "following-sibling::output").text
    return None if said == knob.get_attribute("aria-valuetext") else f"it says {said!r}"


def slider_problems(browser, groups=None):
    """Move every slider of the page by keyboard, to both ends and on; list what is wrong.

    groups : how many groups of sliders, the first ones; all if None
    """
    from selenium.webdriver.common.keys import Keys

    unfold(browser)  # a prediction hides its output, and the sliders in it
    problems = []
    for number, group in enumerate(elements(browser, ".sliders")[:groups]):
        picture = group.find_element("css selector", "img")
        for knob in group.find_elements("css selector", "input[type=range]"):
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", knob)
            for key in (Keys.END, Keys.HOME, Keys.ARROW_RIGHT):
                wrong = move(browser, picture, knob, key)
                place = knob.get_attribute("aria-valuetext")
                problems += [f"group {number} at {place}: {wrong}"] if wrong else []
    return problems


def unfold(browser):
    browser.execute_script(
        "document.querySelectorAll('details:not(.choice)').forEach(d => { d.open = true; })"
    )


def test_a_browser_is_as_new_for_every_test_whatever_the_last_one_left(make_browser, site):
    from selenium.common.exceptions import WebDriverException

    address = (site / "genindex.html").as_uri()
    for last in ("stored", "crashed", "nothing"):
        browser = make_browser(*OFFLINE, watch=True)
        assert requested(browser) == [] and len(browser.window_handles) == 1
        browser.get(address)
        assert browser.execute_script("return localStorage.getItem('left')") is None
        if last == "stored":
            browser.execute_script("localStorage.setItem('left', 1); open('about:blank')")
        elif last == "crashed":
            with pytest.raises(WebDriverException, match="crashed"):
                browser.get("chrome://crash")


def test_missing_pictures_of_a_slider_are_noticed(read, site, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(site, broken, ignore=shutil.ignore_patterns("*.ipynb"))
    page = (broken / f"{SHORTEST}.html").read_text(encoding="utf-8")
    start = re.search(r'data-frames="([^"]+)".*?src="([^"]+)"', page)
    for picture in broken.glob(start[1] + "-*.webp"):
        if picture.name != Path(start[2]).name:
            picture.unlink()
    browser = read(f"{SHORTEST}.html", broken)
    problems = slider_problems(browser)
    assert problems and all(problem.startswith("group 0") for problem in problems)
    group = elements(browser, ".sliders")[0]
    group.find_element("css selector", "input").send_keys("\ue010")  # the key End
    until(lambda: "missing" in group.get_attribute("class"), "the words that a picture is missing")


def test_without_javascript_the_start_picture_stays_and_no_dead_slider_is_shown(make_browser, site):
    browser = make_browser(*OFFLINE, watch=True)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get((site / f"{FIRST}.html").as_uri())
    for group in elements(browser, ".sliders"):
        assert group.find_element("css selector", "img").size["height"] > 100
        assert not group.find_element("css selector", "input").is_displayed()


CHOSEN = """
const fold = arguments[0];
const after = [...document.querySelectorAll('main details:not(.choice)')].filter(
  (f) => fold.compareDocumentPosition(f) & Node.DOCUMENT_POSITION_FOLLOWING);
return after.find((f) => f.querySelector('summary').textContent.trim() === 'Explain')?.open;
"""


LEAST_CONTRASTS = """
const channels = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
const light = (c) => {
  const [r, g, b] = c.map((v) => v / 255)
    .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const over = (top, under) => {
  const a = top.length > 3 ? top[3] : 1;
  return [0, 1, 2].map((i) => a * top[i] + (1 - a) * under[i]);
};
const ground = (e) => {
  if (!e) return [255, 255, 255];
  const c = channels(getComputedStyle(e).backgroundColor);
  return c.length > 3 && c[3] < 1 ? over(c, ground(e.parentElement)) : c;
};
const found = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement, words = walker.currentNode.textContent.trim();
  if (!words || !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
  if (e.closest('script, style, mjx-assistive-mml, svg, .headerlink')) continue;
  const under = ground(e), text = over(channels(getComputedStyle(e).color), under);
  const [a, b] = [light(text), light(under)];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) found.set(e.tagName + '.' + e.className, [ratio.toFixed(2), words.slice(0, 30)]);
}
return [...found];
"""


# In the dark a figure keeps a white card, so its lines have the contrast that they have in print.
NOT_ON_WHITE = """
return [...document.querySelectorAll('article .cell_output img, article .sliders img')]
  .filter((image) => {
    const style = getComputedStyle(image);
    return style.backgroundColor !== 'rgb(255, 255, 255)' || style.filter !== 'none';
  }).map((image) => image.alt);
"""
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.mark.parametrize("name", PLACES)
def test_a_page_without_a_network_is_typeset_moves_has_contrast_and_fits_a_phone(
    read, screenshots, name
):
    browser = read(f"{name}.html")
    nothing_is_left_unset(browser)
    browser.save_screenshot(str(screenshots / f"site-{name}.png"))
    choices_open_their_explanations(browser)
    for path in pages.NOTEBOOKS:
        if path.stem == name:
            all_sliders_are_there_and_move(browser, path)
    for number, group in enumerate(elements(browser, ".sliders")):
        group.screenshot(str(screenshots / f"site-{name}-sliders-{number}.png"))
    texts_have_contrast_in_both_themes(browser)
    browser.save_screenshot(str(screenshots / f"site-{name}-dark.png"))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= 391, f"{wide} pixels wide on a phone"
    addresses = requested(browser)
    assert any("tex-svg-full.js" in a for a in addresses)
    assert [a for a in addresses if not a.startswith(("file:", "data:", "chrome"))] == []
    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def nothing_is_left_unset(browser):
    """All formulas are typeset, and no dollar sign, command or mark of bold stays in the text."""
    counts = browser.execute_script(
        "return [document.querySelectorAll('.math').length,"
        " document.querySelectorAll('.math mjx-container').length,"
        " document.querySelectorAll('mjx-merror, [data-mjx-error]').length]"
    )
    assert counts[0] == counts[1] > 20 and counts[2] == 0, counts
    text = browser.execute_script(
        "const page = document.querySelector('article').cloneNode(true);"
        "page.querySelectorAll('pre, code, mjx-container').forEach(e => e.remove());"
        "return page.textContent"
    )
    assert re.findall(r".{0,30}(?:\$\S|\\[a-zA-Z]{2}|\*\*\w).{0,30}", text) == []


def choices_open_their_explanations(browser):
    for choice in elements(browser, "details.choice.right"):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", choice)
        assert not browser.execute_script(CHOSEN, choice)
        choice.find_element("css selector", "summary").click()
        assert "Right." in choice.text
        until(lambda c=choice: browser.execute_script(CHOSEN, c), "the explanation")


def all_sliders_are_there_and_move(browser, path):
    cells = {cell.id for cell in pages.explore_cells(pages.read(path))}
    shown = [g.get_attribute("data-frames") for g in elements(browser, ".sliders")]
    assert {frames.rsplit("/", 1)[1].rsplit("-", 1)[0] for frames in shown} == cells
    assert slider_problems(browser) == []


def texts_have_contrast_in_both_themes(browser):
    browser.execute_script(
        "document.querySelectorAll('details').forEach(d => { d.open = true; });"
        "const style = document.createElement('style');"
        "style.textContent = '* { transition: none !important; }'; document.head.append(style);"
    )
    for theme in ("light", "dark"):
        browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        assert browser.execute_script(LEAST_CONTRASTS) == [], theme
    assert browser.execute_script(NOT_ON_WHITE) == []


def test_a_reader_with_nothing_but_the_folder(read, site, screenshots):
    """Read 01, open a solution, move its sliders, switch to dark, search, print the cheat sheet."""
    browser = read("index.html")
    elements(browser, f"article a[href*='{FIRST}']")[0].click()
    until(lambda: FIRST in browser.current_url, "the page of 01")
    formulas_are_set(browser)
    browser.save_screenshot(str(screenshots / "walk-1-read.png"))
    cell = elements(browser, ".tag_solution")[0]
    code = cell.find_element("css selector", "pre")
    assert not code.is_displayed()
    fold = cell.find_element("css selector", "summary")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", fold)
    assert fold.text.strip() == "Solution"
    fold.send_keys("\ue007")  # Enter: a click misses while pictures above still come
    until(code.is_displayed, "the solution to open")
    assert code.text.startswith("# Solution")
    browser.save_screenshot(str(screenshots / "walk-2-solution.png"))

    assert slider_problems(browser, groups=1) == []
    group = elements(browser, ".sliders")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", group)
    browser.save_screenshot(str(screenshots / "walk-3-sliders.png"))

    ground = "return getComputedStyle(document.body).backgroundColor"
    grounds = {}
    for theme in ("light", "dark"):
        elements(browser, "button.theme-switch-button")[-1].click()
        entry = f".dropdown-menu.show [data-mode='{theme}']"
        until(lambda e=entry: elements(browser, e), "the menu of themes")
        elements(browser, entry)[0].click()
        assert browser.execute_script("return document.documentElement.dataset.theme") == theme
        until(
            lambda: not browser.execute_script("return document.getAnimations().length"),
            "the colours to have changed",
        )
        grounds[theme] = sum(map(float, re.findall(r"[\d.]+", browser.execute_script(ground))[:3]))
    assert grounds["dark"] < 100 < 600 < grounds["light"]
    browser.save_screenshot(str(screenshots / "walk-4-dark.png"))

    browser = read("search.html?q=Jensen")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    until(lambda: elements(browser, "#search-results li a"), "results")
    found = [link.get_attribute("href") for link in elements(browser, "#search-results li a")]
    assert any(FIRST in address for address in found)
    assert all(address.startswith("file:") for address in found)
    browser.save_screenshot(str(screenshots / "walk-5-search.png"))

    found = next(
        link
        for link in elements(browser, "#search-results li a")
        if FIRST in link.get_attribute("href")
    )
    found.send_keys("\ue007")
    until(lambda: FIRST in browser.current_url, "the page that was found")
    assert "Jensen" in browser.find_element("css selector", "article").text

    browser = read("cheatsheet.html")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert elements(browser, "article h1")[0].is_displayed(), "the theme hides titles in print"
    # Not by print_page, which gives up after ten seconds, on a busy computer too.
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    (screenshots / "walk-6-cheatsheet.pdf").write_bytes(printed)
    assert len(printed) > 100_000
    assert [a for a in requested(browser) if not a.startswith(("file:", "data:", "chrome"))] == []


def number_of_pages(printed):
    """Of a PDF that Chromium wrote, which keeps its page objects readable."""
    assert printed.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b", printed))


def test_the_lists_print_to_pdf(site, tmp_path):
    import lists

    copy = tmp_path / "html"
    shutil.copytree(site, copy, ignore=shutil.ignore_patterns("frames", "*.ipynb"))
    if lists.browser() is None:
        pytest.skip("no browser to print with")
    for file in lists.write_pdfs(copy):
        assert file.stat().st_size > 20_000
        assert b"(./01_kl_divergence.html#" in file.read_bytes()
        assert b"file:" not in file.read_bytes()
        assert (number_of_pages(file.read_bytes()) == 1) == (file.stem == "cheatsheet")
    if shutil.which("pdftotext"):
        sheet = subprocess.run(
            ["pdftotext", str(copy / "cheatsheet.pdf"), "-"], capture_output=True, text=True
        )
        assert "Jensen" in sheet.stdout and "(11.13)" in sheet.stdout
