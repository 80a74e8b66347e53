"""It is known of a path whether looking at it may take long."""

from pathlib import Path

from prompt_resolver_server.templates.file_systems import is_at_hand


def test_kinds(tmp_path: Path) -> None:
    """What is in memory is at hand; what a kind says nothing of is not, nor what is not there."""
    assert is_at_hand("/dev/shm")
    assert not is_at_hand("/proc/self/stat")
    assert not is_at_hand(str(tmp_path / "nowhere"))
