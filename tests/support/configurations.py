"""Configurations of texts, and of what documents show."""

import re
from pathlib import Path

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings import Loaded
from tests.support.documents import Block


def load_text(folder: Path, text: str, **environ: str) -> Loaded:
    """Load a text as a file in a folder."""
    path = folder / "c.yaml"
    path.write_text(text)
    return load_configuration(path, environ)


def load_block(block: Block, folder: Path) -> Loaded:
    """Load a block as a file in a folder that stands for `/keys`, with the variables it names.

    Keys are there, each another one, as tokens have to be; what is more than a key may come later.
    """
    path = folder / "config.yaml"
    for name in re.findall(r"file:/keys/([\w-]+)(?![\w.-])", block.text):
        (folder / name).write_text(f"key-of-{name}")
    path.write_text(block.text.replace("file:/keys", f"file:{folder}"))
    names = re.findall(r"os\.environ/(\w+)", block.text)
    return load_configuration(path, dict.fromkeys(names, "some-key"))
