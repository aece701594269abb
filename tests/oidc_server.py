"""An OpenID Connect provider of a package index, as a process of its own on this machine."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

_START_S = 30
_BACK = "http://127.0.0.1/back"


class Provider:
    """One provider; another start has another signing key, and forgets everybody."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.issuer = f"http://{host}:{port}"
        self._command = (
            *(sys.executable, "-W", "ignore", "-m", "oidc_provider_mock"),
            *("--host", host, "--port", str(port)),
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def jwks_uri(self) -> str:
        return f"{self.issuer}/jwks"

    def jwks(self) -> str:
        return httpx.get(self.jwks_uri).text

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                self.jwks()
                return
            assert time.monotonic() < deadline_s, "the provider does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def rotate(self) -> None:
        """Give it another signing key, at the same address."""
        self.stop()
        self.start()

    def token(self, caller: str, audience: str = "chat", **claims: Any) -> str:
        """Return an ID token, by the authorization code flow of a browser."""
        httpx.put(f"{self.issuer}/users/{caller}", json=claims).raise_for_status()
        asked = {
            "client_id": audience,
            "redirect_uri": _BACK,
            "response_type": "code",
            "scope": "openid",
        }
        login = f"{self.issuer}/oauth2/authorize"
        answer = httpx.post(login, params=asked, data={"sub": caller})
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": _BACK}
        found = httpx.post(f"{self.issuer}/oauth2/token", data=form, auth=(audience, "secret"))
        token: str = found.raise_for_status().json()["id_token"]
        return token


@contextlib.contextmanager
def provider(port: int, host: str = "127.0.0.1") -> Iterator[Provider]:
    found = Provider(port, host)
    found.start()
    try:
        yield found
    finally:
        found.stop()
