"""The variables that a configuration refers to."""

import os
from pathlib import Path

from tests.support.configurations import load_text


def test_variables_of_the_file(tmp_path: Path) -> None:
    """`environment_variables` serves the file and the customary keys, and no other program."""
    before = dict(os.environ)
    loaded = load_text(
        tmp_path,
        """
environment_variables: {KEY: inner, PORT: 5, OPENAI_API_KEY: os.environ/OUTER}
providers: {openai: {api_key: os.environ/KEY}}
""",
        KEY="outer",
        OUTER="theirs",
    )

    key = loaded.settings.providers["openai"].api_key
    assert key is not None
    assert key.reveal() == "inner"
    assert loaded.environment.first(("OPENAI_API_KEY",)) == "theirs"
    assert loaded.environment.first(("PORT",)) == "5"
    assert loaded.without_effect == ()
    assert dict(os.environ) == before
