"""Which target a name means."""

from inference_provider.targets.base import Target
from inference_provider.targets.local.target import LocalTarget


def open_target() -> Target:
    """Return the target of this machine; its state folder is `$INFERENCE_STATE_DIR` or the user's.

    Other targets are refused by capability when planning, with a sentence.
    """
    return LocalTarget.open()
