"""Which GPUs a target has, who holds which, and which an instance gets. Pure.

Goes in: a ledger as its target reads it, and what instances ask for. Comes out: the ids of GPUs for
each instance, or why there are too few, with the ledger in the sentence.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from inference_provider.errors import OutOfCapacity
from inference_provider.spec.gpus import GpuRequest


class Gpu(NamedTuple):
    """One GPU, or one slice of a partitioned GPU, which is then no GPU of its own."""

    uuid: str
    number: str = ""
    """`0`; `0:1` for a slice."""
    product: str = ""
    """The name that its driver gives it, `NVIDIA A100-SXM4-80GB`."""
    mig: str = ""
    """Profile of a slice, `1g.5gb`."""
    parent: str = ""
    """UUID of the GPU that a slice is part of."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.uuid, self.product, self.mig and f"MIG {self.mig}")))

    def is_in(self, ids: Collection[str]) -> bool:
        """Whether ids, as a container has them, name it or the GPU that it is part of."""
        of_parent = self.number.partition(":")[0]
        return not {self.uuid, self.number, self.parent, of_parent, "all"}.isdisjoint(
            one for one in ids if one
        )

    def fits(self, asked: GpuRequest) -> bool:
        """Whether it is what is asked for, held or not."""
        if asked.devices:
            return self.uuid in asked.devices or self.number in asked.devices
        if asked.mig or self.mig:
            return self.mig == asked.mig
        return set(words_of(asked.product)) <= set(words_of(self.product))


def words_of(product: str) -> list[str]:
    """Return the words of a product, by which one is found."""
    return product.lower().replace("-", " ").replace("_", " ").split()


class Holder(NamedTuple):
    """Who has a GPU."""

    name: str
    """Of an instance, or of what else has it."""
    deployment: str = ""
    """`<workspace>/<endpoint>/<name>`; empty when it is not an instance."""
    share: str = ""
    """Name under which others may have the GPU too."""


class Ledger(NamedTuple):
    """The GPUs of a target and who holds them."""

    gpus: tuple[Gpu, ...] = ()
    holders: Mapping[str, tuple[Holder, ...]] = {}
    """By UUID."""
    nothing: str = ""
    """Why there are none, where the target knows."""
    remedy: str = ""
    """What to do about that."""

    def __str__(self) -> str:
        return ", ".join(f"{gpu}: {self._told(gpu)}" for gpu in self.gpus) or "no GPU"

    def _told(self, gpu: Gpu) -> str:
        return " and ".join(holder.name for holder in self.holders.get(gpu.uuid, ())) or "free"

    def fitting(self, asked: GpuRequest) -> list[Gpu]:
        return [gpu for gpu in self.gpus if gpu.fits(asked)]

    def without(self, gone: Collection[str]) -> "Ledger":
        """Return it without some holders, by the names of these or of their deployments."""
        left = {
            uuid: tuple(h for h in held if h.name not in gone and h.deployment not in gone)
            for uuid, held in self.holders.items()
        }
        return self._replace(holders={uuid: held for uuid, held in left.items() if held})

    def held_by(self, holder: Holder, uuids: Iterable[str]) -> "Ledger":
        """Return it with one more holder."""
        more = {uuid: (*self.holders.get(uuid, ()), holder) for uuid in uuids}
        return self._replace(holders={**self.holders, **more})

    def choices(self, asked: GpuRequest, leaving: Collection[str] = ()) -> list[str]:
        """Return the UUIDs of the GPUs that an instance could get now, in order.

        Those of holders that leave come last. Of a share that somebody has, it is that one.
        """
        shared = self._shared(asked.share) if asked.share else []
        if shared:
            return [gpu.uuid for gpu in shared if gpu.fits(asked)]
        held = self.without(leaving).holders
        free = [gpu.uuid for gpu in self.fitting(asked) if gpu.uuid not in held]
        return sorted(free, key=lambda uuid: uuid in self.holders)

    def given(
        self,
        asked: GpuRequest,
        count: int,
        leaving: Collection[str] = (),
        chosen: Collection[str] = (),
    ) -> list[tuple[str, ...]] | None:
        """Return the UUIDs that each of some instances gets; None where too few are free.

        Those that a plan chose come first.
        """
        free = sorted(self.choices(asked, leaving), key=lambda uuid: uuid not in chosen)
        if asked.share:
            return [(free[0],)] * count if free else None
        if len(free) < count * asked.each:
            return None
        return [tuple(free[i * asked.each : (i + 1) * asked.each]) for i in range(count)]

    def _shared(self, share: str) -> list[Gpu]:
        """Return the GPU that is shared under a name, if one is."""
        return [
            gpu
            for gpu in self.gpus
            if share in {holder.share for holder in self.holders.get(gpu.uuid, ())}
        ]


def hand_out(  # noqa: PLR0917 - what is asked for, and of what
    asked: GpuRequest,
    count: int,
    ledger: Ledger,
    resource: str,
    leaving: Collection[str] = (),
    chosen: Collection[str] = (),
) -> list[tuple[str, ...]]:
    """Return the UUIDs of the GPUs that each of some new instances gets.

    Args:
        asked: What one of them asks for.
        count: How many they are.
        ledger: Who holds what.
        resource: Who asks, for the error.
        leaving: Names of holders that end once the new ones are there.
        chosen: UUIDs that a plan chose for them, `matched`; others are handed out where these are
            no longer free.

    Raises:
        OutOfCapacity: Too few are free; the message lists who has which.
    """
    # With no GPU to spare, a new generation shares those of the old, which ends soon: if both do
    # not fit, the new one fails its readiness and the old one keeps serving.
    found = ledger.given(asked, count, leaving, chosen)
    if found is not None:
        return found
    fitting = ledger.fitting(asked)
    free = sum(gpu.uuid not in ledger.holders for gpu in fitting)
    raise OutOfCapacity(
        "hand GPUs to",
        resource,
        f"{in_words(asked, count)} wanted, {free} of {len(fitting)} free ({ledger})",
        "ask for fewer, or scale another deployment in",
    )


def in_words(asked: GpuRequest, count: int) -> str:
    """Say what some instances ask for together: `6`, `2 of product 'A100'`, `GPUs 0, 3`."""
    if asked.devices:
        noun = "GPU" if len(asked.devices) == 1 else "GPUs"
        return f"{noun} {', '.join(asked.devices)}"
    if asked.share:
        return f"one that is shared as '{asked.share}'"
    number = count * asked.each
    if asked.mig:
        return f"{number} of profile {asked.mig}"
    return f"{number} of product '{asked.product}'" if asked.product else str(number)


def lacks(asked: GpuRequest, count: int, ledger: Ledger) -> bool:
    """Whether a target has too few GPUs for some instances, even if nobody held one."""
    return ledger._replace(holders={}).given(asked, count) is None


class Wish(NamedTuple):
    """What the instances of one deployment ask for."""

    deployment: str
    asked: GpuRequest
    instances: int


SurgeFaults = Callable[[Sequence[Wish]], Mapping[str, tuple[str, str]]]
"""Says of deployments that roll why new instances would never have their GPUs while the old ones
run, and what to do, by the wish's deployment; nothing of those that would."""


class Matching(NamedTuple):
    """Which GPUs the deployments of one plan get."""

    chosen: Mapping[str, tuple[str, ...]]
    """UUIDs by deployment."""
    unmet: Wish | None = None
    """One that cannot be met beside the others and what else holds GPUs; None if all can."""


class _Need(NamedTuple):
    """One GPU that is wanted: by an instance alone, or by all that name a share."""

    wishes: tuple[Wish, ...]
    uuids: tuple[str, ...]
    """Which would do, the best ones first."""


def matched(wishes: Iterable[Wish], ledger: Ledger) -> Matching:
    """Choose GPUs so that every wish is met, if there is any way to.

    Each need takes one that is free; where there is none, one that another need has, if that can
    take another (augmenting paths).
    """
    every = sorted(wishes, key=lambda wish: len(ledger.fitting(wish.asked)))
    needs, taken = _needs(every, ledger), dict[str, int]()
    for number, need in enumerate(needs):
        if not _placed(number, needs, taken, set()):
            return Matching({}, need.wishes[-1])
    found = dict[str, tuple[str, ...]]()
    for uuid, number in taken.items():
        for wish in needs[number].wishes:
            found[wish.deployment] = (*found.get(wish.deployment, ()), uuid)
    return Matching(found)


def _needs(wishes: list[Wish], ledger: Ledger) -> list[_Need]:
    ending = {wish.deployment for wish in wishes}
    alone: list[_Need] = []
    shared: dict[str, _Need] = {}
    for wish in wishes:
        uuids = tuple(ledger.choices(wish.asked, ending))
        share = wish.asked.share
        if share in shared:
            known = shared[share]
            both = tuple(uuid for uuid in known.uuids if uuid in uuids)
            shared[share] = _Need((*known.wishes, wish), both)
        elif share:
            shared[share] = _Need((wish,), uuids)
        else:
            alone += [_Need((wish,), uuids)] * (wish.instances * wish.asked.each)
    return [*alone, *shared.values()]


def _placed(number: int, needs: list[_Need], taken: dict[str, int], tried: set[str]) -> bool:
    """Whether a need could be given a GPU; those that have one may be given another for it."""
    for uuid in needs[number].uuids:
        if uuid not in tried:
            tried.add(uuid)
            if uuid not in taken or _placed(taken[uuid], needs, taken, tried):
                taken[uuid] = number
                return True
    return False
