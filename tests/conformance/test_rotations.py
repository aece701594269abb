"""Credentials and certificates are replaced under constant load, and no request fails."""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from inference_provider.observed import Kind
from tests.conformance.conftest import REAL
from tests.conformance.labs import ANN

pytestmark = pytest.mark.timeout(280)
PAUSE_S = 0.01
ROUNDS = 2
ENOUGH = 25
"""Requests that each caller has answered before the next credential is replaced."""


@pytest.fixture
def certified(lab):
    """A lab on TLS with two endpoints: iris takes keys, rose takes tokens."""
    lab.desired = (lab.space(tls={"generate": True}), *lab.desired[1:])
    lab.up()
    many = {"max_concurrent_requests_per_instance": 64}
    lab.apply(
        lab.deployment(request_settings=many),
        lab.endpoint("rose", auth_mode="aml_token"),
        lab.deployment(endpoint="rose", request_settings=many),
        lab.traffic("rose", blue=100),
    )
    return lab


class Caller:
    """Requests to one endpoint, one after the other, with a credential that may be changed."""

    def __init__(self, lab, endpoint: str, credential: str, *, keeps_connection: bool) -> None:
        self.answers: Counter[str] = Counter()
        self.credential = credential
        self._keeps = keeps_connection
        self._host = urlsplit(lab.router.address().url).hostname
        self._url = f"https://{urlsplit(lab.router_url).netloc}/endpoints/{endpoint}/score"
        space = lab.target.observe_one(lab.of(Kind.WORKSPACE).id)
        self._trusted = ssl.create_default_context(cadata=space.outputs["ca_certificate"])
        self._transport = {"verify": self._trusted, "retries": lab.connections - 1}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def calling(self) -> Iterator["Caller"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()

    def await_more(self) -> None:
        """Wait until requests that began after this call have been answered."""
        before, until_s = self.answers.total(), time.monotonic() + 60
        while self.answers.total() < before + ENOUGH:
            assert time.monotonic() < until_s, f"{self._url} answered {dict(self.answers)}"
            time.sleep(PAUSE_S)

    def _run(self) -> None:
        with ExitStack() as kept:
            client = kept.enter_context(self._client())
            while not self._over.is_set():
                if not self._keeps:
                    kept.close()
                    client = kept.enter_context(self._client())
                self.answers[self._answer(client)] += 1
                time.sleep(PAUSE_S)

    def _client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(**self._transport)
        return httpx.Client(transport=transport, timeout=20, trust_env=False)

    def _answer(self, client: httpx.Client) -> str:
        headers = {"authorization": f"Bearer {self.credential}", "host": self._host}
        request = client.build_request("POST", self._url, headers=headers)
        request.extensions["sni_hostname"] = self._host
        try:
            return str(client.send(request).status_code)
        except httpx.TransportError as fault:
            return f"{type(fault).__name__}: {fault}"


@pytest.mark.parametrize("opened", REAL, indirect=True)
def test_keys_tokens_signing_keys_and_certificates_are_rotated_and_no_request_fails(certified):
    iris, rose = (certified.id(Kind.ENDPOINT, name) for name in ("iris", "rose"))
    shown = set()

    def token() -> str:
        issued = certified.target.token(rose, timedelta(minutes=30), ANN)
        return issued.value.get_secret_value()

    def key(which: int) -> str:
        return certified.keys()[which]

    def rotate_keys(callers: list[Caller]) -> None:
        for stays, which in ((0, "secondary"), (1, "primary")):
            use(callers, partial(key, stays))
            certified.target.rotate_key(iris, which, ANN)
            await_all(callers)
        shown.add(certified.keys())

    def rotate_signing(callers: list[Caller]) -> None:
        certified.target.rotate_key(rose, "signing", ANN)
        await_all(callers)
        use(callers, token)

    with ExitStack() as calling:
        both = (True, False)
        with_keys = [Caller(certified, "iris", key(0), keeps_connection=one) for one in both]
        with_tokens = [Caller(certified, "rose", token(), keeps_connection=one) for one in both]
        everybody = [*with_keys, *with_tokens]
        for one in everybody:
            calling.enter_context(one.calling())
        for number in range(ROUNDS):
            rotate_keys(with_keys)
            rotate_signing(with_tokens)
            names = [f"models-{number}.example.org"]
            certified.apply(certified.space(tls={"generate": True, "names": names}))
            await_all(everybody)
    assert [{*one.answers} for one in everybody] == [{"200"}] * 4
    assert len(shown) == ROUNDS


def use(callers: list[Caller], credential: Callable[[], str]) -> None:
    """Have callers take another credential, and their last request with the one before ended."""
    for one in callers:
        one.credential = credential()
    await_all(callers)


def await_all(callers: list[Caller]) -> None:
    for one in callers:
        one.await_more()
