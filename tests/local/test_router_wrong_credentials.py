"""Wrong credentials by the hundred, made at random from good ones: a router lets none in."""

import base64
import hashlib
import hmac
import json
import random
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from pydantic import SecretStr

from inference_provider.observed import Kind, ResourceId
from inference_provider.router.table import ProviderCheck, Scorers, TokenCheck
from inference_provider.workspace.signing import SigningKey, SigningKeys
from inference_provider.workspace.tokens import issue, new_signing_key
from tests.local.server.model import Model, until
from tests.local.server.routing import Served, deployment, endpoint, serving

pytestmark = pytest.mark.local
HOW_MANY = 10_000
KEYS = ("kD9_primary-4d1f-QZx", "sE2~secondary.9b7c+/=")
CHAT, ROSE = (ResourceId(kind=Kind.ENDPOINT, workspace="lab", name=n) for n in ("chat", "rose"))
Make = Callable[[random.Random], str]


def changed(text: str, chance: random.Random) -> str:
    """Return a text with one other character; not the last, part of which no decoder reads."""
    place = chance.randrange(len(text) - 1)
    others = [one for one in map(chr, range(33, 127)) if one != text[place]]
    return text[:place] + chance.choice(others) + text[place + 1 :]


def cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) - 1)]


def noise(chance: random.Random) -> str:
    return "".join(chr(chance.randrange(33, 256)) for _ in range(chance.randrange(1, 300)))


def keys_like(good: tuple[str, ...]) -> tuple[Make, ...]:
    return (
        lambda c: changed(c.choice(good), c),
        lambda c: cut(c.choice(good), c),
        lambda c: c.choice(good) + noise(c),
        lambda c: noise(c) + c.choice(good),
        lambda c: c.choice(good).swapcase(),
        lambda c: c.choice(good)[::-1],
        lambda _: "".join(good),
        lambda c: c.choice(",; ").join(good),
        lambda c: f'"{c.choice(good)}"',
        lambda c: "A" * c.randrange(5000),
        noise,
    )


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decoded(part: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def tokens_like(good: str, own: SigningKeys, check: TokenCheck) -> tuple[Make, ...]:
    """Return makers of tokens that differ from a good one in what its signature covers, or in it"""
    head, body, signature = good.split(".")
    header, claims = decoded(head), decoded(body)

    def of(key: SigningKey, keys: TokenCheck, ago: timedelta = timedelta()) -> str:
        now, half_an_hour = datetime.now(UTC) - ago, timedelta(minutes=30)
        return issue(
            keys, SigningKeys(newer=key), "ann", now, half_an_hour
        ).value.get_secret_value()

    stranger = new_signing_key().model_copy(update={"id": own.newer.id})
    strangers, roses = of(stranger, check), of(own.newer, TokenCheck.of(ROSE, own.jwks))
    expired = of(own.newer, check, timedelta(hours=1))

    def unsigned(chance: random.Random) -> str:
        told = {**header, "alg": chance.choice(["none", "None", "NONE", ""])}
        return f"{encoded(told)}.{body}.{chance.choice(['', signature])}"

    def with_a_secret(chance: random.Random) -> str:
        told = {**header, "alg": chance.choice(["HS256", "HS384", "HS512"])}
        signed = f"{encoded(told)}.{body}"
        secret = chance.choice([own.jwks, json.dumps(own.newer.public), own.newer.id, ""])
        return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"

    def other_claims(chance: random.Random) -> str:
        name = chance.choice([*claims, "nbf"])
        value = chance.choice([None, 0, -1, "", [], {}, 2**40, "x"])
        return f"{head}.{encoded({**claims, name: value})}.{signature}"

    return (
        lambda c: changed(good, c),
        lambda c: cut(good, c),
        lambda c: c.choice([strangers, roses, expired]),
        lambda _: f"{head}.{body}.{encoded(bytes(64))}",
        lambda c: c.choice(
            [f"{body}.{head}.{signature}", f"{head}.{body}", f"{head}..{signature}"]
        ),
        unsigned,
        with_a_secret,
        other_claims,
        *keys_like((strangers, roses)),
    )


FORMS: tuple[Callable[[str], str], ...] = (
    lambda text: f"authorization: Bearer {text}",
    lambda text: f"authorization: bearer {text}",
    lambda text: f"authorization: {text}",
    lambda text: f"authorization: Bearer Bearer {text}",
    lambda text: f"authorization: Basic {encoded(text.encode())}",
    lambda text: f"authorization: Bearer {text}\r\nauthorization: Bearer {text}",
    lambda text: f"x-api-key: {text}",
    lambda text: f"cookie: authorization={text}",
    lambda _: "x-azml-client: primary",
)


def status(served: Served, line: str) -> str:
    """Return the begin of an answer; Envoy waits a second before it closes after some."""
    head = "GET /endpoints/chat/score HTTP/1.1\r\nhost: router\r\n"
    found = b""
    with socket.create_connection(("127.0.0.1", served.ports[0]), 20) as opened:
        opened.sendall(f"{head}{line}\r\n\r\n".encode("latin-1"))
        while len(found) < 12 and (received := opened.recv(4096)):
            found += received
    return found[9:12].decode()


def odd_answers(served: Served, make: tuple[Make, ...], seed: int) -> dict[str, str]:
    """Return what was answered otherwise than as it must be to a wrong credential."""
    chance, odd = random.Random(seed), {}
    for number in range(HOW_MANY):
        line = chance.choice(FORMS)(make[number % len(make)](chance))
        answer = status(served, line)
        if answer not in ("400", "401", "403", "431"):
            odd[line] = answer
    return odd


@pytest.mark.parametrize("seed", [1, 2])
def test_no_wrong_key_is_let_in(models: dict[str, Model], seed: int):
    taken = tuple(map(SecretStr, KEYS))
    with serving(
        endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]), keys=taken)
    ) as served:
        good = {"authorization": f"Bearer {KEYS[0]}"}
        until(lambda: served.ask("chat/score", headers=good).status_code == 200)
        assert odd_answers(served, keys_like(KEYS), seed) == {}
        assert served.ask("chat/score", headers=good).status_code == 200


@pytest.mark.parametrize("seed", [1, 2])
def test_no_wrong_token_is_let_in(models: dict[str, Model], seed: int):
    keys = SigningKeys(newer=new_signing_key(), older=new_signing_key())
    check, now = TokenCheck.of(CHAT, keys.jwks), datetime.now(UTC)
    text = issue(check, keys, "ann", now, timedelta(minutes=30)).value.get_secret_value()
    blue = deployment("blue", models["blue"])
    asked = endpoint("chat", {"blue": 100}, blue, keys=(), auth_mode="aml_token", tokens=check)
    with serving(asked) as served:
        good = {"authorization": f"Bearer {text}"}
        until(lambda: served.ask("chat/score", headers=good).status_code == 200)
        assert odd_answers(served, tokens_like(text, keys, check), seed) == {}
        assert served.ask("chat/score", headers=good).status_code == 200


def of_others(own: SigningKeys, check: TokenCheck) -> tuple[Make, ...]:
    """Return makers of tokens that are good, of callers who have no role."""
    names: tuple[str, ...] = (
        "eve",
        "Ann",
        "ANN",
        "ann ",
        " ann",
        "ann\0",
        "a\u0301nn",
        "an",
        "annn",
        "",
        "*",
        ".*",
    )
    names = (*names, "scorers", "group:scorers", '["ann"]', "ann,eve", "ann\n", "\uff41nn")
    groups: tuple[object, ...] = ("scorer", "Scorers", "scorers ", "scorers,readers", "*", "ann")
    groups = (*groups, [["scorers"]], {"scorers": True}, {"name": "scorers"}, ["scorers2"], [], "")
    groups = (*groups, [{"scorers": 1}], ["ann"], 7, None, True, [None, 7, "scorers\0"])
    key = own.newer

    def signed(chance: random.Random) -> str:
        now = int(datetime.now(UTC).timestamp())
        told = {"iss": check.issuer, "aud": check.audience, "exp": now + 600}
        told |= {"sub": chance.choice(names), "groups": chance.choice(groups)}
        told |= chance.choice([{}, {"roles": ["scorers"]}, {"principal": "ann"}, {"oid": "ann"}])
        head = {"kid": key.id}
        return jwt.encode(told, key.private.get_secret_value(), "ES256", headers=head)

    return (signed,)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_wrong_token_of_an_identity_provider_is_let_in(models: dict[str, Model], seed: int):
    keys = SigningKeys(newer=new_signing_key(), older=new_signing_key())
    issuer, now = "https://login.example.org", datetime.now(UTC)
    check = TokenCheck(issuer=issuer, audience="chat", jwks=keys.jwks)
    text = issue(check, keys, "ann", now, timedelta(minutes=30)).value.get_secret_value()
    asked = endpoint(
        "chat",
        {"blue": 100},
        deployment("blue", models["blue"]),
        keys=(),
        auth_mode="aad_token",
        provider=ProviderCheck(issuer=issuer, audiences=("chat",), jwks=keys.jwks),
        scorers=Scorers(principals=("ann",), groups=("scorers",)),
    )
    with serving(asked) as served:
        good = {"authorization": f"Bearer {text}"}
        until(lambda: served.ask("chat/score", headers=good).status_code == 200)
        wrong = tokens_like(text, keys, check) + of_others(keys, check) * 8
        assert odd_answers(served, wrong, seed) == {}
        assert served.ask("chat/score", headers=good).status_code == 200
