"""YAML without surprises: plain data only, no duplicate keys, and the line of everything.

Both the configuration and the headers of prompt files are read with it, as YAML 1.2 has it. What it
refuses, it refuses with the line and a text that quotes nothing of the document.
"""

from .documents import Document, YamlError, parse

__all__ = ["Document", "YamlError", "parse"]
