"""A Unix socket belongs to one process, and to those who may connect to it."""

import grp
import os
import pwd
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from prompt_resolver_server.doors.sockets import SocketFile
from prompt_resolver_server.settings import ConfigError
from tests.support.service import FREE_PORTS, run_cli, running_service, service_process


def bind(file: SocketFile, path: Path, mode: int = 0o660) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    with file.binding(mode) as place:
        door.bind(place)
        assert stat.S_IMODE(Path(place).stat().st_mode) == 0o600
        assert not path.exists()
    assert path.is_socket()
    door.listen()
    return door


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_mode(tmp_path: Path, mode: int) -> None:
    """The socket has its mode from the first moment on, and before it is its owner's alone."""
    path = tmp_path / "s"
    file = SocketFile(str(path))
    with bind(file, path, mode):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    file.release()

    assert not path.exists()


def test_owner(tmp_path: Path) -> None:
    """The socket is whose it is to be, as far as we may give it."""
    # Root may give it to anybody, others to a group of their own.
    is_root = os.geteuid() == 0
    user, group = (12345, 12346) if is_root else (os.geteuid(), os.getgroups()[-1])
    path = tmp_path / "s"
    file = SocketFile(str(path))
    with file.binding(0o660, (user, group)) as place, socket.socket(socket.AF_UNIX) as door:
        door.bind(place)
    status = path.stat()
    file.release()

    assert (status.st_uid, status.st_gid) == (user, group)
    assert stat.S_IMODE(status.st_mode) == 0o660


async def test_owner_of_a_service(tmp_path: Path) -> None:
    """Users and groups are told by name or by number, and either may be left out."""
    mine, ours = pwd.getpwuid(os.geteuid()), grp.getgrgid(os.getegid())
    path = tmp_path / "s"
    for owner in (
        *(mine.pw_name, f"{mine.pw_name}:{ours.gr_name}"),
        *(f":{ours.gr_gid}", f"{mine.pw_uid}:{ours.gr_gid}"),
    ):
        environ = {
            "PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{path}",
            "PROMPT_RESOLVER_UNIX_SOCKET_OWNER": owner,
        }
        async with running_service(tmp_path, environ=environ):
            status = path.stat()
        assert (status.st_uid, status.st_gid) == (mine.pw_uid, ours.gr_gid)


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        ("nobody-of-that-name", "there is no such user or group"),
        (":nobodies", "there is no such user or group"),
        (f"{2**32 - 1}", "there is no such user or group"),
        (":", "expected USER"),
        ("a:b:c", "expected USER"),
    ],
)
async def test_owner_who_cannot_be(tmp_path: Path, owner: str, told: str) -> None:
    """An owner whom the system does not know stops the start, and leaves no socket."""
    environ = {
        "PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/s",
        "PROMPT_RESOLVER_UNIX_SOCKET_OWNER": owner,
    }

    with pytest.raises(ConfigError, match=f"UNIX_SOCKET_OWNER: .*{told}"):
        async with running_service(tmp_path, environ=environ):
            pass

    assert not (tmp_path / "s").exists()


def test_owner_who_may_not_be(tmp_path: Path) -> None:
    """Whoever may not give the socket away is told in one line, and leaves none."""
    environ = {
        "PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/s",
        "PROMPT_RESOLVER_UNIX_SOCKET_OWNER": "12345",
    }
    powerless = ("setpriv", "--bounding-set=-chown") if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*powerless, sys.executable, "-m", "prompt_resolver.cli", "serve"],
        env={**os.environ, **FREE_PORTS, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.endswith("operation not permitted\n")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()


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


@pytest.mark.parametrize("is_live", [True, False])
def test_link_to_a_socket(tmp_path: Path, is_live: bool) -> None:
    """A link is not touched even where it leads to a socket, nor is that, served or left behind."""
    path, link = tmp_path / "s", tmp_path / "link"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        if is_live:
            other.listen()
        link.symlink_to(path)
        with pytest.raises(OSError, match="no socket"):
            SocketFile(str(link))

    assert link.is_symlink()
    assert path.is_socket()


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


def test_place_of_the_next_instance(tmp_path: Path) -> None:
    """A gRPC server that ends takes nothing away that is not its own."""
    path = tmp_path / "s"
    with service_process(environ={"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{path}"}) as service:
        with socket.socket(socket.AF_UNIX) as next_one:
            next_one.bind(f"{path}-next")
            os.replace(f"{path}-next", path)
        service.stop()

    assert path.is_socket()
    assert sorted(os.listdir(tmp_path)) == ["s", "s.lock"]
