"""Where a workspace has its service listen: what is taken, and what is refused when planning."""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from tests.ports import own_port
from tests.stacks import stack

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.refusals import refusals
from inference_provider.spec import StackSpec, WorkspaceSpec, stack_faults
from inference_provider.targets.answers import ALIKE
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.local.capabilities import local_capabilities

LOCAL = local_capabilities(Ledger)


def refused(able=LOCAL, **workspace):
    found = refusals(resolve(stack(workspaces=[workspace])), able)
    return [str(one.fault) for one in found]


def test_a_target_without_one_refuses_it_by_name():
    able = TargetCapabilities(name="local", reasons=ALIKE)
    told = "service: not supported yet; leave it out"
    assert told in refused(able, service={"port": 18443})
    assert told not in refused(able)


def test_a_docker_host_takes_it_where_the_workspace_names_the_engine_s_socket():
    able = docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda _one, _space: True)
    space = {"target": "docker", "service": {"port": 18443, "console": True}}
    assert refused(able, **space, engine_socket="/var/run/docker.sock") == []
    assert refused(able, **space) == [
        "service: a Docker host gives tokens over HTTP by a container that has the Engine's socket,"
        " which is root of the host, and the workspace allows none; set its engine_socket, to"
        " /var/run/docker.sock on most hosts, or leave it out"
    ]


def test_a_cluster_takes_it_with_or_without_pages_and_without_an_address():
    able = kubernetes_capabilities(lambda: None, lambda: None)
    space = {"target": "kubernetes", "runtime_image": "router:1"}
    assert refused(able, **space, service={"port": 443, "console": True}) == []
    assert refused(able, **space, service={"port": 443, "bind_address": "0.0.0.0"}) == [
        "service.bind_address: has no meaning on a cluster: what gives tokens is a Service there;"
        " leave it out"
    ]


def test_this_machine_takes_a_port_that_is_free_and_one_that_is_taken():
    port = own_port()
    assert refused(service={"port": port}) == []
    with socket.create_server(("127.0.0.1", port)):  # perhaps by the service itself
        assert refused(service={"port": port}) == []


def test_the_port_of_something_else_of_the_workspace_is_refused():
    assert refused(router_port=18443, service={"port": 18443}) == [
        "service.port: 18443 is the router_port too; use another"
    ]
    assert refused(metrics={"port": 18443}, service={"port": 18443}) == [
        "service.port: 18443 is the metrics.port too; use another"
    ]


def test_the_port_of_another_workspace_of_the_stack_is_refused():
    service, found = {"port": 18443}, []
    others: list[dict[str, Any]] = [{"service": service}, {"router_port": 18443}]
    others.append({"metrics": service})
    for other in others:
        first, second = {"name": "lab", **other}, {"name": "shop", "service": service}
        declared = {"name": "demo", "workspaces": [first, second]}
        found.append([str(one) for one in stack_faults(StackSpec.model_validate(declared))])
    assert found == [
        [f"workspaces.1.service.port: 18443 is the {field} of workspace 'lab' too; use another"]
        for field in ("service.port", "router_port", "metrics.port")
    ]
    apart = [{"name": "lab", "service": {"port": 18444}}, {"name": "shop", "service": service}]
    assert stack_faults(StackSpec.model_validate({"name": "demo", "workspaces": apart})) == ()


def test_tokens_cross_no_network_unencrypted_unless_that_is_said():
    wide = {"port": 18443, "bind_address": "0.0.0.0"}
    assert refused(service=wide) == [
        "service.bind_address: tokens would cross the network unencrypted, on 0.0.0.0;"
        " add tls: {generate: true}, or set allow_plain_http: true"
    ]
    assert refused(service=wide, allow_plain_http=True) == []
    assert refused(service=wide, tls={"generate": True}) == []


@pytest.mark.parametrize(
    ("space", "is_found"),
    [
        ({"allow_plain_http": True}, False),
        ({"tls": {"generate": True}}, False),
        ({"tls": {"generate": True, "names": ["localhost", "*.example.org", "127.0.0.2"]}}, False),
        ({"tls": {"generate": True, "names": ["gpu-1.example.org"]}}, True),
        ({"tls": {"generate": True}, "bind_address": "192.0.2.1"}, True),
        ({"tls": ["*.example.org"]}, False),
        ({"tls": ["gpu-1.example.org"]}, True),
    ],
)
def test_a_console_that_browsers_elsewhere_find_by_no_name_is_refused(space, is_found):
    given = dict(space)
    if isinstance(names := given.get("tls"), list):  # a certificate of one's own
        given["tls"] = own(*names)
    wide = {"port": 18443, "bind_address": "0.0.0.0"}
    told = (
        "service.bind_address: 0.0.0.0 is no name, and without one that is not loopback's no"
        " browser elsewhere is shown the console; write the address that they use, or have tls"
        " whose certificate names one"
    )
    found = refused(service={**wide, "console": True}, **given)
    assert [one for one in found if "browser" in one] == ([] if is_found else [told])
    assert told not in refused(service=wide, **given)
    assert told not in refused(service={"port": 18443, "console": True}, **given)


def own(*names):
    """A certificate that somebody else has made."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(named, named, key.public_key(), 1)
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(9))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
    signed = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = signed.public_bytes(pem)
    return {"certificate": certificate.decode(), "private_key": private.decode()}


def test_an_address_of_another_machine_is_refused():
    assert refused(
        service={"port": 18443, "bind_address": "192.0.2.1"}, tls={"generate": True}
    ) == [
        "service: 18443 on 192.0.2.1 cannot be listened on: Cannot assign requested address;"
        " use another port, or an address of this machine"
    ]


@pytest.mark.parametrize(
    "service", [{}, {"port": 0}, {"port": 65536}, {"port": True}, {"port": 1, "bind_address": "x"}]
)
def test_what_names_no_place_is_refused(service):
    with pytest.raises(ValidationError):
        WorkspaceSpec(service=service)


def test_a_workspace_closed_to_the_network_has_no_open_service():
    with pytest.raises(ValidationError, match=r"bind_address 0\.0\.0\.0 is reachable from outside"):
        WorkspaceSpec(
            public_network_access="disabled", service={"port": 1, "bind_address": "0.0.0.0"}
        )
    assert WorkspaceSpec(public_network_access="disabled", service={"port": 1}).service.is_local
