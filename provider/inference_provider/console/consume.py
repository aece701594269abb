"""How to call an endpoint: its address, programs, and its keys once somebody asks to see them."""

from datetime import timedelta

from starlette.responses import Response

from inference_provider.cli.keys import read_keys
from inference_provider.console.answers import Refused
from inference_provider.console.opened import Asked
from inference_provider.console.samples import samples
from inference_provider.console.seen import seen
from inference_provider.observed import ObservedResource, ObservedState, ResourceId

TOKEN_LIFETIME = timedelta(minutes=30)
CERTIFICATE = "ca.pem"
"""The file in which the programs look for the workspace's authority."""


def consume(asked: Asked) -> Response:
    there, observed = asked.endpoint()
    return _page(asked, there, observed, {})


def reveal(asked: Asked) -> Response:
    """Show the keys in the answer to this request alone; the journal says who reads them.

    Of an endpoint that takes tokens, issue and show one.
    """
    there, observed = asked.endpoint()
    actor = asked.console.session.actor("keys show")
    mode = there.properties.get("auth_mode")
    if mode == "aml_token":
        issued = asked.console.target.token(there.id, TOKEN_LIFETIME, actor)
        return _page(asked, there, observed, {"token": issued.value.get_secret_value()})
    if mode == "aad_token":
        raise Refused(409, "Tokens for this endpoint come from the workspace's identity_provider.")
    return _page(asked, there, observed, read_keys(asked.console.target, there, actor))


def _page(
    asked: Asked, there: ObservedResource, observed: ObservedState, revealed: dict[str, str]
) -> Response:
    url = there.outputs.get("scoring_uri", "")
    space = observed.get(ResourceId.of_workspace(there.id.workspace))
    certificate = space.outputs.get("ca_certificate", "") if url.startswith("https:") else ""
    return asked.page(
        "consume",
        seen=seen(there, observed),
        mode=there.properties.get("auth_mode"),
        has=sorted(there.secret_outputs),
        revealed=revealed,
        certificate=certificate,
        certificate_file=CERTIFICATE,
        samples=samples(url, CERTIFICATE if certificate else ""),
    )
