"""A place -> the target that is there."""

from inference_provider.errors import CapabilityMissing
from inference_provider.spec.target import Place, kind_of
from inference_provider.targets.base import Target
from inference_provider.targets.local.target import LocalTarget


def open_target(place: Place = "local") -> Target:
    """Open what a place names.

    `local` has its state folder at `$INFERENCE_STATE_DIR`, or in the user's own. A memory target is
    made by the test that uses it, and kept from users.

    Raises:
        CapabilityMissing: No target of that kind is supported yet.
    """
    kind = kind_of(place)
    if kind != "local":
        raise CapabilityMissing("open", f"target '{kind}'", "not supported yet", "use 'local'")
    return LocalTarget.open()
