"""HOST:PORT, and the socket that listens there."""

import pytest

from scim_bridge.cli.context import Address, address_of, listen
from scim_bridge.errors import BridgeError


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:8080", "localhost:0"])
def test_an_address_is_written_as_it_is_read(text: str):
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("text", ["8080", ":8080", "host:", "host:x", "host:65536", "host:-1", ""])
def test_anything_else_is_no_address(text: str):
    with pytest.raises(ValueError, match="write HOST:PORT"):
        Address.parse(text)


def test_a_taken_port_is_said_in_one_line():
    with listen(Address("127.0.0.1", 0)) as first:
        taken = address_of(first)
        with pytest.raises(BridgeError, match=f"can't listen on {taken}: another program .* --bind"):
            listen(taken, patience_seconds=0)


def test_an_address_of_another_machine_is_said_in_one_line():
    with pytest.raises(BridgeError, match=r"^can't listen on 192\.0\.2\.1:0: [^\n]+$"):
        listen(Address("192.0.2.1", 0))
