"""Files are opened below a root and nowhere else, and known again by their looks."""

import os
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import StoreError
from prompt_resolver_server.templates.files import Root, look_at
from tests.support.opened import files_opened

LONG_AGO = (1_000_000_000, 1_000_000_000)


def test_reads(tmp_path: Path) -> None:
    """A file is read with its look, up to the byte after the last that is wanted."""
    path = tmp_path / "a"
    path.write_text("12345")
    os.utime(path, LONG_AGO)

    file = Root(tmp_path, store="s").read(str(path), max_bytes=3)

    assert (file.content, file.modified_at) == (b"1234", LONG_AGO[0])
    assert file.look == look_at(str(path))
    assert file.look.holds()


def test_fresh_file_proves_nothing(tmp_path: Path) -> None:
    """The look of a file that was written this very moment holds for nothing."""
    path = tmp_path / "a"
    path.write_text("1")

    assert not look_at(str(path)).holds()
    assert not look_at(str(tmp_path / "nowhere")).holds()


def test_changes_are_seen(tmp_path: Path) -> None:
    """A look does not hold once the file was written, replaced or removed."""
    path = tmp_path / "a"
    path.write_text("1")
    os.utime(path, LONG_AGO)
    look = look_at(str(path))
    assert look.holds()

    other = tmp_path / "b"
    other.write_text("2")
    os.utime(other, LONG_AGO)
    other.rename(path)
    assert not look.holds()

    path.unlink()
    assert not look.holds()


def test_what_is_not_there(tmp_path: Path) -> None:
    """What is no file, is outside, or is a link that leads nowhere is not there."""
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    held = len(os.listdir("/dev/fd"))
    with files_opened() as files:
        for name in ("folder", "out", "loop", "pipe", "none", "../secret", "pipe/x", "n" * 300):
            with pytest.raises(FileNotFoundError):
                Root(root, store="s").read(str(root / name), max_bytes=10)
        with pytest.raises(FileNotFoundError):
            Root(root, store="s").names(str(tmp_path))

    assert not any("secret" in name for name in files)
    assert len(os.listdir("/dev/fd")) == held


def test_root_that_is_gone(tmp_path: Path) -> None:
    """A root that is not there is a store that does not answer."""
    root = Root(tmp_path / "nowhere", store="s")

    for read in (root.find, lambda: root.names(root.path), lambda: root.read("a", max_bytes=1)):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.reason == "STORE_UNAVAILABLE"
