"""Addresses to listen at."""

import pytest

from prompt_resolver_server.settings.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address", "is_local"),
    [
        ("127.0.0.1:1", Address("127.0.0.1", 1), True),
        ("localhost:1", Address("localhost", 1), True),
        ("[::1]:1", Address("[::1]", 1), True),
        ("0.0.0.0:1", Address("0.0.0.0", 1), False),
        ("[::]:1", Address("[::]", 1), False),
        ("example.invalid:1", Address("example.invalid", 1), False),
        ("unix:/a/b", Address(path="/a/b"), True),
    ],
)
def test_addresses(text: str, address: Address, is_local: bool) -> None:
    """Addresses are read as they are written, and tell whether others can reach them."""
    read = parse_address(text, unix=True)

    assert (read, str(read), read.is_local) == (address, text, is_local)


@pytest.mark.parametrize("text", ["", "here", "1.2.3.4", ":1", "a:b", "a:99999", "unix:", "a:1:2"])
def test_addresses_that_are_none(text: str) -> None:
    """What is no address is refused."""
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        parse_address(text, unix=True)
