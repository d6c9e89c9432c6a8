"""A headless browser of the system, driven by selenium; without either the tests are skipped.

A worker keeps its browsers; every test has a tab of its own and finds nothing stored: what one test
chooses (a theme, an open notebook) never meets another.
"""

import os
import shutil
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOWHERE = "http://127.0.0.1:9"  # a proxy that answers nothing: no download


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """Run alone, one worker builds the site for the longest test; the others are in JupyterLab."""
    answer = yield
    first = ["test_a_reader_with_nothing_but_the_folder", "test_lab.py"]
    if all(item.path.parent == Path(__file__).parent for item in items):
        items.sort(key=lambda item: [name not in item.nodeid for name in first])
    return answer


@pytest.fixture(scope="session")
def small_digits(tmp_path_factory):
    """The environment in which notebook 11 finds no MNIST, and trains on the small digits."""
    kept = {name: value for name, value in os.environ.items() if name != "VI_DATA_DIR"}
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**kept, "XDG_CACHE_HOME": cache, "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE}


@pytest.fixture(scope="session")
def browsers():
    """The browsers that run: (arguments, watch) -> selenium's driver."""
    running = {}
    yield running
    for browser in running.values():
        browser.quit()


@pytest.fixture
def make_browser(browsers):
    """make_browser(*arguments, watch=False) -> selenium's driver, as a browser just started.

    watch : keep what the page asks for from the network, for requested()
    A second call with the same arguments closes what the first has open.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.common.exceptions import WebDriverException

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip(f"no browser here: {' or '.join(BROWSERS)}, and chromedriver, are looked for")

    def start(*arguments, watch=False):
        if (arguments, watch) in browsers:
            try:
                return as_new(browsers[arguments, watch])
            except WebDriverException:  # it broke down in another test
                browsers.pop((arguments, watch)).quit()
        options = webdriver.ChromeOptions()
        options.binary_location = program
        logged = {"browser": "ALL", **({"performance": "ALL"} if watch else {})}
        options.set_capability("goog:loggingPrefs", logged)
        for argument in (
            "--headless=new",
            "--no-sandbox",  # CI's containers run as root
            "--disable-dev-shm-usage",
            "--window-size=1280,1600",
            *arguments,
        ):
            options.add_argument(argument)
        service = webdriver.ChromeService(executable_path=driver)
        browser = browsers[arguments, watch] = webdriver.Chrome(options=options, service=service)
        browser.set_script_timeout(300)  # a page that sets its maths on a busy computer
        return browser

    return start


def as_new(browser):
    """The browser with one new tab, nothing stored, and empty logs."""
    old = browser.window_handles
    new = browser.execute_cdp_cmd("Target.createTarget", {"url": "about:blank"})["targetId"]
    for tab in old:
        browser.switch_to.window(tab)
        browser.close()
    browser.switch_to.window(new)
    everything = {"origin": "*", "storageTypes": "all"}
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", everything)
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    for kind in browser.log_types:
        browser.get_log(kind)
    return browser


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    """A folder for pictures to look at: VI_SCREENSHOTS, or a temporary one."""
    chosen = os.environ.get("VI_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
