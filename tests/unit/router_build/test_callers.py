"""Whom the entries of a router's table let in: by tokens, roles and pages."""

from typing import Any

import pytest
from tests.unit.router_build.records import KEYS, Workspace, deployment, endpoint, lab, record

from inference_provider.observed import Kind, Record
from inference_provider.router import EndpointEntry
from inference_provider.router.build import Builder
from inference_provider.router.table import Cors, ProviderCheck, Scorers, TokenCheck


def test_an_endpoint_of_tokens_has_its_check_and_no_keys_and_one_of_keys_has_no_check():
    workspace = Workspace(endpoint("iris", "aml_token"), endpoint("rose"))
    workspace.jwks = {"iris": "public", "rose": "left over"}
    iris, rose = workspace.built()
    assert (iris.keys, rose.keys, rose.tokens) == ((), KEYS, None)
    assert iris.tokens == TokenCheck(
        issuer="urn:inference:lab", audience="urn:inference:lab:endpoints:iris", jwks="public"
    )


PROVIDER = {
    "issuer": "https://a.test",
    "audience": ["chat"],
    "jwks": {},
    "jwks_uri": "https://a.test/keys",
    "jwks_refresh_s": 30,
    "allow_http": False,
    "principal_claim": "oid",
    "groups_claim": "groups",
}
ML = "Microsoft.MachineLearningServices/workspaces"


def may(principal: str, scope: str = "", kind: str = "user", role: str = "Scorer") -> Record:
    name = f"{principal}-{scope}"
    fields = {"principal_type": kind, "role": role, "scope": scope}
    return record(Kind.ROLE_ASSIGNMENT, name, name=name, principal=principal, **fields)


def allowed(*records: Record, roles: Any = None) -> EndpointEntry:
    """Return the endpoint iris, with deployments blue and green, of a workspace with a provider."""
    scorer = {"Scorer": {"actions": [f"{ML}/onlineEndpoints/score/action"]}}
    (built,) = Workspace(
        lab(identity_provider=PROVIDER, roles=scorer | (roles or {})),
        endpoint("iris", "aad_token"),
        deployment("iris/blue"),
        deployment("iris/green"),
        *records,
    ).built()
    return built


def test_an_endpoint_of_a_providers_tokens_has_its_check_and_lets_in_nobody_without_a_role():
    built = allowed()
    assert built.provider == ProviderCheck(
        issuer="https://a.test",
        audiences=("chat",),
        jwks_uri="https://a.test/keys",
        refresh_s=30,
        principal_claim="oid",
    )
    assert (built.keys, built.tokens, built.scorers) == ((), None, Scorers())


def test_given_keys_of_a_provider_are_one_set():
    given = {**PROVIDER, "jwks_uri": None, "jwks": {"a": '{"kid": "a"}', "b": '{"kid": "b"}'}}
    (built,) = Workspace(lab(identity_provider=given), endpoint("iris", "aad_token")).built()
    assert built.provider is not None
    assert built.provider.jwks == '{"keys": [{"kid": "a"}, {"kid": "b"}]}'
    assert built.provider.jwks_uri == ""


def test_who_has_the_role_in_a_scope_may_score_what_is_in_it():
    built = allowed(
        may("ann"),
        may("team", "endpoints/iris", "group"),
        may("bob", "endpoints/Iris/deployments/BLUE"),
        may("eve", "endpoints/rose"),
        may("dan", "endpoints/rose/deployments/blue"),
        may("zoe", "connections/hub"),
        may("max", "endpoints/iris/deployments/red"),
        may("robot", "", "identity"),
    )
    assert built.scorers == Scorers(principals=("ann",), groups=("team",))
    assert built.deployment_scorers == {"blue": Scorers(principals=("bob",))}


@pytest.mark.parametrize(
    ("role", "scores"),
    [
        ("Owner", True),
        ("AzureML Data Scientist", True),
        ("Reader", False),
        ("AcrPull", False),
        ("of nobody", False),
        ("All but", False),
    ],
)
def test_only_a_role_with_the_action_to_score_lets_its_principal_in(role: str, scores: bool):
    own = {"All but": {"actions": ["*"], "not_actions": [f"{ML}/onlineEndpoints/score/action"]}}
    assert allowed(may("ann", role=role), roles=own).scorers.principals == ("ann",) * scores


def test_a_role_that_is_given_or_taken_reaches_a_builder_that_knew_the_rest():
    builder, iris = Builder(), endpoint("iris", "aad_token")
    provided, owner = lab(identity_provider=PROVIDER), may("ann", role="Owner")

    def built(*records: Record) -> EndpointEntry:
        return Workspace(*records, iris).built(builder)[0]

    assert built(lab(), owner).provider is None
    assert built(provided).scorers == Scorers()
    given = built(provided, owner)
    assert given.scorers == Scorers(principals=("ann",))
    assert built(provided, owner) is given
    assert built(provided).scorers == Scorers()
    assert built(owner).scorers == Scorers()


def test_an_endpoint_of_keys_has_no_provider_and_no_scorers():
    (built,) = Workspace(
        lab(identity_provider=PROVIDER), endpoint("iris"), may("ann", role="Owner")
    ).built()
    assert (built.provider, built.scorers, built.keys) == (None, Scorers(), KEYS)


def test_an_endpoint_has_the_pages_that_its_record_names_and_an_older_record_names_none():
    said = {
        "origins": ["https://app.example.org"],
        "methods": ["GET"],
        "headers": ["authorization"],
        "expose_headers": [],
        "credentials": True,
        "max_age_s": 5,
    }
    iris, rose = Workspace(endpoint("iris", cors=said), endpoint("rose")).built()
    assert iris.cors == Cors(
        origins=("https://app.example.org",),
        methods=("GET",),
        headers=("authorization",),
        expose_headers=(),
        credentials=True,
        max_age_s=5,
    )
    assert rose.cors is None
