"""Whose address counts behind proxies, as the workspace's record says it."""

import pytest

from tests.conformance.conftest import REAL
from tests.conformance.labs import Lab, wait_until

# from any of these a lab's test reaches its router, and is the proxy
HERE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
ELSEWHERE = ("192.0.2.0/24",)
RANGES = {"allowed_source_ranges": ("198.51.100.0/24",)}


def answers(lab: Lab, claimed: str = "") -> int:
    """Return the status for a caller whose address a proxy has written."""
    headers = {"x-forwarded-for": claimed} if claimed else {}
    return lab._send("iris", lab.keys()[0], headers)


@pytest.mark.parametrize("opened", REAL, indirect=True)
def test_behind_proxies_the_address_that_they_write_counts_and_nobody_else_may_connect(lab: Lab):
    behind = lab.space(trusted_hops=1, trusted_proxies=HERE, **RANGES)
    lab.apply(behind, *lab.desired[1:])
    wait_until(lambda: answers(lab, "198.51.100.7") == 200)
    assert answers(lab, "203.0.113.9") == 403
    assert answers(lab, "198.51.100.7, 203.0.113.9") == 403  # what a caller sent comes first
    assert answers(lab) == 403
    # another process reads the record, and publishes by it
    lab.apply(lab.endpoint(tags={"a": "b"}), target=lab.another())
    assert [answers(lab, one) for one in ("198.51.100.7", "203.0.113.9")] == [200, 403]
    lab.apply(lab.space(trusted_hops=1, trusted_proxies=ELSEWHERE, **RANGES))
    wait_until(lambda: answers(lab, "198.51.100.7") == 403)
    lab.apply(lab.space(allowed_source_ranges=HERE))
    wait_until(lambda: answers(lab) == 200)
    assert answers(lab, "203.0.113.9") == 200
