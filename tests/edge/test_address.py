"""Which address a request counts against, whatever headers a client makes up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.edge.address import ADDRESS, Proxies, client_address


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    return {"client": (peer, 1), "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded]}


@given(st.lists(st.text(st.characters(codec="latin-1"), max_size=40), max_size=4))
def test_what_a_stranger_forwards_is_never_read(forwarded: list[str]) -> None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    asked = {"client": ("203.0.113.9", 1), "headers": headers}
    assert Proxies(["10.0.0.0/8"]).address(asked) == "203.0.113.9"
    assert Proxies([]).address(asked) == "203.0.113.9"


@given(st.lists(st.ip_addresses().map(str), max_size=5))
def test_behind_a_proxy_only_what_it_saw_itself_counts(made_up: list[str]) -> None:
    asked = scope("10.0.0.1", ", ".join([*made_up, "203.0.113.9"]))
    assert Proxies(["10.0.0.0/8"]).address(asked) == "203.0.113.9"


def test_a_row_of_proxies_is_walked_to_the_first_stranger() -> None:
    proxies = Proxies(["10.0.0.0/8", "fd00::/8"])
    assert proxies.address(scope("10.0.0.1", "198.51.100.7, 203.0.113.9", "fd00::2, 10.0.0.5")) == "203.0.113.9"
    assert proxies.address(scope("10.0.0.1", "10.0.0.2")) == "10.0.0.2"
    assert proxies.address(scope("10.0.0.1")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.9.example", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_an_entry_is_an_address_in_any_dress_or_nothing(written: str, address: str) -> None:
    assert Proxies(["10.0.0.1"]).address(scope("10.0.0.1", written)) == address


def test_the_address_that_the_shell_found_is_the_one_that_counts() -> None:
    assert client_address({**scope("10.0.0.1"), ADDRESS: "203.0.113.9"}) == "203.0.113.9"
    assert client_address(scope("10.0.0.1", "203.0.113.9")) == "10.0.0.1"
    assert client_address({"client": None, "headers": []}) == ""


def test_all_addresses_of_one_customer_count_as_one() -> None:
    assert (
        client_address(scope("2001:db8:1:2::1")) == client_address(scope("2001:db8:1:2:ffff::9")) == "2001:db8:1:2::/64"
    )
    assert client_address(scope("2001:db8:1:3::1")) != client_address(scope("2001:db8:1:2::1"))
    assert client_address(scope("::ffff:203.0.113.9")) == "203.0.113.9"
    assert client_address(scope("fe80::1%eth0")) == "fe80::/64"


def test_a_name_that_is_no_network_is_refused_with_it() -> None:
    with pytest.raises(Invalid, match="'proxy'"):
        Proxies(["proxy"])
