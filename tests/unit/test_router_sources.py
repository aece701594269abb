"""Addresses that a stack names, as Envoy is told them."""

import pytest

from inference_provider.router.sources import allowing


@pytest.mark.parametrize(
    ("written", "prefix", "length"),
    [
        ("10.0.0.0/8", "10.0.0.0", 8),
        ("10.0.0.7", "10.0.0.7", 32),
        ("2001:db8::/32", "2001:db8::", 32),
        ("::/0", "::", 0),
        pytest.param("::ffff:10.0.0.0/104", "10.0.0.0", 8, id="IPv4 in IPv6's form"),
        pytest.param("::ffff:a00:7", "10.0.0.7", 32, id="one IPv4 in IPv6's form"),
        pytest.param("fe80::1%eth0", "fe80::1", 128, id="recorded before it was refused"),
    ],
)
def test_a_range_is_of_the_addresses_that_a_router_sees(written: str, prefix: str, length: int):
    [found] = allowing((written,))["rbac"]["rules"]["policies"]["sources"]["principals"]
    assert found == {"remote_ip": {"address_prefix": prefix, "prefix_len": length}}
