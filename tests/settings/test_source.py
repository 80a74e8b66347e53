"""The file of a configuration."""

from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings import ConfigError


def test_faults_of_the_file_itself(tmp_path: Path) -> None:
    """A file that cannot be read is told by its name."""
    (tmp_path / "latin").write_bytes(b"a: \xff")

    with pytest.raises(ConfigError, match="nowhere: expected a readable file"):
        load_configuration(tmp_path / "nowhere", {})
    with pytest.raises(ConfigError, match="latin: expected UTF-8"):
        load_configuration(tmp_path / "latin", {})
