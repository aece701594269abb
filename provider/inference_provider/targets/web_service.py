"""A workspace's service over HTTP, wherever it runs: what it is to be, and what it tells."""

from collections.abc import Callable
from contextlib import suppress

from pydantic import ValidationError

from inference_provider.errors import TargetError
from inference_provider.router.provider import Fetched, fetch_fault
from inference_provider.router.scorers import provider_check
from inference_provider.spec.service import ServiceSettings
from inference_provider.workspace.state import State

PAGES = "pages"
"""The argument of one that serves the console too."""


def service_of(state: State) -> ServiceSettings | None:
    """Return where the service is to listen; None where it is to listen nowhere."""
    with suppress(ValidationError):  # of a newer release
        said = state.of_workspace("service")
        return ServiceSettings.model_validate(said) if said else None
    return None


def is_known(state: State) -> bool:
    """Whether records say what the service is to be.

    A corrupt one does not, nor one of a newer release: what runs stays as it is.
    """
    try:
        record = state.own_record()
        if record and (said := record.properties.get("service")):
            ServiceSettings.model_validate(said)
    except (TargetError, ValidationError):
        return False
    return True


def pages_of(settings: ServiceSettings) -> str:
    """Return the argument that says whether it serves the console."""
    return PAGES if settings.console else "no-pages"


def keys_uri(state: State) -> str:
    """Return the URL from which it fetches keys of an identity provider; empty for none."""
    check = provider_check(state.of_workspace("identity_provider"))
    return check.jwks_uri if check else ""


def unfetched(state: State, known: Callable[[str], Fetched]) -> str:
    """Say which keys of an identity provider it cannot fetch, and what it goes by meanwhile.

    Args:
        state: The workspace's.
        known: Returns what it knows of the keys of a URL.
    """
    uri = keys_uri(state)
    return fetch_fault({uri: known(uri)} if uri else {}, asked=True)
