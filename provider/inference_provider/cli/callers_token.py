"""The token of who runs a command, for endpoints that take those of an identity provider."""

import os

from inference_provider.errors import TargetError
from inference_provider.observed import ResourceId

TOKEN_VARIABLE = "INFERENCE_TOKEN"
"""Holds it."""


def token_of_shell(endpoint: ResourceId) -> str:
    """Return it. Raises TargetError where there is none, or anything else."""
    # not an option: it would stay in the shell's history, and show in the list of processes
    text = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not text:
        reason = "it takes tokens of the workspace's identity_provider"
        remedy = f"get one there, and put it into ${TOKEN_VARIABLE}"
        raise TargetError("score", str(endpoint), reason, remedy)
    if not (text.isascii() and text.isprintable()) or " " in text:
        reason = f"${TOKEN_VARIABLE} does not hold a token"
        raise TargetError("score", str(endpoint), reason, "put the token alone into it")
    return text
