"""Ports that two workspaces of one machine would both listen on are refused when planning."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.spec import StackSpec, WorkspaceSpec, stack_faults
from inference_provider.targets.listening import ListenAddress
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.target import neighbours
from inference_provider.targets.taken_ports import taken_faults
from inference_provider.workspace.state import State

PORT = {"port": 18443}


def faults(lab: dict[str, Any], shop: dict[str, Any]) -> list[str]:
    workspaces = [{"name": "lab", **lab}, {"name": "shop", **shop}]
    declared = StackSpec.model_validate({"name": "demo", "workspaces": workspaces})
    return [str(one) for one in stack_faults(declared)]


@pytest.mark.parametrize(
    ("lab", "shop", "told"),
    [
        ({"router_port": 18443}, {"router_port": 18443}, "1.router_port: 18443 is the router_port"),
        ({"metrics": PORT}, {"metrics": PORT}, "1.metrics.port: 18443 is the metrics.port"),
        ({"router_port": 18443}, {"metrics": PORT}, "1.metrics.port: 18443 is the router_port"),
        ({"service": PORT}, {"service": PORT}, "1.service.port: 18443 is the service.port"),
    ],
)
def test_the_later_of_two_workspaces_is_told_of_a_port_that_both_have(lab, shop, told):
    assert faults(lab, shop) == [f"workspaces.{told} of workspace 'lab' too; use another"]


def test_of_a_service_and_something_else_the_service_is_told():
    assert faults({"service": PORT}, {"router_port": 18443}) == [
        "workspaces.0.service.port: 18443 is the router_port of workspace 'shop' too; use another"
    ]


def test_a_port_on_another_address_is_another_and_one_on_all_addresses_is_not():
    apart = {"router_port": 18443, "bind_address": "192.0.2.1", "allow_plain_http": True}
    assert faults({"router_port": 18443}, apart) == []
    assert len(faults({"router_port": 18443}, {**apart, "bind_address": "0.0.0.0"})) == 1
    assert len(faults({"router_port": 18443}, {**apart, "bind_address": "::"})) == 1


def test_all_addresses_of_ipv4_are_none_of_ipv6():
    every = {"router_port": 18443, "bind_address": "0.0.0.0", "allow_plain_http": True}
    assert faults(every, {"router_port": 18443, "bind_address": "::1"}) == []
    assert len(faults(every, {**every, "bind_address": "::"})) == 1


def test_ports_that_are_chosen_meet_nobody_and_on_a_cluster_each_has_its_own():
    assert faults({}, {}) == []
    cluster = {"target": "kubernetes", "router_port": 18443}
    assert faults(cluster, cluster) == []


class Machine:
    """A state folder with a workspace of another stack."""

    def __init__(self, root: Path, owner: str = "other", **fields: Any) -> None:
        self.root, self.folders = root, Folders(root, "shop")
        self.folders.folder.mkdir(parents=True)
        self.folders.save_address(ListenAddress(host="127.0.0.1", port=20080, metrics_port=20081))
        record = Record(
            id=ResourceId.of_workspace("shop"),
            owner=owner,
            properties=WorkspaceSpec(name="shop", **fields).model_dump(mode="json"),
            actor=Actor(user="ann"),
            time=datetime(2026, 11, 28, tzinfo=UTC),
        )
        State(FileRecords(self.folders)).put_record(record)

    def refuses(self, name: str = "lab", **fields: Any) -> list[str]:
        spec = WorkspaceSpec(name=name, **fields)
        id_ = ResourceId(kind=Kind.WORKSPACE, workspace=name, name=name)
        desired = DesiredResource(id=id_, spec=spec, owner="demo")
        return [str(one) for one in taken_faults(desired, lambda: neighbours(self.root))]


def test_a_port_that_a_workspace_of_another_stack_has_is_refused_with_its_name(tmp_path: Path):
    machine = Machine(tmp_path, metrics={"port": 9464}, service=PORT)
    way_out = "of workspace 'shop' too; use another, or delete that workspace first"
    assert machine.refuses(router_port=20080) == [
        f"router_port: 20080 is the router_port {way_out}"
    ]
    assert machine.refuses(metrics={"port": 9464}) == [
        f"metrics.port: 9464 is the metrics.port {way_out}"
    ]
    assert machine.refuses(service={"port": 18443}) == [
        f"service.port: 18443 is the service.port {way_out}"
    ]
    assert machine.refuses() == machine.refuses(router_port=20082) == []


def test_a_workspace_itself_and_one_of_the_same_stack_refuse_nothing(tmp_path: Path):
    machine = Machine(tmp_path, metrics={"port": 9464})
    assert machine.refuses(name="shop", router_port=20080, metrics={"port": 9464}) == []
    assert machine.refuses(name="shop", service={"port": 20080}) == [
        "service.port: 20080 is the router_port of workspace 'shop' too; use another"
    ]
    own = Machine(tmp_path / "own", owner="demo", metrics={"port": 9464})
    assert own.refuses(router_port=20080, metrics={"port": 9464}) == []


def test_what_is_recorded_of_another_workspace_and_cannot_be_read_refuses_nothing(tmp_path: Path):
    machine = Machine(tmp_path)
    (machine.folders.folder / "records" / "Workspace.shop.json").write_text("{")
    assert machine.refuses(router_port=20080) == []
