"""Prompts, written for a test."""

import json
from pathlib import Path

GREETING = "<system>\nGreet in {{language}}.\n</system>\n<user>\n{{name}}\n</user>"


def write_prompt(root: Path, prompt_id: str, body: str, **header: object) -> Path:
    """Write a `.prompt` file, for a chat with the provider `fake` unless the header says more."""
    fields = {"model": "some-model", "provider": "fake", "endpoint": "chat", **header}
    path = root / f"{prompt_id}.prompt"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items() if value is not None]
    replace_file(path, "\n".join(["---", *lines, "---", body, ""]))
    return path


def replace_file(path: Path, text: str) -> None:
    """Write a file so that nobody ever reads half of it."""
    half = path.with_name(f".{path.name}")
    half.write_text(text)
    half.replace(path)
