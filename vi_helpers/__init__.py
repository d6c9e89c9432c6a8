"""Helpers for the course on variational inference.

Import the modules you need, for example ``from vi_helpers import divergences``.
Nothing heavy (torch, matplotlib) is imported here.
"""

__version__ = "0.1.0"
