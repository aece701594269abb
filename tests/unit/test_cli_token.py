"""`inferctl token`, and what `keys` and `score` do with an endpoint that takes tokens."""

import json
import time

import httpx
import jwt
import pytest
import yaml


@pytest.fixture
def tokens(served):
    """The command line beside a stack whose endpoint iris takes tokens."""
    text = served.file.read_text()
    assert "endpoints: [{name: iris}]" in text
    served.file.write_text(text.replace("{name: iris}", "{name: iris, auth_mode: aml_token}"))
    assert served("up", "-y").exit_code == 0
    return served


def claims(text):
    return jwt.decode(text, options={"verify_signature": False})


def test_a_token_is_all_that_is_printed(tokens):
    result = tokens("token", "iris")
    assert (result.exit_code, result.stderr) == (0, "")
    found = claims(result.stdout.removesuffix("\n"))
    assert (found["aud"], found["exp"] - found["iat"]) == (
        *("urn:inference:default:endpoints:iris", 1800),
    )


def test_json_has_the_names_of_azure_ml(tokens):
    found = json.loads(tokens("token", "iris", "--minutes", "60", "--json").stdout)
    assert list(found) == ["accessToken", "expiryTimeUtc", "refreshAfterTimeUtc", "tokenType"]
    assert found["tokenType"] == "Bearer"
    assert found["expiryTimeUtc"] == claims(found["accessToken"])["exp"]
    assert found["expiryTimeUtc"] - found["refreshAfterTimeUtc"] == 20 * 60
    assert 3500 < found["expiryTimeUtc"] - time.time() <= 3600


@pytest.mark.parametrize("minutes", ["0", "-5", "1441", "99999999999999"])
def test_a_lifetime_out_of_bounds_is_refused(tokens, minutes):
    result = tokens("token", "iris", "--minutes", minutes)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Invalid value for '--minutes': Input should be" in result.stderr


def test_a_word_that_is_none_of_a_list_is_refused_in_the_words_of_every_command(tokens):
    result = tokens("keys", "rotate", "iris", "--key", "first")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "Invalid value for '--key': 'first' is not one of 'primary', 'secondary', 'signing'."
        in result.stderr
    )


def test_an_endpoint_of_keys_has_no_tokens(served):
    result = served("token", "iris")
    assert result.exit_code == 1
    assert (
        "make a token of Endpoint 'default/iris': its auth_mode is key;"
        " only an endpoint of aml_token has tokens of its own" in result.stderr
    )


def test_an_endpoint_of_tokens_shows_no_keys_and_says_what_to_run(tokens):
    result = tokens("keys", "show", "iris")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(
        "show the keys of Endpoint 'default/iris': it has none: its auth_mode is aml_token;"
        " run `inferctl token iris`\n"
    )


def test_its_signing_key_is_rotated(tokens):
    before = jwt.get_unverified_header(tokens("token", "iris").stdout.strip())["kid"]
    result = tokens("keys", "rotate", "iris", "--key", "signing")
    assert result.stdout == (
        "rotated the signing key of Endpoint 'default/iris';"
        " get a token with: inferctl token iris\n"
    )
    assert jwt.get_unverified_header(tokens("token", "iris").stdout.strip())["kid"] != before


def test_score_calls_with_a_token_of_five_minutes(tokens):
    asked = []

    def answer(request):
        asked.append(request.headers["authorization"])
        return httpx.Response(200, json=1)

    transport = httpx.MockTransport(answer)
    assert tokens("score", "iris", said="[1]", transport=transport).exit_code == 0
    found = claims(asked[0].removeprefix("Bearer "))
    assert found["exp"] - found["iat"] == 300


def test_no_token_and_no_signing_key_is_in_what_a_person_reads(tokens):
    text = tokens("token", "iris").stdout.strip()
    private = json.loads(tokens.target.platform.ports("default").records.read("signing", "iris"))
    secret = private["newer"]["private"].splitlines()[1]
    for command in (["status", "--json"], ["outputs", "--show-secrets"], ["drift"], ["plan"]):
        said = tokens(*command).output
        assert (text in said, secret in said) == (False, False)


@pytest.fixture
def provided(served):
    """The command line beside a stack whose endpoint iris takes tokens of a provider."""
    text = served.file.read_text()
    provider = "{issuer: https://a.test, audience: chat, jwks_uri: https://a.test/keys}"
    assert "endpoints: [{name: iris}]" in text
    text = text.replace("{name: iris}", "{name: iris, auth_mode: aad_token}")
    served.file.write_text(with_provider(text, provider))
    result = served("up", "-y")
    assert result.exit_code == 0, result.stderr
    return served


def with_provider(text, provider):
    """Return a stack file whose workspace names a provider."""
    stack = yaml.safe_load(text)
    stack["workspaces"][0]["identity_provider"] = yaml.safe_load(provider)
    return yaml.safe_dump(stack)


def test_an_endpoint_of_a_providers_tokens_is_scored_with_one_of_the_caller(provided, monkeypatch):
    result = provided("score", "iris", said="[1]")
    assert result.stderr.endswith(
        "score Endpoint 'default/iris': it takes tokens of the workspace's identity_provider;"
        " get one there, and put it into $INFERENCE_TOKEN\n"
    )
    asked = []

    def answer(request):
        asked.append(request.headers["authorization"])
        return httpx.Response(403, text="no")

    monkeypatch.setenv("INFERENCE_TOKEN", " a.b.c\n")
    result = provided("score", "iris", said="[1]", transport=httpx.MockTransport(answer))
    assert asked == ["Bearer a.b.c"]
    assert "answered 403 no" in result.stderr
    assert "in a role assignment that allows to score" in result.stderr
    monkeypatch.setenv("INFERENCE_TOKEN", "a b")
    assert "$INFERENCE_TOKEN does not hold a token" in provided("score", "iris", said="[1]").stderr


def test_an_endpoint_of_a_providers_tokens_has_no_keys_to_show_or_rotate(provided):
    assert "it has none: its auth_mode is aad_token" in provided("keys", "show", "iris").stderr
    assert (
        "it takes tokens of the workspace's identity_provider, not keys; rotate keys there"
        in provided("keys", "rotate", "iris").stderr
    )
