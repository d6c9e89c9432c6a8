"""A headless browser of the system, driven by selenium; without either the tests are skipped.

Every test starts its own, with a profile of its own: what one test chooses (a theme, an open
notebook) never meets another.
"""

import os
import shutil
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def make_browser():
    """Start browsers: make_browser(*arguments, watch=False) -> selenium's driver.

    watch : keep what the page asks for from the network, for requested()
    All end with the test; each has a new, empty profile.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip(f"no browser here: {' or '.join(BROWSERS)}, and chromedriver, are looked for")
    started = []

    def start(*arguments, watch=False):
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
        started.append(webdriver.Chrome(options=options, service=service))
        started[-1].set_script_timeout(300)  # a page that sets its maths on a busy computer
        return started[-1]

    yield start
    for browser in started:
        browser.quit()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    """A folder for pictures to look at: VI_SCREENSHOTS, or a temporary one."""
    chosen = os.environ.get("VI_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
