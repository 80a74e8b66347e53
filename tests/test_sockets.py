"""A Unix socket belongs to one process, and to those who may connect to it."""

import os
import socket
import stat
from pathlib import Path

import pytest

from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.sockets import SocketFile
from tests.support.service import FREE_PORTS, run_cli, running_service, service_process


def bind(file: SocketFile, path: Path, mode: int = 0o660) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    with file.binding(mode):
        door.bind(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    door.listen()
    return door


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_mode(tmp_path: Path, mode: int) -> None:
    """The socket has its mode, and until then it is its owner's alone."""
    path = tmp_path / "s"
    file = SocketFile(str(path))
    with bind(file, path, mode):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    file.release()

    assert not path.exists()


def test_second_instance(tmp_path: Path) -> None:
    """A path that another instance holds is refused, and is free again after it."""
    path = tmp_path / "s"
    first = SocketFile(str(path))
    with bind(first, path):
        with pytest.raises(OSError, match="another instance listens there"):
            SocketFile(str(path))
        assert path.exists()
    first.release()

    SocketFile(str(path)).release()


def test_what_a_crash_left(tmp_path: Path) -> None:
    """A socket that nobody listens at any more is replaced."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    file = SocketFile(str(path))
    with bind(file, path):
        pass
    file.release()


def test_another_program(tmp_path: Path) -> None:
    """A socket that somebody else listens at is left to them, lock or not."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(OSError, match="another program listens there"):
            SocketFile(str(path))

    assert path.exists()


def test_what_is_no_socket(tmp_path: Path) -> None:
    """A file, or a link to wherever, is not touched."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for path in (file, link):
        with pytest.raises(OSError, match="no socket"):
            SocketFile(str(path))

    assert file.read_text() == "mine"
    assert link.is_symlink()


def test_lock_that_is_a_link(tmp_path: Path) -> None:
    """A lock that leads elsewhere is not followed."""
    (tmp_path / "s.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic link"):
        SocketFile(str(tmp_path / "s"))
    assert not (tmp_path / "elsewhere").exists()


def test_only_its_own_is_removed(tmp_path: Path) -> None:
    """A socket that took the path in the meantime is not removed."""
    path = tmp_path / "s"
    file = SocketFile(str(path))
    with bind(file, path), socket.socket(socket.AF_UNIX) as other:
        # Both are there until now, so that they are told apart by more than a number used twice.
        other.bind(f"{path}-other")
        os.replace(f"{path}-other", path)
        file.release()

    assert path.exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("s" * 120, "a path of more than 103 bytes"),
        ("nowhere/s", "no such file or directory"),
    ],
)
async def test_path_that_cannot_be(tmp_path: Path, name: str, problem: str) -> None:
    """A path that cannot be had stops the start with the cause."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/{name}"}

    with pytest.raises(ConfigError, match=f"GRPC_ADDRESS: expected a free address, .*{problem}"):
        async with running_service(tmp_path, environ=environ):
            pass


def test_second_server(tmp_path: Path) -> None:
    """A second server on a socket is refused in one line, and the first one goes on."""
    path = tmp_path / "s"
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{path}"}
    with service_process(environ=environ) as first:
        second = run_cli("serve", environ={**FREE_PORTS, **environ})
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
        code, _ = first.stop()

    assert (code, second.returncode) == (0, 2)
    assert second.stderr.endswith("another instance listens there\n")
    assert len(second.stderr.splitlines()) == 1
    assert not path.exists()
