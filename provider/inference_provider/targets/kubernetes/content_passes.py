"""Who may change the content of a workspace: what a request shows, and what that allows. Pure.

Instances run what users write, and reach the content pod as init containers do. So writing, and the
list of what there is, need the token of the workspace, which only its clients read. A pod that
builds an environment has a pass for that one. Imports only the standard library.
"""

import hashlib
import hmac

HEADER = "X-Inference-Pass"
VARIABLE = "INFERENCE_CONTENT_PASS"
"""Of the content pod the token, of a pod that builds an environment its pass."""
TOKEN = "token"
"""Key of the Secret that holds it."""


def public_id(token: str) -> str:
    """Return what tells a workspace from others for everybody to read, and opens nothing."""
    return hashlib.sha256(f"workspace {token}".encode()).hexdigest()[:32]


def environment_pass(token: str, key: str) -> str:
    """Return what lets a pod put the environment of a key; empty without a token."""
    signed = hmac.new(token.encode(), key.encode(), hashlib.sha256).hexdigest()
    return f"{key}.{signed}" if token else ""


def digest_of(token: str, text: str) -> str:
    """Return what tells a text from others, and by which nobody without the token can guess it."""
    return hmac.new(token.encode(), f"digest {text}".encode(), hashlib.sha256).hexdigest()[:32]


def may_change(token: str, shown: str) -> bool:
    """Whether somebody may change everything."""
    return not token or hmac.compare_digest(shown.encode(), token.encode())


def may_put(token: str, shown: str, environment: str = "") -> bool:
    """Whether somebody may put an archive or, if named, give one the name of an environment."""
    if may_change(token, shown):
        return True
    key = shown.partition(".")[0]
    signed = environment_pass(token, key)
    fits = not environment or environment.partition(".")[0] == key
    return fits and hmac.compare_digest(shown.encode(), signed.encode())
