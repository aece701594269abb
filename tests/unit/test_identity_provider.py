"""The identity provider of a workspace: its fields, and the file of its keys."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pydantic import ValidationError

from inference_provider.errors import SpecError
from inference_provider.files import SourceFolder, file_faults, with_content_hash
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.identity_provider import IdentityProvider

FETCHED = {"issuer": "https://a.test", "audience": "chat", "jwks_uri": "https://a.test/keys"}
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    """Return a public or private key as JSON."""
    kinds = {"EC": ECAlgorithm, "RS": RSAAlgorithm, "Ed": OKPAlgorithm}
    algorithm: Any = kinds[type(key).__name__.removeprefix("_")[:2]]
    return {**json.loads(algorithm.to_jwk(key)), **more}


PUBLIC = jwk(EC.public_key(), kid="first", alg="ES256", use="sig")


def test_one_audience_is_a_list_of_one_and_the_rest_has_defaults():
    assert IdentityProvider.model_validate(FETCHED).model_dump() == {
        "issuer": "https://a.test",
        "audience": ("chat",),
        "jwks_file": None,
        "jwks": {},
        "jwks_uri": "https://a.test/keys",
        "jwks_refresh_s": 60,
        "allow_http": False,
        "principal_claim": "sub",
        "groups_claim": "groups",
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"audience": []}, "at least 1"),
        ({"audience": "a b"}, "pattern"),
        ({"issuer": "login"}, "expected a URL"),
        ({"issuer": "https://ann:secret@a.test"}, "expected a URL"),
        ({"jwks_uri": "file:///etc/keys"}, "expected a URL"),
        ({"jwks_uri": "https://a.test/keys#1"}, "expected a URL"),
        ({"jwks_uri": "https://a.test:0/keys"}, "expected a URL"),
        ({"jwks_uri": "https://a.test:99999/keys"}, "expected a URL"),
        ({"jwks_uri": "https://a.test/ä"}, "expected a URL"),
        ({"jwks_uri": "http://a.test/keys"}, "use https://, or set allow_http: true"),
        ({"jwks_uri": "http://127.0.0.1.a.test/keys"}, "use https://"),
        ({"jwks_uri": None}, "one must say where its keys are; write one of them"),
        ({"jwks_file": "keys.json"}, "both say where its keys are; leave one of them out"),
        ({"jwks_refresh_s": 0}, "greater than or equal to 1"),
        ({"principal_claim": "a.b"}, "pattern"),
        ({"groups_claim": ""}, "pattern"),
    ],
)
def test_what_no_provider_has_is_refused(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        IdentityProvider.model_validate(FETCHED | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"jwks_uri": "http://127.0.0.1:9000/keys"},
        {"jwks_uri": "http://[::1]:9000/keys"},
        {"jwks_uri": "http://localhost/keys?v=2"},
        {"jwks_uri": "http://keycloak.auth.svc/keys", "allow_http": True},
        {"audience": ["api://chat", "4b6c"], "groups_claim": "https://a.test/groups"},
    ],
)
def test_what_a_provider_may_have_is_taken(fields: dict[str, Any]):
    IdentityProvider.model_validate(FETCHED | fields)


def workspace() -> WorkspaceSpec:
    given = {"issuer": "https://a.test", "audience": "chat", "jwks_file": "keys.json"}
    return WorkspaceSpec.model_validate({"name": "lab", "identity_provider": given})


def faults(folder: Path, text: str) -> list[str]:
    (folder / "keys.json").write_text(text)
    return [str(one) for one in file_faults(workspace(), SourceFolder(folder))]


def test_keys_that_check_tokens_are_read_from_the_file_and_what_else_is_there_is_not(
    tmp_path: Path,
):
    to_encrypt = jwk(RSA.public_key(), kid="e", use="enc", alg="RSA-OAEP")
    keys = [{**PUBLIC, "x5c": ["certificate"], "note": "ours"}, to_encrypt]
    assert faults(tmp_path, json.dumps({"keys": keys, "about": "us"})) == []
    read = with_content_hash(workspace(), SourceFolder(tmp_path)).identity_provider
    assert read is not None
    assert {name: json.loads(text) for name, text in read.jwks.items()} == {"first": PUBLIC}


def test_keys_of_the_same_name_or_of_none_are_all_kept(tmp_path: Path):
    other = jwk(RSA.public_key())
    text = json.dumps({"keys": [PUBLIC, other, {**other, "kid": "first"}, other]})
    assert faults(tmp_path, text) == []
    read = with_content_hash(workspace(), SourceFolder(tmp_path)).identity_provider
    assert read is not None
    assert list(read.jwks) == ["first", "#2", "first#3", "#4"]


@pytest.mark.parametrize(
    "key",
    [
        jwk(RSA.public_key()),
        jwk(ec.generate_private_key(ec.SECP384R1()).public_key()),
        jwk(ec.generate_private_key(ec.SECP521R1()).public_key()),
        jwk(ed25519.Ed25519PrivateKey.generate().public_key()),
    ],
    ids=lambda key: f"{key['kty']} {key.get('crv', '')}",
)
def test_each_type_of_key_that_a_router_knows_is_taken(tmp_path: Path, key: dict[str, Any]):
    assert faults(tmp_path, json.dumps({"keys": [key]})) == []


KEYS_FILE = "identity_provider.jwks_file:"
GET_ONE = "save what the provider's jwks_uri answers"
NOBODY = f"{KEYS_FILE} no key in it signs tokens: nobody would be let in; {GET_ONE}"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        pytest.param([], [NOBODY], id="none"),
        pytest.param([{**PUBLIC, "use": "enc"}], [NOBODY], id="none that signs"),
        pytest.param([jwk(RSA.public_key(), alg="RSA-OAEP")], [NOBODY], id="none but to encrypt"),
        pytest.param(
            [{**PUBLIC, "kid": 7}, {**PUBLIC, "alg": [None]}],
            [
                f"{KEYS_FILE} key 1 has a kid or alg that is not a string; {GET_ONE}",
                f"{KEYS_FILE} key 'first' has a kid or alg that is not a string; {GET_ONE}",
            ],
            id="names that are no text",
        ),
        pytest.param(
            [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}],
            [
                f"{KEYS_FILE} key 'shared' is a shared secret: who checks tokens with it can make"
                " them; use a public key"
            ],
            id="a shared secret",
        ),
        pytest.param(
            [PUBLIC, jwk(EC, kid="mine"), jwk(RSA)],
            [
                f"{KEYS_FILE} key 'mine' has its private part (d); keep only public keys in it",
                f"{KEYS_FILE} key 3 has its private part (d, dp, dq, p, q, qi); keep only public"
                " keys in it",
            ],
            id="private keys",
        ),
        pytest.param(
            [jwk(EC, use="enc"), PUBLIC],
            [f"{KEYS_FILE} key 1 has its private part (d); keep only public keys in it"],
            id="a private key to decrypt",
        ),
        pytest.param(
            [jwk(rsa.generate_private_key(65537, 1024).public_key())],
            [f"{KEYS_FILE} key 1 has 1024 bits; expected 2048 or more; use a longer key"],
            id="a short key",
        ),
        pytest.param(
            [jwk(ec.generate_private_key(ec.SECP256K1()).public_key())],
            [
                f"{KEYS_FILE} key 1 is of the curve 'secp256k1'; expected P-256 or P-384 or P-521;"
                " use another key"
            ],
            id="a curve that no router knows",
        ),
        pytest.param(
            [{**PUBLIC, "x": "AAAA"}, {"kty": "EC", "crv": "P-256"}, 7, {"kty": [7]}],
            [
                f"{KEYS_FILE} key 'first' is no valid key; {GET_ONE}",
                f"{KEYS_FILE} key 2 is no valid key; {GET_ONE}",
                f"{KEYS_FILE} key 3 is not a JSON object; {GET_ONE}",
                f"{KEYS_FILE} key 4 is of type [7]; expected RSA, EC, OKP; {GET_ONE}",
            ],
            id="no keys at all",
        ),
        pytest.param(
            [PUBLIC] * 101,
            [f"{KEYS_FILE} 'keys.json' holds 101 keys, the limit is 100; {GET_ONE}"],
            id="too many",
        ),
    ],
)
def test_a_file_of_keys_that_lets_in_nobody_or_anybody_is_refused(
    tmp_path: Path, keys: list[Any], said: list[str]
):
    assert faults(tmp_path, json.dumps({"keys": keys})) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'keys.json' is not JSON"),
        ("[" * 100_000, "'keys.json' is not JSON"),
        ("[]", "'keys.json' holds no keys; expected a JSON Web Key Set"),
        ('{"keys": {}}', "'keys.json' holds no keys"),
        (" " * (2**20 + 1), "'keys.json' is larger than 1 MiB"),
    ],
    ids=["empty", "deep", "a list", "a mapping", "large"],
)
def test_a_file_that_is_no_set_of_keys_is_refused(tmp_path: Path, text: str, said: str):
    (fault,) = faults(tmp_path, text)
    assert fault.startswith(f"{KEYS_FILE} {said}")


def test_a_missing_file_of_keys_is_refused(tmp_path: Path):
    said = "cannot read 'keys.json': No such file or directory"
    assert [one.reason for one in file_faults(workspace(), SourceFolder(tmp_path))] == [said]
    with pytest.raises(SpecError, match=said):
        with_content_hash(workspace(), SourceFolder(tmp_path))
