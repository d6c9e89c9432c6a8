"""Imported before nbgrader: saves the seconds in which jsonschema builds grammars of web addresses.

No check of a notebook needs them; jsonschema does without them where they are not installed.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)
