"""Sphinx's settings. The pages are prepared by build.py, which calls Sphinx."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "Variational inference, in notebooks"
html_title = "Variational inference"
author = "the course's authors"
copyright = "the course's authors; text and figures CC BY 4.0, code MIT"
extensions = ["myst_nb", "course"]
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = []

# MathJax with its fonts in one file, from an installed package: no network, also from file://.
mathjax_path = "mathjax/tex-svg-full.js"
mathjax3_config = {"svg": {"fontCache": "local", "scale": 0.95}, "options": {"enableMenu": False}}

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("sliders.js", {"defer": "defer"})]
html_show_sourcelink = True
html_show_search_summary = False  # it would fetch pages, which file:// forbids
html_context = {"default_mode": "auto"}  # without it the theme complains at the first visit
html_last_updated_fmt = None
html_show_sphinx = False
html_theme_options = {
    "use_download_button": True,
    "back_to_top_button": False,
    "navbar_end": [],
    "navbar_persistent": [],
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "path_to_docs": "notebooks",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# The address is that of the git remote or of a setting (build.py). Colab opens what is on GitHub,
# and other hosts stop the theme: elsewhere, as without an address, there are no buttons.
repository = os.environ.get("COURSE_REPOSITORY", "")
if repository.startswith("https://github.com/"):
    html_theme_options |= {
        "repository_url": repository,
        "repository_branch": os.environ.get("COURSE_BRANCH", "main"),
        "use_repository_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }
