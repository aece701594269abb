"""Keys of an identity provider: what of a URL's answer is taken, kept, and said."""

import http.server
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from inference_provider.errors import InferenceError
from inference_provider.router.provider import Asked, Fetched, asked_in, fetch_fault
from inference_provider.router.render import provider_file
from inference_provider.router.table import ProviderCheck
from inference_provider.targets.envoy.fetched_keys import FetchedKeys
from inference_provider.targets.envoy.key_fetch import FetchFault, fetch
from inference_provider.targets.envoy.key_server import Keeper, KeyServer


def jwks(name: str) -> str:
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": name}]})


class Provider:
    """What a provider answers, and where."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.status, self.headers = 200, {"x-more": "1"}
        self.body = jwks("one").encode()
        self.asked = 0


@pytest.fixture(name="provider")
def a_provider() -> Iterator[Provider]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_said: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Provider(f"http://127.0.0.1:{server.server_port}/keys?of=lab")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def test_what_a_url_answers_is_taken_letter_for_letter(provider: Provider):
    provider.body = b' {"keys": [' + provider.body[10:-2] + b"]}\n"
    assert fetch(provider.uri, "", 5) == provider.body.decode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "its answer holds no key that checks tokens"),
        (b"<html>503</html>", "its answer holds no key that checks tokens"),
        (b'{"keys": []}', "its answer holds no key that checks tokens"),
        (b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "its answer holds no key that checks"),
        (b'{"keys": [{"kty": "RSA", "n": "?", "e": "AQAB"}]}', "its answer holds no key that"),
        (b'{"keys": [{"kty": "RSA", "n": "AQAB"}]}', "its answer holds no key that checks"),
        (b'{"keys": [{"kty": "OKP", "crv": "P-256", "x": "AQAB"}]}', "its answer holds no key"),
        (b'{"keys": [[], 1, null, {"kty": ["RSA"]}]}', "its answer holds no key that checks"),
        (b"[" * 100_000, "its answer holds no key that checks tokens"),
        (b" " * (2**20 + 1), "its answer is longer than 1 MiB"),
    ],
)
def test_an_answer_without_keys_is_refused(provider: Provider, body: bytes, said: str):
    provider.body = body
    with pytest.raises(FetchFault, match=said):
        fetch(provider.uri, "", 5)


@pytest.mark.parametrize("status", [204, 301, 302, 404, 500])
def test_no_redirect_is_followed_and_no_error_read(provider: Provider, status: int):
    provider.status, provider.headers = status, {"location": provider.uri}
    with pytest.raises(FetchFault, match=f"it answers {status}"):
        fetch(provider.uri, "", 5)
    assert provider.asked == 1


def test_a_variable_of_a_proxy_counts_for_nothing(provider: Provider, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch(provider.uri, "", 5) == jwks("one")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_key_of_each_kind_is_one(provider: Provider, algorithm: str):
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        public = ECAlgorithm.to_jwk(ec.generate_private_key(curves[algorithm]).public_key())
    elif algorithm == "EdDSA":
        public = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key())
    else:
        public = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key())
    provider.body = f'{{"keys": [{public}]}}'.encode()
    assert fetch(provider.uri, "", 5) == provider.body.decode()


def test_an_answer_that_never_ends_is_cut_off():
    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while not ended.wait(0.1):
                    self.wfile.write(b" ")
            except OSError:
                pass

        def log_message(self, *_said: object) -> None:
            pass

    ended = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(FetchFault):
                fetch(f"http://127.0.0.1:{server.server_port}/", "", 1)
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def test_a_failed_fetch_or_garbage_never_replaces_keys_and_a_new_answer_does(
    provider: Provider, tmp_path
):
    keeper, kept = Keeper(tmp_path, str), FetchedKeys(tmp_path)
    assert keeper.keys(provider.uri) == jwks("one")
    for status, body in ((200, b"<html>"), (200, b'{"keys": []}'), (500, jwks("two").encode())):
        provider.status, provider.body = status, body
        assert keeper.keys(provider.uri) == jwks("one")
        assert Keeper(tmp_path, str).keys(provider.uri) == jwks("one")  # after a start
    assert kept.state(provider.uri).fault == "it answers 500"
    provider.status, provider.body = 200, jwks("two").encode()
    assert keeper.keys(provider.uri) == jwks("two")
    assert kept.text(provider.uri) == jwks("two")
    assert kept.state(provider.uri).fault == ""


def test_a_url_that_never_answered_has_no_keys(tmp_path):
    assert Keeper(tmp_path, str).keys("http://127.0.0.1:1/keys") == ""
    assert FetchedKeys(tmp_path).state("http://127.0.0.1:1/keys") == Fetched(
        fault="Connection refused"
    )


def test_the_time_of_kept_keys_is_that_of_the_last_answer(provider: Provider, tmp_path):
    keeper = Keeper(tmp_path, str)
    keeper.keys(provider.uri)
    [file] = (tmp_path / "provider-keys").iterdir()
    os.utime(file, (0, 0))
    assert FetchedKeys(tmp_path).state(provider.uri).at == "1970-01-01 00:00 UTC"
    keeper.keys(provider.uri)
    assert FetchedKeys(tmp_path).state(provider.uri).at > "2026"


def test_keys_that_cannot_be_kept_are_good_for_now(provider: Provider, tmp_path):
    (tmp_path / "provider-keys").write_text("in the way of a folder")
    with pytest.raises((InferenceError, OSError)):
        FetchedKeys(tmp_path).keep(provider.uri, "{}")
    assert Keeper(tmp_path, str).keys(provider.uri) == jwks("one")


def test_those_who_ask_at_once_share_one_question(provider: Provider, tmp_path):
    keeper, start = Keeper(tmp_path, str), threading.Barrier(8)
    found: list[str] = []

    def ask() -> None:
        start.wait()
        found.append(keeper.keys(provider.uri))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [jwks("one")] * 8
    assert provider.asked <= 8


def test_an_answer_is_good_for_its_time_and_a_failure_for_none(provider: Provider, tmp_path):
    keeper = Keeper(tmp_path, str)
    assert [keeper.keys(provider.uri, 3600) for _ in range(3)] == [jwks("one")] * 3
    assert provider.asked == 1
    again = Keeper(tmp_path, str)  # after a start nobody knows how old they are
    provider.status = 500
    assert [again.keys(provider.uri, 3600) for _ in range(3)] == [jwks("one")] * 3
    assert provider.asked == 4
    provider.status, provider.body = 200, jwks("two").encode()
    assert [again.keys(provider.uri, 3600) for _ in range(3)] == [jwks("two")] * 3
    assert provider.asked == 5


def test_keys_that_were_forgotten_are_fetched_though_their_time_is_not_over(
    provider: Provider, tmp_path
):
    keeper = Keeper(tmp_path, str)
    keeper.keys(provider.uri, 3600)
    FetchedKeys(tmp_path).forget_others(())
    assert keeper.keys(provider.uri, 3600) == jwks("one")
    assert FetchedKeys(tmp_path).text(provider.uri) == jwks("one")
    assert provider.asked == 2


def test_what_the_router_reads_says_what_it_asks():
    given = ProviderCheck(issuer="a", audiences=("b",), jwks="{}")
    seldom = given.model_copy(update={"issuer": "c", "jwks": "", "jwks_uri": f"{LOGIN}?of=a b&c=%"})
    often = seldom.model_copy(update={"issuer": "d", "refresh_s": 3})
    text = provider_file({one.name: one for one in (given, seldom, often)})
    asked = {
        "/?uri=https%3A%2F%2Flogin.test%2Fkeys%3Fof%3Da+b%26c%3D%25&good_for_s=50": 50,
        "/?uri=https%3A%2F%2Flogin.test%2Fkeys%3Fof%3Da+b%26c%3D%25&good_for_s=0": 0,
    }
    found = asked_in(text)
    assert found == {
        path: Asked(uri=f"{LOGIN}?of=a b&c=%", good_for_s=time_s) for path, time_s in asked.items()
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"resources": []}', '{"resources": [{"a": 1}]}'])
def test_a_damaged_file_of_checks_names_nothing_to_ask(text: str):
    assert asked_in(text) == {}


def test_only_what_the_router_has_to_ask_is_passed_on(provider: Provider, tmp_path):
    named = ProviderCheck(issuer="a", audiences=("b",), jwks_uri=provider.uri)
    (tmp_path / "provider").mkdir()
    server = KeyServer(tmp_path, str)
    server.start()
    paths = {name: f"/?{urlencode({'uri': provider.uri + name})}" for name in ("", "&secret=hush")}
    try:
        assert ask(tmp_path, paths[""]) == 503  # nothing is named yet
        checks = tmp_path / "provider" / "provider.json"
        checks.write_text(provider_file({named.name: named}))
        asked = f"/?{urlencode({'uri': provider.uri, 'good_for_s': 50})}"
        others = (*paths.values(), "/", "/?uri=", f"{asked}&", f"{asked}0", f"x{asked}")
        assert [ask(tmp_path, one) for one in others] == [503] * len(others)
        assert provider.asked == 0
        assert [ask(tmp_path, asked), provider.asked] == [200, 1]
    finally:
        server.shutdown()
        server.server_close()


def ask(folder: pathlib.Path, path: str) -> int:
    transport = httpx.HTTPTransport(uds=str(folder / "keys.sock"))
    with httpx.Client(transport=transport, base_url="http://keys") as client:
        return client.get(path).status_code


LOGIN = "https://login.test/keys"


@pytest.mark.parametrize(
    ("known", "asked", "said"),
    [
        (Fetched(at="NOW"), True, ""),
        (
            Fetched(at="NOW", fault="it answers 500"),
            True,
            f"keys cannot be fetched from {LOGIN}: it answers 500; those of NOW stay in force",
        ),
        (
            Fetched(fault="it answers 500"),
            True,
            f"keys cannot be fetched from {LOGIN}: it answers 500; none were fetched yet, so its"
            " tokens are refused",
        ),
        (
            Fetched(),
            True,
            f"keys of {LOGIN} are being fetched; none were fetched yet, so its tokens are refused",
        ),
        (
            Fetched(at="NOW"),
            False,
            f"nothing fetches the keys of {LOGIN}: apply the stack again;"
            " those of NOW stay in force",
        ),
    ],
)
def test_a_status_says_which_keys_are_in_force(known: Fetched, asked: bool, said: str):
    assert fetch_fault({LOGIN: known}, asked=asked) == said
