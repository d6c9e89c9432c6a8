"""Write .github/headline.png, the course in one picture, from notebook 11 as it is stored.

python tests/tools/store_notebooks.py notebooks/11_vae_mnist.ipynb    # draws it
python tests/tools/headline.py                                        # copies it out
"""

import base64
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
NOTEBOOK, PICTURE = ROOT / "notebooks" / "11_vae_mnist.ipynb", ROOT / ".github" / "headline.png"
FIRST_LINE = "# Figure: the headline"


def headline(notebook):
    """The PNG, in bytes, that the headline's cell shows."""
    (cell,) = [c for c in notebook.cells if c.source.startswith(FIRST_LINE)]
    (png,) = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
    return base64.b64decode(png)


if __name__ == "__main__":
    PICTURE.write_bytes(headline(nbformat.read(NOTEBOOK, as_version=4)))
    print(PICTURE.relative_to(ROOT), PICTURE.stat().st_size, "bytes")
