"""Which files of a folder are not its content.

Goes in: the folder, and the stack file if that is in it. Comes out: whether a name is left out:
what tools make, what the folder's ignore file lists, the stack file, reports on it.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inference_provider.files.reading import Unreadable, read_text

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

SKIPPED_NAMES = frozenset({"__pycache__", ".git", ".venv", ".ipynb_checkpoints"})
"""Made by tools beside the content, never part of it."""

MODEL_IGNORES = (".amlignore",)
"""A model's .gitignore keeps weights out of git; they are content all the same."""
CODE_IGNORES = (".amlignore", ".gitignore")
"""The first one found in the folder is used, as in Azure ML; those of subfolders are not read."""
BUILD_IGNORES = (".dockerignore", ".amlignore")
"""A .gitignore often leaves out what an image is built of."""
IGNORE_FILE_MIB = 1

_REPORT = re.compile(
    rb"[-a-zA-Z0-9]+: \d+ drifted, \d+ missing, "
    rb'|\{\s*"stack": "[^"]*",\s*"verdict": "'
    rb"|# Drift of `"
    rb"|<\?xml [^>]*>\s*<testsuite name=.drift of "
)
"""How a drift report begins in each of its formats."""


class BadContent(ValueError):
    """A link is broken or circular, or an ignore file cannot be read."""


class LeftOut:
    """The names of one folder that are left out; relative to it, with `/`."""

    def __init__(self, folder: Path, ignores: tuple[str, ...], stack_file: str | None) -> None:
        self._stack_file = stack_file
        self._rules, self._can_return = _ignore_rules(ignore_file(folder, ignores))

    def leaves_out_folder(self, name: str) -> bool:
        """Whether nothing in it can be content."""
        if _base(name) in SKIPPED_NAMES:
            return True
        # A rule with `!` may include some of it again.
        return not self._can_return and self._ignores(f"{name}/")

    def leaves_out_file(self, name: str) -> bool:
        skipped = _base(name) in SKIPPED_NAMES or name.endswith(".pyc")
        return skipped or name == self._stack_file or self._ignores(name)

    def is_report(self, file: Path) -> bool:
        """Whether it is a drift report on the stack file of this folder."""
        if self._stack_file is None:
            return False
        if _is_own_output(file):
            return True
        with file.open("rb") as stream:
            return bool(_REPORT.match(stream.read(400)))

    def _ignores(self, name: str) -> bool:
        return self._rules is not None and self._rules.match_file(name)


def ignore_file(folder: Path, ignores: tuple[str, ...]) -> Path | None:
    """Return the ignore file that is used for a folder."""
    return next((folder / name for name in ignores if (folder / name).exists()), None)


def _ignore_rules(file: Path | None) -> tuple["GitIgnoreSpec | None", bool]:
    """Return an ignore file's rules, and whether one of them begins with `!`."""
    if file is None:
        return None, False
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - few folders have such a file

    lines = _text(file).splitlines()
    if file.name.endswith(".dockerignore"):
        lines = [_anchored(line) for line in lines]
    for number, line in enumerate(lines, start=1):
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error) as fault:
            reason = f"'{file.name}' line {number} is not a valid pattern"
            raise BadContent(f"{reason}; use the syntax of .gitignore") from fault
    return GitIgnoreSpec.from_lines(lines), any(line.startswith("!") for line in lines)


def _anchored(line: str) -> str:
    """Return a pattern of Docker's as one of git's: without a slash too it is one of the folder."""
    pattern = line.strip()
    if not pattern or pattern.startswith("#"):
        return ""
    sign, pattern = ("!", pattern[1:].strip()) if pattern.startswith("!") else ("", pattern)
    path = os.path.normpath(pattern).lstrip("/")
    return "" if path == "." else f"{sign}/{path}"


def _text(file: Path) -> str:
    try:
        return read_text(file, file.name, IGNORE_FILE_MIB)
    except Unreadable as exc:
        at = f" (line {exc.line})" if exc.line is not None else ""
        raise BadContent(f"{exc.reason}{at}; {exc.remedy or 'fix it, or remove it'}") from exc


def _is_own_output(file: Path) -> bool:
    """Whether it is what this command writes to: `inferctl drift > drift.xml` made it just now."""
    for stream in (1, 2):
        with suppress(OSError):  # a process may have neither
            if os.path.samestat(os.fstat(stream), file.stat()):
                return True
    return False


def _base(name: str) -> str:
    return name.rpartition("/")[2]
