"""Prompt files of whichever format."""

from .dotprompt import parse_dotprompt
from .format_rule import BY_SIGNS, FormatRule
from .humanloop_file import parse_humanloop
from .prompt_file import PromptFile, read_source

_PARSERS = {"humanloop": parse_humanloop, "dotprompt": parse_dotprompt}


def parse_prompt_file(content: bytes, rule: FormatRule = BY_SIGNS) -> PromptFile:
    """Read a file, of the format that the rule tells. Raises `PromptFileError`."""
    source = read_source(content)
    return _PARSERS[rule.tell(source)](source)
