"""Why a program cannot have what it declares: another entry, stack or state has it.

This is as far as a preview can know; the target checks again when the program is applied.
"""

from collections.abc import Iterator

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, HeldByAnother, OwnedByAnother
from inference_provider.handlers.claims import claim_of
from inference_provider.handlers.held import Entry
from inference_provider.handlers.places import Located, Site
from inference_provider.handlers.program import Program
from inference_provider.observed import ObservedResource, ObservedState, Presence
from inference_provider.ownership import refuse_others
from inference_provider.plan import plan
from inference_provider.sharing import is_shared, refuse_what_is_owned


def conflicts(
    wanted: DesiredResource,
    site: Site,
    program: Program,
    entry: Entry,
    *,
    new: bool,
) -> Iterator[Fault]:
    """Yield a fault for each other entry, stack or state that has what an entry declares.

    Args:
        wanted: What the program declares.
        site: Where the resource belongs.
        program: What the program has declared so far.
        entry: What declares it.
        new: Whether the state holds nothing for this entry yet.
    """
    twice = program.declared_twice(Located(site.place, wanted.id), entry)
    if twice is not None:
        yield twice
    record = site.target.record(wanted.id)
    there = ObservedResource(id=wanted.id, presence=Presence.PRESENT, record=record)
    state = ObservedState(resources={wanted.id.address: there})
    try:
        if record is not None and not is_shared(wanted, record):
            refuse_what_is_owned(plan((wanted,), state, wanted.owner), state)
            asks = claim_of(entry) if new else None
            refuse_others("declare", wanted.model_copy(update={"claim": asks}), record)
    except HeldByAnother as exc:  # the same command helps under every engine
        yield Fault("", f"{exc}: `inferctl release --workspace {wanted.id.workspace}`")
    except OwnedByAnother as exc:
        yield Fault("", str(exc))
