"""What uv, or any command, printed -> the cause of its failure. Pure."""

SHOWN_LINES = 6
_SHOWN = 800


def cause_in(text: str) -> str:
    """Return what went wrong, in one line; secrets must be out of the text already."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # uv names its own temporary files in passing; the cause starts at its error line.
    starts = [i for i, line in enumerate(lines) if line.startswith("error")]
    return " ".join(lines[starts[0] :][:SHOWN_LINES])[:_SHOWN] if starts else end_of(text)


def end_of(text: str) -> str:
    """Return the last lines in one; what a command of any kind says last is why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = " ".join(lines[-SHOWN_LINES:])
    return said if len(said) <= _SHOWN else f"…{said[-_SHOWN:]}"


def says_disk_is_full(text: str) -> bool:
    """Whether the disk was full."""
    return "no space left on device" in text.lower() or "os error 28" in text
