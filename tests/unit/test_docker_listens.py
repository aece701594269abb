"""Where the router of a Docker host is the forward proxy: at a port that was free when chosen."""

import pytest

from inference_provider.errors import OutOfCapacity, TargetUnreachable
from inference_provider.targets.docker.listens import Listens, with_egress_port

CHOSEN = Listens(host="127.0.0.1", port=18080, metrics_port=19080, image="i", egress_port=20500)
NONE = CHOSEN.model_copy(update={"egress_port": 0})
FIRST = 20235
"""Where workspace `lab` begins."""


def port(listens: Listens, *taken: int, in_use: bool = False) -> int:
    def first_free(ports: list[int]) -> int | None:
        return next((one for one in ports if one not in taken), None)

    return with_egress_port(listens, "lab", "gpu-1", first_free, in_use=in_use).egress_port


def test_a_port_is_chosen_that_is_free():
    assert port(NONE) == FIRST
    assert port(NONE, FIRST) == FIRST + 1


def test_a_port_stays_that_is_free_or_its_own():
    assert port(CHOSEN) == 20500
    assert port(CHOSEN, 20500, in_use=True) == 20500


def test_a_port_that_another_took_before_the_first_rule_is_chosen_again():
    assert port(CHOSEN, 20500) == FIRST


def test_where_no_port_is_free_none_is_chosen():
    with pytest.raises(OutOfCapacity, match="no port from 20080 to 21079 is free for its forward"):
        port(NONE, *range(20080, 21080))


def test_where_the_router_does_not_run_its_first_one_is_tried():
    def silent(ports: list[int]) -> int | None:
        raise TargetUnreachable("ask", "the router", "it does not run", "start it")

    assert with_egress_port(NONE, "lab", "gpu-1", silent, in_use=False).egress_port == FIRST
    assert with_egress_port(CHOSEN, "lab", "gpu-1", silent, in_use=False).egress_port == 20500
