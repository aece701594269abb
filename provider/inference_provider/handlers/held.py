"""What an engine stores about one resource, as plain values: the same for every engine.

An adapter converts what its engine passes into these, and back.
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
"""Takes the place of a value that is known only when the program is applied."""

Fields = Mapping[str, Any]
"""JSON values by field, secrets in clear text; some are `UNKNOWN` in a preview."""


@dataclass(frozen=True)
class Entry:
    """The entry that stands for a resource in an engine's state."""

    key: str = ""
    """Unique among all states: a URN; empty if unknown."""
    name: str = ""
    """Its name in the program."""
    holder: str = ""
    """Whose state: `Pulumi stack 'dev' of project 'shop'`; empty if unknown."""


@dataclass(frozen=True)
class Call:
    """For whom a handler works, and to whom it reports progress."""

    entry: Entry
    actor: Actor
    progress: Progress = silent


@dataclass(frozen=True)
class Inputs:
    """What a program declares about one resource."""

    fields: Fields
    """The spec's fields and, after a check, the inputs computed from them."""
    owner: str = ""
    """Label of the stack that owns it."""
    placeholders: Secrets = ()
    """Values of a stack file's placeholders in the fields."""
    place: Place | Unknown = "local"
    """Where its workspace is; for a workspace itself, its field `target` says that."""
    home: Mapping[str, str] = field(default_factory=dict)
    """Set by a check: ids of what the place leads to. Places that differ in words alone have the
    same, and one place has others when a context or a host's name leads somewhere else."""
    degraded: str = ""
    """Set only by a read: what does not run as recorded. No program sets it, so the engine sees a
    difference, and the update that follows repairs it."""
    held_by: str = ""
    """Set only by a read: the name that the state's stack had when it claimed this. The engine sees
    a difference, and the update that follows claims it under the new name."""


@dataclass(frozen=True)
class Held:
    """What a state holds about one created resource."""

    inputs: Inputs
    outputs: Fields = field(default_factory=dict)
    incarnation: str = ""
    """Empty in a state of an older release; `ONLY_READ` when a program reads by id."""


@dataclass(frozen=True)
class Checked:
    """Inputs with every default filled in, or all their faults."""

    inputs: Inputs
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Difference:
    """What an update would change."""

    changes: tuple[Change, ...]
    """Changes of fields, from `compare`."""
    besides: bool
    """Whether anything but a field differs: the owner, the place, or what a read found."""
    moves: bool = False
    """Whether its workspace is in another place, which needs a new resource; for a workspace itself
    that is the change of a field."""
    led_elsewhere: bool = False
    """Whether the place leads to something else than it did, which needs a new resource too."""
    delete_before_replace: bool = False

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes) or self.besides or self.led_elsewhere

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
