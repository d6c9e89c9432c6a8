"""The built site in a browser without a network, read from files as from a USB stick."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
for needed in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_revealjs"):
    pytest.importorskip(needed, reason='the site needs: python -m pip install -e ".[course,site]"')
sys.path.insert(0, str(DOCS))
import build  # noqa: E402
import pages  # noqa: E402
import sliders  # noqa: E402

FIRST = "01_kl_divergence"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, with the pictures of the sliders that are at hand; those of 01 in any case."""
    cache = DOCS / "_build" / "frames"
    first = next(path for path in pages.NOTEBOOKS if path.stem == FIRST)
    if sliders.cached(first, cache) is None:
        sliders.draw_in_advance(first, cache)
    return build.build(tmp_path_factory.mktemp("site"), cache, "cached")


@pytest.fixture(scope="session")
def browser(make_browser):
    return make_browser("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking")


@pytest.fixture
def read(browser, site):
    """read(name) opens a page of the site by its file address and waits for its formulas."""

    def read(name, folder=site):
        browser.get(f"{folder.as_uri()}/{name}")
        browser.set_script_timeout(120)
        browser.execute_async_script(
            "const done = arguments[0]; const ready = () => window.MathJax?.startup?.promise"
            " ? MathJax.startup.promise.then(() => done()) : setTimeout(ready, 50);"
            " document.querySelector('.math') ? ready() : done();"
        )
        return browser

    return read


def until(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


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


def slider_problems(browser):
    """Move every slider of the page by keyboard, to both ends and on; list what is wrong."""
    from selenium.webdriver.common.keys import Keys

    problems = []
    for number, group in enumerate(elements(browser, ".sliders")):
        picture = group.find_element("css selector", "img")
        for knob in group.find_elements("css selector", "input[type=range]"):
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", knob)
            for key in (Keys.END, Keys.HOME, Keys.ARROW_RIGHT):
                wrong = move(browser, picture, knob, key)
                place = knob.get_attribute("aria-valuetext")
                problems += [f"group {number} at {place}: {wrong}"] if wrong else []
    return problems


def test_pages_are_read_without_a_network_and_every_formula_is_typeset(read, site, screenshots):
    requested(read("index.html"))
    for path in pages.NOTEBOOKS:
        browser = read(f"{path.stem}.html")
        counts = browser.execute_script(
            "return [document.querySelectorAll('.math').length,"
            " document.querySelectorAll('.math mjx-container').length,"
            " document.querySelectorAll('mjx-merror, [data-mjx-error]').length]"
        )
        assert counts[0] == counts[1] > 20 and counts[2] == 0, f"{path.stem}: {counts}"
        text = browser.execute_script(
            "const page = document.querySelector('article').cloneNode(true);"
            "page.querySelectorAll('pre, code, mjx-container').forEach(e => e.remove());"
            "return page.textContent"
        )
        assert re.findall(r".{0,30}(?:\$\S|\\[a-zA-Z]{2}|\*\*\w).{0,30}", text) == [], path.stem
        addresses = requested(browser)
        assert any("tex-svg-full.js" in a for a in addresses)
        elsewhere = [a for a in addresses if not a.startswith(("file:", "data:", "chrome"))]
        assert elsewhere == [], path.stem
        failed = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
        assert failed == [], path.stem
        browser.save_screenshot(str(screenshots / f"site-{path.stem}.png"))


def test_every_slider_is_moved_by_keyboard_and_its_picture_changes(read, site):
    moved = 0
    for path in pages.NOTEBOOKS:
        text = (site / f"{path.stem}.html").read_text(encoding="utf-8")
        if 'class="sliders"' not in text:
            continue  # not drawn in advance on this computer
        browser = read(f"{path.stem}.html")
        assert len(elements(browser, ".sliders")) >= len(pages.explore_cells(pages.read(path)))
        assert slider_problems(browser) == [], path.stem
        moved += len(elements(browser, ".sliders input"))
    assert moved >= 3


def test_missing_pictures_of_a_slider_are_noticed(read, site, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(site, broken, ignore=shutil.ignore_patterns("*.ipynb"))
    page = (broken / f"{FIRST}.html").read_text(encoding="utf-8")
    start = re.search(r'data-frames="([^"]+)".*?src="([^"]+)"', page)
    for picture in broken.glob(start[1] + "-*.webp"):
        if picture.name != Path(start[2]).name:
            picture.unlink()
    browser = read(f"{FIRST}.html", broken)
    problems = slider_problems(browser)
    assert problems and all(problem.startswith("group 0") for problem in problems)
    assert elements(browser, ".sliders")[0].get_attribute("class").split() == ["sliders", "missing"]


def test_without_javascript_the_start_picture_stays_and_no_dead_slider_is_shown(make_browser, site):
    browser = make_browser("--host-resolver-rules=MAP * ~NOTFOUND")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get((site / f"{FIRST}.html").as_uri())
    for group in elements(browser, ".sliders"):
        assert group.find_element("css selector", "img").size["height"] > 100
        assert not group.find_element("css selector", "input").is_displayed()


def test_a_solution_opens_and_shows_its_code(read):
    browser = read(f"{FIRST}.html")
    cell = elements(browser, ".tag_solution")[0]
    code = cell.find_element("css selector", "pre")
    assert not code.is_displayed()
    fold = cell.find_element("css selector", "summary")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", fold)
    assert fold.text.strip() == "Solution"
    fold.click()
    assert code.is_displayed() and code.text.startswith("# Solution")


def test_a_choice_opens_the_output_and_the_explanation(read, site):
    chosen = 0
    for path in pages.NOTEBOOKS:
        if "choice right" not in (site / f"{path.stem}.html").read_text(encoding="utf-8"):
            continue
        browser = read(f"{path.stem}.html")
        for choice in elements(browser, "details.choice.right"):
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", choice)
            choice.find_element("css selector", "summary").click()
            assert "Right." in choice.text
            following = "following::details[not(contains(@class, 'choice'))]"
            explain = next(
                fold
                for fold in choice.find_elements("xpath", following)
                if fold.find_element("css selector", "summary").text == "Explain"
            )
            until(lambda e=explain: e.get_attribute("open"), f"the explanation in {path.stem}")
            chosen += 1
    if not chosen:
        pytest.skip("no Predict cell has choices")


def test_searching_jensen_finds_its_page(read):
    browser = read("search.html?q=Jensen")
    until(lambda: elements(browser, "#search-results li a"), "results", 20)
    found = [link.get_attribute("href") for link in elements(browser, "#search-results li a")]
    assert any(FIRST in address for address in found)
    assert all(address.startswith("file:") for address in found)


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


def test_text_has_contrast_in_both_themes_and_the_dark_is_dark(read, screenshots):
    browser = read(f"{FIRST}.html")
    grounds = {}
    for theme in ("light", "dark"):
        elements(browser, "button.theme-switch-button")[-1].click()
        entry = f".dropdown-menu.show [data-mode='{theme}']"
        until(lambda e=entry: elements(browser, e), "the menu of themes")
        elements(browser, entry)[0].click()
        assert browser.execute_script("return document.documentElement.dataset.theme") == theme
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        time.sleep(0.5)  # colours fade
        assert browser.execute_script(LEAST_CONTRASTS) == [], theme
        colour = "return getComputedStyle(document.body).backgroundColor"
        grounds[theme] = sum(map(float, re.findall(r"[\d.]+", browser.execute_script(colour))[:3]))
        picture = elements(browser, ".sliders img")[0]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
        browser.save_screenshot(str(screenshots / f"site-{theme}.png"))
    assert grounds["dark"] < 100 < 600 < grounds["light"]


def test_no_page_is_wider_than_a_phone(read, screenshots):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser = read("index.html")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for name in (*(path.stem for path in pages.NOTEBOOKS), "cheatsheet", "glossary"):
            read(f"{name}.html")
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 391, f"{name} is {wide} pixels wide"
        browser.save_screenshot(str(screenshots / "site-phone.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_lists_print_to_pdf(site, tmp_path):
    import lists

    copy = tmp_path / "html"
    shutil.copytree(site, copy, ignore=shutil.ignore_patterns("frames", "*.ipynb"))
    if lists.browser() is None:
        pytest.skip("no browser to print with")
    for file in lists.write_pdfs(copy):
        assert file.read_bytes().startswith(b"%PDF") and file.stat().st_size > 20_000
    if shutil.which("pdftotext"):
        sheet = subprocess.run(
            ["pdftotext", str(copy / "cheatsheet.pdf"), "-"], capture_output=True, text=True
        )
        assert "Jensen" in sheet.stdout and "(11.13)" in sheet.stdout
