"""What a target refuses of keys, callers and TLS on a network."""

import pytest
from tests.stacks import stack

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.refusals import refusals


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"bind_address": "127.0.0.2"}, [], id="loopback"),
        pytest.param(
            {"bind_address": "0.0.0.0"},
            [
                "Workspace 'default' on target 'local': bind_address: keys and tokens would cross"
                " the network unencrypted, on 0.0.0.0; add tls: {generate: true}, or set"
                " allow_plain_http: true"
            ],
            id="all addresses",
        ),
        pytest.param({"bind_address": "::", "tls": {"generate": True}}, [], id="TLS"),
        pytest.param({"bind_address": "10.0.0.7", "allow_plain_http": True}, [], id="allowed"),
    ],
)
def test_keys_cross_a_network_unencrypted_only_where_that_is_said(fields, said):
    able = TargetCapabilities(name="local", tls=True)
    found = refusals(resolve(stack(workspaces=[fields])), able)
    assert [str(one) for one in found] == said


def test_source_ranges_are_refused_where_no_router_sees_who_calls():
    ranges = {"allowed_source_ranges": ["10.0.0.0/8"]}
    wanted = resolve(stack(workspaces=[ranges], endpoints=[{"name": "iris", **ranges}]))
    assert [str(one) for one in refusals(wanted, TargetCapabilities(name="local"))] == [
        "Workspace 'default' on target 'local': allowed_source_ranges: not supported yet; leave it"
        " out",
        "Endpoint 'default/iris' on target 'local': allowed_source_ranges: not supported yet;"
        " leave it out",
    ]


def test_an_address_of_one_interface_is_refused_where_it_would_let_in_callers():
    ranges = {"allowed_source_ranges": ["10.0.0.0/8", "fe80::1%eth0"]}
    space = {**ranges, "trusted_hops": 1, "trusted_proxies": ["fe80::2%1"]}
    wanted = resolve(stack(workspaces=[space], endpoints=[{"name": "iris", **ranges}]))
    able = TargetCapabilities(name="local", source_ranges=True)
    names = "names an interface, and the router does not know the caller's; write it without"
    assert [str(one) for one in refusals(wanted, able)] == [
        f"Workspace 'default' on target 'local': allowed_source_ranges[1]: 'fe80::1%eth0' {names}"
        " %eth0; that lets it in on every interface",
        f"Workspace 'default' on target 'local': trusted_proxies[0]: 'fe80::2%1' {names}"
        " %1; that lets it in on every interface",
        f"Endpoint 'default/iris' on target 'local': allowed_source_ranges[1]: 'fe80::1%eth0'"
        f" {names} %eth0; that lets it in on every interface",
    ]


def test_tls_is_refused_where_no_router_speaks_it():
    wanted = resolve(stack(workspaces=[{"tls": {"generate": True}}]))
    [refusal] = refusals(wanted, TargetCapabilities(name="local"))
    assert str(refusal) == (
        "Workspace 'default' on target 'local': tls: not supported yet; leave it out"
    )
