"""Whether this client and the pods of a workspace understand each other. Pure.

Pods run the runtime image, which somebody has made with some release of this package; clients of
several releases may use one workspace. Imports only the standard library.
"""

from inference_provider import __version__

HEADER = "X-Inference-Release"
"""Of each answer of a pod."""
FORMAT = 2
"""Of records, and of what is asked of pods: another number when either means something else, or has
what pods must not overlook. 2: TLS, limits and identity providers of the router."""


def this_release() -> str:
    """Return what a pod says of itself: the format, and the release for people."""
    return f"{FORMAT} {__version__}"


def other_release(said: str) -> tuple[str, str] | None:
    """Return why an answer is not understood, and what to do; None when it is.

    Args:
        said: The answer's header; empty when it has none.
    """
    number, _, release = said.partition(" ")
    if number == str(FORMAT):
        return None
    theirs = f"release {release}" if release else "an older release"
    reason = f"its image is of {theirs}, this client of {__version__}: they do not fit together"
    remedy = (
        "set `runtime_image` to one that this release has made (`inferctl image build --push`),"
        " run `inferctl up` where the workspace has a registry instead, or use the release that has"
        " made theirs"
    )
    return reason, remedy
