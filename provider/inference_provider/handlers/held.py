"""What an engine keeps of one resource, as plain values: the same under every engine.

An adapter makes these from what its engine hands over, and writes them back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from inference_provider.compare import Change
from inference_provider.errors import Fault
from inference_provider.observed import Actor
from inference_provider.secret_text import Secrets
from inference_provider.spec import ChangeClass
from inference_provider.spec.target import Place
from inference_provider.workspace.ports import Progress, silent


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN
"""Stands for a value that is decided only when the program is applied."""

Fields = Mapping[str, Any]
"""JSON values by field, secrets in clear; `UNKNOWN` among them in a preview."""


@dataclass(frozen=True)
class Entry:
    """What stands for a resource in the state of an engine."""

    key: str = ""
    """Unique among all states: a URN; empty where it is not known."""
    name: str = ""
    """What the program calls it."""
    holder: str = ""
    """Whose state: `Pulumi stack 'dev' of project 'shop'`; empty where it is not known."""


@dataclass(frozen=True)
class Call:
    """On whose behalf a handler works, and who is told how far it is."""

    entry: Entry
    actor: Actor
    progress: Progress = silent


@dataclass(frozen=True)
class Inputs:
    """What a program declares of one resource."""

    fields: Fields
    """The spec's fields and, once they are checked, the inputs that follow from them."""
    owner: str = ""
    """Label of the stack that owns it."""
    placeholders: Secrets = ()
    """What placeholders of a stack file stood for in the fields."""
    place: Place | Unknown = "local"
    """Where its workspace is. A workspace says so itself, in `target`."""
    degraded: str = ""
    """Only from a read: what does not run as recorded. No program writes it, so an engine sees a
    difference, and the update that follows mends it."""
    held_by: str = ""
    """Only from a read: what the state's stack was called when it claimed this. An engine sees a
    difference, and the update that follows claims it under the new name."""


@dataclass(frozen=True)
class Held:
    """What a state holds of one resource that was made."""

    inputs: Inputs
    outputs: Fields = field(default_factory=dict)
    incarnation: str = ""
    """Empty in a state of an older release; `ONLY_READ` where a program reads by id."""


@dataclass(frozen=True)
class Checked:
    """Inputs with every default filled in, or all that is wrong with them."""

    inputs: Inputs
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Difference:
    """What an update would change."""

    changes: tuple[Change, ...]
    """In the fields, as `compare` tells them."""
    besides: bool
    """Whether anything differs that is not a field: the owner, the place, what a read found."""
    moves: bool = False
    """Whether its workspace is in another place, which needs a new resource; a workspace itself
    says so in a field."""
    delete_before_replace: bool = False

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes) or self.besides

    @property
    def replaces(self) -> tuple[str, ...]:
        """Fields whose change needs a new resource."""
        return self._of(ChangeClass.REPLACE)

    @property
    def rolls(self) -> tuple[str, ...]:
        """Fields whose change needs new instances beside the old."""
        return self._of(ChangeClass.ROLLING)

    def _of(self, change_class: ChangeClass) -> tuple[str, ...]:
        paths = (c.path.partition(".")[0] for c in self.changes if c.change_class == change_class)
        return tuple(dict.fromkeys(paths))
