"""Makes an autograded notebook safe to look at in a browser: formgrader and feedback show it as is.

Of outputs only text and pictures stay. Markdown stays as it is where the parser that will render
it finds nothing but plain formatting, formulas, and links that run no script; else loose `<` are
written out; and where that does not help, the cell is shown as its own source text.
"""

import base64
import binascii
import re

from mistune import Markdown, import_plugin
from nbconvert.filters.markdown_mistune import MathBlockParser, MathInlineParser
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

PLUGINS = ("strikethrough", "table", "url", "task_lists", "def_list")
TAGS = "br hr b i em strong u s sub sup p div center span small table thead tbody tr td th ul ol li"
TAGS += " code pre kbd details summary blockquote h1 h2 h3 h4 h5 h6"
PLAIN_TAG = re.compile(rf"</?(?:{'|'.join(TAGS.split())})\s*/?>", re.I)
ANY_TAG = re.compile(r"<[a-zA-Z/!?]")
LINK = re.compile(r"((https?://|mailto:|#)[^\s\"'<>`]*|[\w./-]*)", re.I)
PICTURE = re.compile(r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=]*|[\w-][\w./-]*")
TEX = re.compile(r"\\(href|url|style|class|cssId|data|require|mmlToken|csname|html\w*)")
MATHS = re.compile(
    r"\$\$.*?\$\$|\$[^$\n]+\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}|`+[^`]+`+|^```.*?^```", re.S | re.M
)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
RASTER = ("image/png", "image/jpeg")
NOTE = "*This cell held markup that could run a script. It is shown as text.*"


def tokens_of(source):
    """The parse tree of nbconvert's own parser for this markdown."""
    parser = Markdown(
        renderer=None, block=MathBlockParser(), inline=MathInlineParser(hard_wrap=False),
        plugins=[import_plugin(name) for name in PLUGINS],
    )  # fmt: skip
    return parser(source)


def is_harmless(tokens, pictures):
    """Whether no token of the tree can run anything in a browser; pictures are the attachments."""
    for token in tokens:
        kind, raw, attrs = token["type"], token.get("raw", ""), token.get("attrs") or {}
        url, info = attrs.get("url", ""), attrs.get("info") or ""
        if (
            (kind in ("block_html", "inline_html") and ANY_TAG.search(PLAIN_TAG.sub("", raw)))
            or (kind == "block_code" and not re.fullmatch(r"(?!mermaid)[\w+#-]{0,20}", info))
            or (kind == "link" and not LINK.fullmatch(url))
            or (kind == "image" and not is_picture(url, pictures))
            or not is_harmless(token.get("children") or [], pictures)
        ):
            return False
    return True


def is_picture(url, pictures):
    attached = url.startswith("attachment:") and url.removeprefix("attachment:") in pictures
    return attached or PICTURE.fullmatch(url)


def safe_markdown(source, pictures=()):
    """The markdown, changed only where it could do more than show text and these pictures."""
    try:
        if not TEX.search(source):
            for text in (source, escaped(source)):
                if is_harmless(tokens_of(text), pictures):
                    return text
    except Exception:  # a text that breaks the parser is not one to render
        pass
    fence = "`" * (3 + max(map(len, re.findall("`+", source)), default=0))
    return f"{NOTE}\n\n{fence}\n{source}\n{fence}"


def escaped(source):
    """The markdown with `<` outside formulas and code written as &lt;."""
    pieces, last = [], 0
    for match in MATHS.finditer(source):
        pieces += [source[last : match.start()].replace("<", "&lt;"), match[0]]
        last = match.end()
    return "".join([*pieces, source[last:].replace("<", "&lt;")])


def is_base64(text):
    try:
        return bool(base64.b64decode("".join(str(text).split()), validate=True))
    except (binascii.Error, ValueError):
        return False


def safe_output(output):
    """A new output with the text and pictures of this one, or None if nothing is left."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return new_output("stream", name=name, text=str(output.get("text", "")))
    if kind == "error":
        lines = [str(line) for line in output.get("traceback", [])]
        names = {"ename": str(output.get("ename")), "evalue": str(output.get("evalue"))}
        return new_output("error", **names, traceback=lines)
    data = {k: v for k, v in output.get("data", {}).items() if k == "text/plain"}
    pictures = {k: v for k, v in output.get("data", {}).items() if k in RASTER and is_base64(v)}
    data |= pictures
    if not data:
        return None
    safe = new_output(kind if kind == "execute_result" else "display_data", data)
    known = ("checks", "error")  # careful_grading.py's own; a kernel cannot write in check cells
    safe.metadata = {k: v for k, v in output.get("metadata", {}).items() if k in known}
    return safe


class SafeDisplay(NbGraderPreprocessor):
    """Keep of a notebook what is safe to show; its grading is done by then."""

    display_data_priority = List().tag(config=True)  # nbconvert sets it and warns where it is not

    def preprocess(self, nb, resources):
        finished = nb.metadata.get("homework")
        nb.metadata = {"language_info": {"name": "python"}, "kernelspec": KERNEL}
        nb.metadata |= {"homework": finished} if finished else {}
        nb.cells = [self.safe_cell(cell) for cell in nb.cells]
        return nb, resources

    @staticmethod
    def safe_cell(cell):
        tags = cell.metadata.get("nbgrader")
        if cell.cell_type == "raw":
            cell = new_markdown_cell(cell.source)
            cell.pop("id", None)
        cell.metadata = {"nbgrader": tags} if tags else {}
        if cell.cell_type == "code":
            cell.execution_count = None
            kept = [safe_output(output) for output in cell.outputs]
            cell.outputs = [output for output in kept if output]
            return cell
        pictures = safe_pictures(cell.pop("attachments", {}))
        cell.source = safe_markdown(cell.source, pictures)
        if pictures:
            cell.attachments = pictures
        return cell


def safe_pictures(attachments):
    """The attachments of a markdown cell that are pictures."""
    found = {}
    for name, files in attachments.items():
        good = {k: v for k, v in files.items() if k in RASTER and is_base64(v)}
        if good and re.fullmatch(r"[\w.-]+", name):
            found[name] = good
    return found
