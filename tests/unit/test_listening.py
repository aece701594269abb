"""Where a router listens -> its URLs, and the order in which ports are tried."""

import pytest

from inference_provider.targets.listening import ListenAddress, in_order


@pytest.mark.parametrize(
    ("host", "near", "far"),
    [
        ("127.0.0.1", "http://127.0.0.1:18080", "http://127.0.0.1:18080"),
        ("0.0.0.0", "http://127.0.0.1:18080", "http://gpu-1:18080"),
        ("::", "http://[::1]:18080", "http://gpu-1:18080"),
        ("::1", "http://[::1]:18080", "http://[::1]:18080"),
        ("fd00::7", "http://[fd00::7]:18080", "http://[fd00::7]:18080"),
    ],
)
def test_a_router_on_all_addresses_is_reached_by_the_name_of_its_host(host, near, far):
    listens = ListenAddress(host=host, port=18080, metrics_port=19080)
    assert listens.reached().url == near
    assert listens.reached("gpu-1").url == far
    assert listens.reached("gpu-1").metrics_url == "http://127.0.0.1:19080"


def test_each_name_begins_at_its_own_port_and_goes_round_all_of_them():
    assert in_order(range(10, 15), "a") == [12, 13, 14, 10, 11]
    assert in_order(range(10, 15), "b") == [11, 12, 13, 14, 10]
