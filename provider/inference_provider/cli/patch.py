"""Two texts of a stack file -> the unified diff of them that shows no secret. Pure.

`patch` and `git apply` take a hunk that has as much context before it as behind it, at least a
line: so all of a patch has less context where more would show a secret.
"""

import difflib

from inference_provider.files.secret_lines import secret_lines

_CONTEXTS = (3, 2, 1)
"""Lines around what changes, the most first."""


def patch(path: str, before: str, after: str) -> str:
    """Return a unified diff that `patch -p1` and `git apply` take.

    Its context is as wide as shows no secret; see `secret_shown` for where none is.
    """
    old, new = (_lines(text) for text in (before, after))
    tab = "\t" if " " in path else ""
    wide = next((n for n in _CONTEXTS if not _shown(before, after, n)), _CONTEXTS[-1])
    unended = "\n\\ No newline at end of file\n"
    lines = difflib.unified_diff(old, new, f"a/{path}{tab}", f"b/{path}{tab}", n=wide)
    return "".join(line if line.endswith("\n") else line + unended for line in lines)


def secret_shown(before: str, after: str) -> int | None:
    """Return the first line, from 1, of a secret that every patch would show; else None."""
    shown = _shown(before, after, _CONTEXTS[-1])
    return min(shown) + 1 if shown else None


def _shown(before: str, after: str, context: int) -> set[int]:
    """Return the lines of the first text, from 0, at which a patch shows a secret."""
    old, new = (_lines(text) for text in (before, after))
    secrets, added = secret_lines(before), secret_lines(after)
    shown: set[int] = set()
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(context):
        for _, begin, end, new_begin, new_end in group:
            shown |= secrets.intersection(range(begin, end))
            shown |= {begin} if added.intersection(range(new_begin, new_end)) else set()
    return shown


def _lines(text: str) -> list[str]:
    """Return lines with their ends; YAML's other line ends are none of a patch."""
    lines = text.split("\n")
    return (
        [*(f"{line}\n" for line in lines[:-1]), *lines[-1:]]
        if lines[-1]
        else [f"{line}\n" for line in lines[:-1]]
    )
