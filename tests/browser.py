"""The console as a browser asks it, without a socket between."""

import re
from html import unescape
from pathlib import Path

from starlette.testclient import TestClient

from inference_provider.cli.session import Session
from inference_provider.console.application import application
from inference_provider.console.gate import Gate
from inference_provider.console.opened import Console

PORT = 18090
SITE = f"http://127.0.0.1:{PORT}"


class Browser:
    """One browser, and the console that it asks; signed in by its link."""

    def __init__(self, target, file: Path | None = None, *, writes=False, transport=None) -> None:
        self.target, self.links = target, []
        session = Session(make_target=lambda _place: target, transport=transport)
        session.command = "console"
        if file:
            session.read_name(file)
        assert session.target is target  # opened by this thread, as by the command
        gate = Gate(lambda token, _first: self.links.append(token))
        console = Console(session, gate, file, writes)
        self.app = application(console, PORT)
        self.client = self.another()

    def another(self, *, signed_in=True):
        """Return a client of its own."""
        client = TestClient(self.app, base_url=SITE, follow_redirects=False)
        if signed_in:
            assert client.get(f"/login?token={self.links[-1]}").status_code == 200
        return client

    def get(self, path, **options):
        return self.client.get(path, **options)

    def text(self, path):
        """Return what a page says, without its tags."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return words(answer)

    def token(self):
        return re.search('name="form_token" value="([0-9a-f]{64})"', self.get("/").text)[1]

    def post(self, path, fields=None, *, token=None, headers=None, **options):
        """Send a form of a page."""
        sent = {"form_token": self.token() if token is None else token, **(fields or {})}
        return self.client.post(
            path, data=sent, headers={"origin": SITE} | (headers or {}), **options
        )


def words(answer) -> str:
    """Return what an answer says, without its tags and in one line."""
    body = answer.text.partition("<main")[2]
    return " ".join(unescape(re.sub("<[^>]*>", " ", body)).split())
