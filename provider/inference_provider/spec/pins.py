"""A requirement -> on which side of a release all those lie that it takes. Pure."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import Specifier


def name_of(requirement: str) -> str:
    """Return the name that a requirement begins with, as PyPI compares names."""
    found = re.match(r"[-_.a-zA-Z0-9]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def lies_before(requirement: str, release: str) -> bool:
    """Whether every release that a requirement takes comes before `release`; one by URL may not."""
    parsed = _parsed(requirement)
    return parsed is not None and any(_before(one, release) for one in parsed.specifier)


def lies_from(requirement: str, release: str) -> bool:
    """Whether every release that a requirement takes is `release`, or comes after it."""
    parsed = _parsed(requirement)
    return parsed is not None and any(_from(one, release) for one in parsed.specifier)


def takes(requirement: str, release: str) -> bool:
    """Whether a release is one of those that a requirement takes; of a URL nobody knows."""
    parsed = _parsed(requirement)
    return parsed is not None and parsed.url is None and parsed.specifier.contains(release)


def _parsed(requirement: str) -> "Requirement | None":
    # takes 20 ms, and few environments have such a requirement
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    plain = (" " + requirement).partition(" #")[0].partition(" --hash")[0].strip()
    try:
        return Requirement(plain)
    except InvalidRequirement:
        return None


def _before(one: "Specifier", release: str) -> bool:
    from packaging.version import Version  # noqa: PLC0415 - as above

    # The last number of `~=1.2.3` may rise, so it is `1.2.*`.
    prefix = one.operator == "~=" or one.version.endswith(".*")
    version = one.version.removesuffix(".*")
    version = version.rpartition(".")[0] if one.operator == "~=" else version
    if one.operator in ("==", "===", "~=") and prefix:
        begun = Version(version).release
        return begun < Version(release).release[: len(begun)]
    if one.operator in ("==", "===", "<=", "<"):
        least = Version(version)
        return least <= Version(release) if one.operator == "<" else least < Version(release)
    return False


def _from(one: "Specifier", release: str) -> bool:
    from packaging.version import Version  # noqa: PLC0415 - as above

    if one.operator not in ("==", "===", "~=", ">=", ">"):
        return False
    return Version(one.version.removesuffix(".*")) >= Version(release)
