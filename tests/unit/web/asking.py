"""A workspace in memory and its service, asked over HTTP without a socket."""

import asyncio
import json

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from tests.unit.test_desk import BEN, issued, up

from inference_provider.targets.memory import MemoryTarget
from inference_provider.web.application import Service, application
from inference_provider.web.log import Log
from inference_provider.web.refusals import Refusals

NOBODY = {"error": {"code": "Unauthorized", "message": "Show a token: `Authorization: Bearer …`."}}
NOT_YOURS = {
    "error": {
        "code": "Forbidden",
        "message": "You may not do this, or there is no such endpoint.",
    }
}
PROVIDER = rsa.generate_private_key(65537, 2048)
KEYS = json.dumps(
    {"keys": [{**json.loads(RSAAlgorithm.to_jwk(PROVIDER.public_key())), "kid": "p"}]}
)
LOGIN = {"issuer": "https://login.example.org/lab", "audience": "api://lab"}
FETCHED = {**LOGIN, "jwks_uri": "https://login.example.org/keys"}


class Asking:
    """A workspace in memory, and its service."""

    def __init__(self, *assignments, **more) -> None:
        self.target = MemoryTarget()
        up(self.target, *assignments, **more)
        self.desk = self.target.desk("lab")
        self.now_s = 1.0
        self.sources: tuple[str, ...] | None = ()
        self.log: list[str] = []
        log = Log(self.log.append, lambda: self.now_s)
        self.service = Service(
            self.desk,
            lambda _uri: KEYS,
            Refusals(self.note_refused, lambda: self.now_s, log),
            lambda: "http://127.0.0.1:18080",
            lambda: self.sources,
            clock=lambda: self.now_s,
            log=log,
        )
        self.app = application(self.service)

    def note_refused(self, what: str, why: str, who: str) -> None:
        self.desk.note_refused(what, why, who)

    def corrupt(self, section: str, name: str) -> None:
        self.target.memory.ports("lab").records.put(section, name, "half")

    def token(self, who=BEN, groups=()) -> str:
        return issued(self.target, who, groups).value.get_secret_value()

    def ask(self, method: str, path: str, token: str = "", client="127.0.0.1", **given):
        headers = list(given.pop("headers", ()))
        if token:
            headers.append(("authorization", f"Bearer {token}"))

        async def once() -> httpx.Response:
            way = httpx.ASGITransport(self.app, client=(client, 1))
            async with httpx.AsyncClient(transport=way, base_url="http://127.0.0.1:1") as asker:
                return await asker.request(method, path, headers=headers, **given)

        return asyncio.run(once())

    def get_token(self, token: str = "", endpoint: str = "iris", **given) -> httpx.Response:
        return self.ask("POST", f"/endpoints/{endpoint}/token", token, **given)


NOT_NOW = {
    "error": {
        "code": "ServiceUnavailable",
        "message": "The records of the workspace cannot be used now. Ask again later.",
    }
}
