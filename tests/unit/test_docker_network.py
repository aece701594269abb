"""How a network gets a subnet while other workspaces make theirs."""

from contextlib import nullcontext
from typing import Any

import pytest
import requests
from docker.errors import APIError

from inference_provider.errors import TargetError
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.network import network_of

OVERLAPS = "invalid pool request: Pool overlaps with other one on this address space"


class Engine:
    """Gives each probe the next subnet, and refuses so many networks of a chosen one."""

    def __init__(self, refusals, said=OVERLAPS):
        self.refusals, self.said, self.probes = refusals, said, 0
        self.there = []

    def networks(self, filters):
        role = filters["label"][-1].partition("=")[2]
        return [one for one in self.there if one["Labels"]["inference.role"] == role]

    def create_network(self, name, driver, labels, ipam=None, **more):
        if ipam is None:
            self.probes += 1
            ipam = {"Config": [{"Subnet": f"172.{self.probes}.0.0/16", "Gateway": "g"}]}
        elif self.refusals:
            self.refusals -= 1
            raise APIError("refused", requests.Response(), self.said)
        made = {"Name": name, "Id": f"{name}{self.probes}", "Labels": labels, "IPAM": ipam}
        self.there.append(made)
        return made

    def inspect_network(self, id_):
        return next(one for one in self.there if one["Id"] == id_)

    def remove_network(self, id_):
        self.there.remove(self.inspect_network(id_))


def made_by(engine):
    host: Any = DockerHost(DockerPlace(kind="docker", host="unix:///none.sock"))
    host._api = engine
    return network_of(host, "lab", nullcontext, closed=False)


def test_a_subnet_that_another_workspace_took_meanwhile_is_chosen_again():
    engine = Engine(refusals=4)
    assert made_by(engine)["IPAM"]["Config"][0]["Subnet"] == "172.5.0.0/16"
    assert [one["Name"] for one in engine.there] == ["inference.lab"]


@pytest.mark.parametrize(
    ("refusals", "said", "probes"),
    [(5, OVERLAPS, 5), (1, "bridge name exists", 1)],
    ids=["five times", "another refusal"],
)
def test_a_network_that_is_refused_for_good_is_told(refusals, said, probes):
    engine = Engine(refusals, said)
    with pytest.raises(TargetError) as told:
        made_by(engine)
    assert (engine.probes, said in str(told.value)) == (probes, True)
