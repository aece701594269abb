"""One requirement of an environment -> what is wrong with it, if anything.

Environments are cached by the text of their requirements and shared by all stacks of a machine. So
the text must fully determine what is installed: a path means another package in another folder, and
other content tomorrow. Values are never shown: the URL of an index may contain a password.
"""

import re
from urllib.parse import urlsplit

_HASHES = re.compile(r"(\s+--hash[= ](sha256|sha384|sha512):[0-9a-fA-F]+)+\s*$")
"""What `pip-compile --generate-hashes` writes; uv checks what it downloads against them."""
_ARCHIVE = re.compile(r"\.(whl|zip|tar(\.\w+)?|t(gz|bz|bz2|lz|xz))$", re.IGNORECASE)
_PATH = re.compile(r"^[.~/]|^\w+:\\|[/\\]")

_NO_PATH = (
    "a path is not supported, because its content can change while its text stays the same",
    "publish a wheel to a package index, or put the package into the code folder",
)
_NO_NAME = ("a URL without a name", "write it as NAME @ URL")


def requirement_fault(text: str) -> tuple[str, str] | None:
    """Return what is wrong with one requirement, and what to do; None if it is valid."""
    plain = (" " + text).partition(" #")[0].strip()  # pip's rule of comments
    if "\n" in plain or "\r" in plain:
        return "more than one line", "write one requirement per item"
    if plain.startswith("-"):
        return _option(plain)
    plain = _HASHES.sub("", plain)
    found = re.search(r"\s(--?[a-zA-Z][-\w]*)", plain)
    if found and ";" not in plain[: found.start()]:
        return _option(found[1])
    return _no_requirement(plain)


def _option(text: str) -> tuple[str, str]:
    # The option's value may hold a password of an index; only its name is shown.
    option = re.split(r"[\s=]", text, maxsplit=1)[0]
    if option in ("-e", "--editable"):
        return f"the option '{option}' names a path", _NO_PATH[1]
    remedy = "list requirements only; set the index with UV_INDEX_URL"
    return f"the option '{option}' is not supported", remedy


def _no_requirement(plain: str) -> tuple[str, str] | None:
    # takes 20 ms, and many stacks have no requirements
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    try:
        requirement = Requirement(plain)
    except InvalidRequirement:
        if "://" in plain.partition(" ")[0]:
            return _NO_PATH if plain.startswith("file:") else _NO_NAME
        if _PATH.search(plain.partition(";")[0].partition("@")[0]) or plain.startswith("file:"):
            return _NO_PATH
        return "not a valid requirement (PEP 508)", "write it like 'numpy>=2,<3'"
    if _ARCHIVE.search(requirement.name):
        return _NO_PATH
    if requirement.url is not None:
        scheme = urlsplit(requirement.url).scheme
        if not scheme or scheme.rpartition("+")[2] == "file":
            return _NO_PATH
    return None
