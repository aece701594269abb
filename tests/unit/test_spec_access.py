"""Who may call and what is encrypted, as a stack says it."""

from typing import Any

import pytest
from pydantic import ValidationError

from inference_provider.spec import EndpointSpec, RoleAssignmentSpec, WorkspaceSpec
from inference_provider.spec.tls import TlsSettings


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, r"no certificate; write certificate: \"\$\{file:server.pem\}\" and private_key"),
        ({"certificate": "a"}, "no private_key; write certificate: "),
        ({"private_key": "a"}, "no certificate; write certificate: "),
        ({"generate": True, "certificate": "a"}, "generate makes certificate and private_key"),
        ({"certificate": "a", "private_key": "b", "names": ["a"]}, "names are of a generated"),
        ({"generate": True, "names": ["https://a"]}, "expected the name of a host"),
        ({"generate": True, "names": ["a.*.b"]}, "expected the name of a host"),
        ({"generate": True, "minimum_version": 1.1}, "'1.2' or '1.3'"),
    ],
)
def test_tls_has_one_certificate_and_names_of_hosts(fields, said):
    with pytest.raises(ValidationError, match=said):
        TlsSettings.model_validate(fields)


def test_a_version_of_tls_may_be_a_number_of_yaml():
    assert TlsSettings(generate=True, minimum_version=1.3).minimum_version == "1.3"
    assert TlsSettings(generate=True, names=("::1", "*.a.b", "10.0.0.7")).names[0] == "::1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("workspace", ""),
        ("/endpoints/iris/", "endpoints/iris"),
        ("endpoints/iris/deployments/blue", "endpoints/iris/deployments/blue"),
        ("connections/openai", "connections/openai"),
        ("registries/hub.example.org:5000/team", "registries/hub.example.org:5000/team"),
        ("stores/models/demo", "stores/models/demo"),
    ],
)
def test_scopes_are_taken(written, meant):
    given = RoleAssignmentSpec(name="may", principal="robot", role="acrpull", scope=written)
    assert (given.role, given.scope) == ("AcrPull", meant)


@pytest.mark.parametrize(
    "written",
    ["iris", "endpoints", "endpoints/", "endpoints/iris/blue", "models/iris", "connections/a/b",
     "endpoints/a b", "stores/"],
)  # fmt: skip
def test_what_is_no_scope_is_refused_with_those_that_there_are(written):
    with pytest.raises(ValidationError, match="not a scope; leave it out for the workspace, or"):
        RoleAssignmentSpec(name="may", principal="robot", role="AcrPull", scope=written)


@pytest.mark.parametrize("name", ["Reader", "acr pull", "Metrics Writer"])
def test_a_role_of_the_workspace_has_no_name_of_a_built_in_one(name):
    with pytest.raises(ValidationError, match="a built-in role has this name; use another one"):
        WorkspaceSpec(roles={name: {"actions": ["*"]}})


def test_a_role_of_the_workspace_has_actions():
    for actions in ([], ["a b"], [""]):
        with pytest.raises(ValidationError):
            WorkspaceSpec(roles={"Scorer": {"actions": actions}})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"public_network_access": "disabled"}, "answers allowed_source_ranges alone, and there"),
        ({"allowed_source_ranges": ["10.0.0.1/8"]}, "bits beyond its length; write 10.0.0.0/8"),
        ({"allowed_source_ranges": ["lan"]}, "expected a range of addresses"),
    ],
)
def test_who_may_call_an_endpoint_is_a_range_of_addresses(fields, said):
    with pytest.raises(ValidationError, match=said):
        EndpointSpec(name="iris", **fields)


def test_an_endpoint_may_be_closed_to_all_but_some():
    closed = {"public_network_access": "disabled", "allowed_source_ranges": ["10.0.0.7", "::1"]}
    assert EndpointSpec.model_validate({"name": "iris", **closed}).allowed_source_ranges == (
        "10.0.0.7",
        "::1",
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trusted_hops": 11}, "less than or equal to 10"),
        ({"trusted_hops": -1}, "greater than or equal to 0"),
        ({"trusted_hops": 1}, "name in trusted_proxies the addresses from which proxies connect"),
        ({"trusted_proxies": ["10.0.0.7"]}, "trusted_proxies count only with trusted_hops"),
        (
            {"trusted_hops": 1, "trusted_proxies": ["10.0.0.7", "::/00"]},
            "trusted_proxies names everybody, ::/00, who could then claim to be anybody",
        ),
        (
            {"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/1", "::1", "128.0.0.0/1"]},
            "names everybody, 0.0.0.0/1 and 128.0.0.0/1, who could then",
        ),
        (
            {"trusted_hops": 1, "trusted_proxies": ["::ffff:0:0/96"]},
            "names everybody, ::ffff:0:0/96, who could then",
        ),
    ],
)
def test_a_header_counts_only_as_the_word_of_named_proxies(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        WorkspaceSpec.model_validate({"name": "lab", **fields})


def test_a_limit_of_requests_is_at_least_one():
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        EndpointSpec(name="iris", request_limits={"requests_per_minute": 0})


@pytest.mark.parametrize("size", [0, 1025])
def test_a_largest_body_is_from_1_to_1024_mib(size: int):
    with pytest.raises(ValidationError, match="max_body_mib"):
        EndpointSpec(name="iris", request_limits={"max_body_mib": size})


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"name": "rule", "destination": "10.0.0.1"}], "destination"),
        ([{"name": "rule", "destination": "PyPI.org"}], "destination"),
        ([{"name": "rule", "destination": "*"}], "destination"),
        ([{"name": "rule", "destination": "*.org"}], "destination"),
        ([{"name": "rule", "destination": "localhost"}], "destination"),
        ([{"name": "rule", "destination": "https://pypi.org"}], "destination"),
        ([{"name": "rule", "destination": "pypi.org:443"}], "destination"),
        ([{"name": "rule", "destination": "pypi.org", "ports": []}], "ports"),
        ([{"name": "rule", "destination": "pypi.org", "type": "service_tag"}], "fqdn"),
        (
            [{"name": "rule", "destination": one} for one in ("a.b", "c.d")],
            "name 'rule' is there twice; give each rule a name of its own",
        ),
        (
            [{"name": one, "destination": "pypi.org"} for one in ("one", "two")],
            "destination 'pypi.org' is there twice; merge them into one rule: `ports: ",
        ),
    ],
)
def test_an_outbound_rule_names_one_place_of_its_own(rules, said):
    with pytest.raises(ValidationError, match=said):
        WorkspaceSpec.model_validate({"egress": "disabled", "outbound_rules": rules})


def test_outbound_rules_are_of_a_workspace_that_is_closed():
    rules = [{"name": "index", "destination": "*.pythonhosted.org"}]
    with pytest.raises(ValidationError, match="outbound_rules need `egress: disabled`; set it, or"):
        WorkspaceSpec.model_validate({"outbound_rules": rules})
    closed = WorkspaceSpec.model_validate({"egress": "disabled", "outbound_rules": rules})
    assert closed.outbound_rules[0].ports == (80, 443)
