"""The error for a kept document that cannot be read, by what it was."""

from inference_provider.errors import TargetError

SHIFTS, SUBJECTS = "shifts", "subjects"
_REMEDIES = {
    SHIFTS: "restore it, or split the traffic of its endpoint by hand, which drops it; until then"
    " its requests go by the split that is in force. Only moved away, it lets what is recorded have"
    " all requests at once, be it the version that failed",
    SUBJECTS: "restore it; once it is moved away, no token counts that was made for this identity",
}
"""By section, where making the document again would do harm."""
_REMEDY = "restore it, or move it away and apply the stack again to recreate it"


def corrupt(place: str, section: str = "") -> TargetError:
    """Return the error for a corrupt document. Never quotes it: it may hold a key."""
    return TargetError("read", place, "file is corrupt", _REMEDIES.get(section, _REMEDY))
