"""As whom images are pulled, pushed and asked for: whom a workspace's connections name.

It holds in the block in which something is done for a workspace, in one thread; elsewhere, and for
an image that no connection is for, Docker's configuration says it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from inference_provider.workspace.registry_login import Login, ReadLogins


def nobody(_image: str) -> None:
    """Docker's configuration says as whom an image is pulled."""


_logins: ContextVar[ReadLogins] = ContextVar("logins", default=nobody)


@contextmanager
def signed_in(logins: ReadLogins) -> Iterator[None]:
    """For the time of a block, pull and push as users of a workspace's own."""
    before = _logins.set(logins)
    try:
        yield
    finally:
        _logins.reset(before)


def login_for(image: str) -> Login | None:
    """Return as whom an image is pulled or pushed; None for whom Docker's configuration names.

    Raises:
        SecretsInjectionError, SecretStoreUnreachable: The workspace's secret store does not say.
    """
    return _logins.get()(image)


def is_signed_in() -> bool:
    """Whether something is done for a workspace."""
    return _logins.get() is not nobody
