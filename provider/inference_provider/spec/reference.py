"""Names of assets and images; `iris:1@sha256:<digest>` <-> its name, version, digest. Pure."""

from typing import Annotated, NamedTuple, Self

from pydantic import StringConstraints

_PREFIX, _LATEST, _DIGEST = "azureml:", "@latest", "@sha256:"

AssetReference = Annotated[
    str,
    StringConstraints(
        pattern=r"^(azureml:)?[a-zA-Z0-9][-_.a-zA-Z0-9]*"
        r"(@latest|:[a-zA-Z0-9][-_.a-zA-Z0-9]*(@sha256:[0-9a-f]{64})?)$"
    ),
]
"""`name:version`, `name@latest`, or `name:version@sha256:<digest>`; an `azureml:` prefix is
ignored. The digest pins the content, as in an OCI reference."""


_PART = r"[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*"

ImageName = Annotated[
    str,
    StringConstraints(
        pattern=rf"^([a-zA-Z0-9][-.a-zA-Z0-9]*(:\d+)?/)?{_PART}(/{_PART})*"
        r"(:[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,127})?(@sha256:[0-9a-f]{64})?$"
    ),
]
"""`registry.example.org:5000/team/name:tag`, or with `@sha256:<digest>`, or both.

Source: github.com/distribution/reference, the grammar of a reference
"""


class Reference(NamedTuple):
    """A model or environment as a deployment names it."""

    name: str
    version: str | None
    """None for `@latest`; empty when the text names none."""
    digest: str = ""
    """Hash of the content that it pins; empty when it pins none."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take any text apart, an invalid reference too; an `azureml:` prefix is dropped."""
        plain, _, digest = text.removeprefix(_PREFIX).partition(_DIGEST)
        if plain.endswith(_LATEST):
            return cls(plain.removesuffix(_LATEST), None, digest)
        name, _, version = plain.partition(":")
        return cls(name, version, digest)

    def __str__(self) -> str:
        return self.asset + (_DIGEST + self.digest if self.digest else "")

    @property
    def asset(self) -> str:
        """Itself without the digest: `name:version`, the name of the asset in its workspace."""
        if self.version is None:
            return self.name + _LATEST
        return f"{self.name}:{self.version}" if self.version else self.name

    def fits(self, name: str, version: str | None) -> bool:
        """Whether it names this version of an asset, as `@latest` does each."""
        return self.name == name and self.version in (None, version)


def version_order(version: str) -> tuple[int, int, str]:
    """Sort numeric versions by number (10 after 9), and after all other texts."""
    return (1, int(version), "") if version.isdigit() else (0, 0, version)


def with_short_digest(text: str) -> str:
    """Return a pinned reference, of an asset or an image, for display; other texts unchanged."""
    name, pin, digest = text.partition(_DIGEST)
    return f"{name}@{digest[:12]}" if pin else text
