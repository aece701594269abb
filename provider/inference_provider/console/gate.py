"""Who may use the console: whoever opens the link that its terminal shows.

A link works once. It gives the browser a cookie, and each page a token that its forms send back,
which another site's page cannot know.
"""

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256

MAX_BROWSERS = 50
"""Browsers that are signed in at once; the one that came first goes."""


class Browsers:
    """The browsers that are signed in, each with what it has shown for that."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._shown: dict[str, str] = {}

    def _admit(self, shown: str) -> str:
        """Return the cookie of one more."""
        browser = secrets.token_urlsafe(32)
        self._shown[_digest(browser)] = shown
        while len(self._shown) > MAX_BROWSERS:
            self._shown.pop(next(iter(self._shown)))
        return browser

    def shown_by(self, browser: str) -> str | None:
        """Return what a browser has shown; None of one that is not signed in."""
        return self._shown.get(_digest(browser)) if browser else None

    def knows(self, browser: str) -> bool:
        """Whether a cookie is of a browser that is signed in."""
        return self.shown_by(browser) is not None

    def sign_out(self, browser: str) -> None:
        self._shown.pop(_digest(browser), None)

    def form_token(self, browser: str) -> str:
        """Return what every form sends back that a browser got from here."""
        return hmac.new(self._key, browser.encode(), sha256).hexdigest()

    def is_own_form(self, browser: str, token: str) -> bool:
        return _same(token, self.form_token(browser))


class Gate(Browsers):
    """Links that sign a browser in, and the browsers that are."""

    def __init__(self, tell: Callable[[str, bool], None]) -> None:
        """Begin with one link.

        Args:
            tell: Told the token of each link, and whether it is the first.
        """
        super().__init__()
        self._tell = tell
        self._link = ""
        self._renew(first=True)

    def _renew(self, *, first: bool) -> None:
        self._link = secrets.token_urlsafe(32)
        self._tell(self._link, first)

    def sign_in(self, token: str) -> str:
        """Return a cookie for the token of the link; empty for a wrong or used one."""
        if not _same(token, self._link):
            return ""
        browser = self._admit("")
        self._renew(first=False)
        return browser


def _digest(text: str) -> str:
    return sha256(text.encode(errors="replace")).hexdigest()


def _same(one: str, other: str) -> bool:
    """Compare in a time that says nothing about where they differ."""
    return hmac.compare_digest(_digest(one), _digest(other))
