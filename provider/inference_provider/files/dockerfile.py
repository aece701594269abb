"""What a person's Dockerfile asks of whoever builds it. Pure.

It is read only as far as that: what is wrong in it, its builder says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z]\w*)\s*=\s*(\S+)")
_SHELL_WORD = re.compile(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-+])((?:[^{}]|\{[^{}]*\})*))?\}|(\w+))")
_ASSIGNED = re.compile(r"\b(\w+)=(\"[^\"]*\"|'[^']*'|\S*)")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD", "ONBUILD")
_IMAGE = re.compile(
    r"(?!scratch$|\d+$)(?:[\w.-]+(?::\d+)?/)?[a-z0-9][a-z0-9._/-]*(?::[\w.-]+)?(?:@\w+:[0-9a-f]+)?",
    re.ASCII,
)
_OF_A_SESSION = re.compile(r"--mount=(?:.*,)?type=(secret|ssh)(?:,|$)")
_FROM = {
    "COPY": re.compile(r"--from=(.+)"),
    "RUN": re.compile(r"--mount=(?:.*,)?from=([^,]+)"),
}


class _Instruction(NamedTuple):
    line: int
    """Where it begins, from 1."""
    word: str
    rest: str

    def flags(self, kind: re.Pattern[str]) -> Iterator[str]:
        """Yield what some of its flags say; they stand before everything else."""
        found = (kind.match(flag) for flag in takewhile(_is_flag, self.rest.split()))
        yield from (one[1] for one in found if one)


class Unfit(NamedTuple):
    """A mount that only a builder beside its client can give."""

    line: int
    type: str
    """`secret` or `ssh`."""


def unfit_mounts(text: str) -> tuple[Unfit, ...]:
    """Return the mounts of a Dockerfile that a build without its client gets nothing for."""
    return tuple(
        Unfit(one.line, found)
        for one in _instructions(text)
        if one.word == "RUN"
        for found in one.flags(_OF_A_SESSION)
    )


def builds_nothing(text: str) -> bool:
    """Whether a Dockerfile has no stage. Engine 20.10 ends when it is sent one of arguments alone.

    What another frontend reads is none of ours.
    """
    return not any(_frontends(text)) and all(one.word != "FROM" for one in _instructions(text))


class _Stage(NamedTuple):
    name: str
    """In lower case, as it is compared; its number where it has none."""
    base: str
    """Empty where that is an image for another platform."""
    others: list[str]
    """What it copies or mounts from."""


def images_in(text: str, platform: tuple[str, str]) -> tuple[str, ...]:
    """Return the images that a Dockerfile is built with and on, in its order, each once.

    Those that depend on what only a build knows are left out, those for another platform, and those
    of stages that the last one does not need.

    Args:
        text: The Dockerfile.
        platform: System and architecture of the host that builds it.
    """
    stages = [*_stages(text, platform)]
    found, numbers = dict[int, list[str]](), [len(stages) - 1] if stages else []
    while numbers:
        at = numbers.pop()
        if at not in found:
            named = [(stages[at].base, stages[:at]), *((one, stages) for one in stages[at].others)]
            of_stages = [(name, _number_of(name, among)) for name, among in named]
            numbers += [number for _, number in of_stages if number is not None]
            found[at] = [name for name, number in of_stages if number is None]
    images = (name for at in sorted(found) for name in found[at] if _IMAGE.fullmatch(name))
    return tuple(dict.fromkeys([*_frontends(text), *images]))


def _stages(text: str, platform: tuple[str, str]) -> Iterator[_Stage]:
    given, stage, number = _of_platform(*platform), None, 0
    for one in _instructions(text):
        if one.word == "FROM":
            if stage:
                yield stage
            base = _base(one.rest, given)
            stage = _Stage(_name(one.rest) or str(number), base, [])
            number += 1
        elif one.word == "ARG" and stage is None:
            given |= {k: v.strip("\"'") for k, v in _ASSIGNED.findall(_filled(one.rest, given))}
        elif one.word in _FROM and stage:
            stage.others.extend(one.flags(_FROM[one.word]))
    if stage:
        yield stage


def _number_of(name: str, stages: Sequence[_Stage]) -> int | None:
    if name.isdecimal() and int(name) < len(stages):
        return int(name)
    numbers = [at for at, stage in enumerate(stages) if stage.name == name.lower()]
    return numbers[-1] if numbers else None


def _of_platform(system: str, architecture: str) -> dict[str, str]:
    """Return the arguments that each build has, where it is for the host that builds."""
    values = {"PLATFORM": f"{system}/{architecture}", "OS": system, "ARCH": architecture}
    return {f"{of}{name}": value for of in ("BUILD", "TARGET") for name, value in values.items()}


def _is_flag(word: str) -> bool:
    return word.startswith("--")


def _base(rest: str, given: Mapping[str, str]) -> str:
    own = f"--platform={given['BUILDPLATFORM']}"
    words = [word.strip("\"'") for word in _filled(rest, given).split()]
    return next((word for word in words if word != own), "")


def _name(rest: str) -> str:
    words = rest.split()
    return words[-1].lower() if len(words) > 2 and words[-2].upper() == "AS" else ""


def _filled(text: str, given: Mapping[str, str]) -> str:
    """Return a text with its variables in place; those that are not known stay."""

    def value(found: re.Match[str]) -> str:
        braced, how, other, plain = found.groups()
        known = given.get(braced or plain)
        if how and how.endswith("-") and not known:
            return _filled(other, given)
        if how and how.endswith("+"):
            return _filled(other, given) if known else ""
        return str(found[0]) if known is None else known

    return _VARIABLE.sub(value, text)


def _frontends(text: str) -> Iterator[str]:
    """Yield the image that reads the Dockerfile, where its first lines name one."""
    yield from (value for name, value in _directives(text) if name == "syntax")


def _directives(text: str) -> Iterator[tuple[str, str]]:
    for line in _lines(text):
        found = _DIRECTIVE.match(line.strip())
        if not found:
            return
        yield found[1].lower(), found[2]


def _instructions(text: str) -> Iterator[_Instruction]:
    """Yield the instructions without comments, each on one line, and without their heredocs."""
    escape = re.escape(dict(_directives(text)).get("escape", "\\"))
    goes_on = re.compile(rf"(?<!{escape}){escape}[ \t]*$")
    lines = iter(enumerate(_lines(text), 1))
    for number, line in lines:
        if _says_nothing(line):
            continue
        written = _joined(line, lines, goes_on)
        word, *rest = written.split(None, 1) or [""]
        yield _Instruction(number, word.upper(), "".join(rest).strip())
        if word.upper() in _WITH_HEREDOCS:
            for tabs, end in _heredocs(written):
                _skip(lines, end, bool(tabs))


def _lines(text: str) -> list[str]:
    """Return lines as a builder knows them: not every separator that Python knows ends one."""
    return text.lstrip("\ufeff").replace("\r\n", "\n").split("\n")


def _says_nothing(line: str) -> bool:
    plain = line.strip()
    return not plain or plain.startswith("#")


def _joined(first: str, lines: Iterator[tuple[int, str]], goes_on: re.Pattern[str]) -> str:
    """Return a line and those that continue it; comments and empty ones between are passed over."""
    parts = [first]
    while goes_on.search(parts[-1]):
        parts[-1] = goes_on.sub("", parts[-1])
        parts += [next((line for _, line in lines if not _says_nothing(line)), "")]
    return "".join(parts)


def _heredocs(written: str) -> Iterator[tuple[str, str]]:
    """Yield of each heredoc whether tabs go before its end, and that end."""
    for word in _SHELL_WORD.findall(written):
        if begun := _HEREDOC.fullmatch(word):
            yield begun[1], begun[2].strip("\"'")


def _skip(lines: Iterator[tuple[int, str]], end: str, tabs: bool) -> None:
    for _, line in lines:
        if (line.lstrip("\t") if tabs else line) == end:
            return
