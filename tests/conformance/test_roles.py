"""Who may score an endpoint of an identity provider's tokens: role assignments decide."""

import base64
import hmac
import json
import threading
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from jwt.algorithms import ECAlgorithm

from inference_provider.desired import DesiredResource, identify
from inference_provider.observed import Kind
from inference_provider.spec import RoleAssignmentSpec
from inference_provider.workspace.tokens import new_signing_key
from tests.conformance.labs import ANN

OURS, THEIRS = new_signing_key(), new_signing_key()
ISSUER = "https://login.example.org"
PROVIDER = {"issuer": ISSUER, "audience": "chat", "jwks": {OURS.id: json.dumps(OURS.public)}}
ES256 = ECAlgorithm(ECAlgorithm.SHA256)
SCIENTIST = "AzureML Data Scientist"


@pytest.fixture
def provided(served):
    """A lab whose endpoint iris takes tokens of a provider; nobody has a role."""
    served.apply(served.space(identity_provider=PROVIDER))
    served.apply(served.endpoint("iris", auth_mode="aad_token"))
    return served


def token(caller="ann", key=OURS, **claims):
    told = {"iss": ISSUER, "aud": "chat", "sub": caller, "exp": int(time.time()) + 600, **claims}
    held = {name: value for name, value in told.items() if value is not None}
    pem = key.private.get_secret_value()
    return jwt.encode(held, pem, "ES256", headers={"kid": key.id})


def forged(**header):
    """Return ann's token with another head; `none` and HMAC are signed as anybody could."""
    _, body, _ = token().split(".")
    told = {**jwt.get_unverified_header(token()), **header}
    signed = f"{_encoded(json.dumps(told).encode())}.{body}"
    if told["alg"] == "none":
        return f"{signed}."
    if told["alg"] == "ES256":  # by hand: the library signs no head that it does not take
        pem = OURS.private.get_secret_value().encode()
        private = serialization.load_pem_private_key(pem, password=None)
        assert isinstance(private, EllipticCurvePrivateKey)
        return f"{signed}.{_encoded(ES256.sign(signed.encode(), private))}"
    secret = json.dumps(OURS.public).encode()
    return f"{signed}.{_encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _encoded(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def may(lab, principal="ann", scope="", kind="user", role=SCIENTIST):
    spec = RoleAssignmentSpec(
        workspace=lab.workspace,
        name=f"may-{principal}",
        principal=principal,
        principal_type=kind,
        role=role,
        scope=scope,
    )
    return DesiredResource(id=identify(Kind.ROLE_ASSIGNMENT, spec), spec=spec, owner="demo")


def test_a_token_lets_in_whom_a_role_lets_score_and_nobody_else(provided):
    assert [provided.ask(key=token(who)) for who in ("ann", "bob")] == [403, 403]
    provided.apply(may(provided), may(provided, "team", "endpoints/iris", "group"))
    provided.apply(may(provided, "eve", role="Reader"))
    callers = {
        "ann": token(),
        "of the team": token("bob", groups=["others", "team"]),
        "of no team": token("bob"),
        "a reader": token("eve"),
        "another provider's": token(iss="https://evil.example.org"),
        "another's key": token(key=THEIRS),
        "no expiry": token(exp=None),
        "expired": token(exp=int(time.time()) - 60),
        "not yet valid": token(nbf=int(time.time()) + 600),
        "no signature": forged(alg="none"),
        "a public key as a secret": forged(alg="HS256"),
        "an unknown key": forged(kid="of nobody"),
        "over-long": token() + "A" * 4000,
        "no name": token(sub=None),
        "a number": token(7),
        "a key": "of-nobody-at-all-1234",
    }
    assert {who: provided.ask(key=key) for who, key in callers.items()} == {
        **dict.fromkeys(callers, 401),
        **{"ann": 200, "of the team": 200, "of no team": 403, "a reader": 403, "no name": 403},
    }
    assert provided.ask(key=forged()) == 200
    assert provided.ask(key=token(aud="rose")) == 403


def test_a_token_that_asks_for_more_than_a_router_checks_is_refused(provided):
    provided.apply(may(provided))
    asked: tuple[object, ...] = (["exp"], ["b64"], ["x", 1], [7], "exp", True)
    told = [provided.ask(key=forged(crit=one, x=1)) for one in asked]
    assert set(told) <= {401, 403}, told
    assert provided.ask(key=forged(x=1)) == 200


def test_a_role_that_is_taken_away_is_refused_at_once_and_after_a_restart(provided):
    given = may(provided)
    for _ in range(3):
        provided.apply(given)
        assert provided.ask(key=token()) == 200
        provided.delete(given.id)
        assert provided.ask(key=token()) == 403
    provided.target.stop(provided.workspace, ANN)
    provided.target.start(provided.workspace, ANN)
    assert provided.ask(key=token()) == 403


def test_an_endpoint_goes_from_keys_to_roles_and_back_and_is_never_open(served):
    served.apply(served.space(identity_provider=PROVIDER))
    over, answers = threading.Event(), set()

    def knock():
        while not over.is_set():
            answers.add(served.ask(key=token("eve")))

    caller = threading.Thread(target=knock)
    caller.start()
    for _ in range(3):
        served.apply(served.endpoint("iris", auth_mode="aad_token"))
        served.apply(served.endpoint("iris", auth_mode="key"))
    over.set()
    caller.join()
    assert answers <= {401, 403}
    assert served.ask() == 200


def test_another_set_of_keys_of_the_provider_ends_tokens_of_the_one_before(provided):
    provided.apply(may(provided))
    both = [token(), token(key=THEIRS)]
    assert [provided.ask(key=one) for one in both] == [200, 401]
    theirs = {**PROVIDER, "jwks": {THEIRS.id: json.dumps(THEIRS.public)}}
    provided.apply(provided.space(identity_provider=theirs))
    assert [provided.ask(key=one) for one in both] == [401, 200]
    provided.apply(provided.space(identity_provider=None))
    assert [provided.ask(key=one) for one in both] == [401, 401]
