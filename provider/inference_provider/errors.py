"""Every error this package raises on purpose.

InferenceError                       every error this package raises
├─ SpecError(faults)                 the user edits something; all faults at once
├─ PermanentError / TemporaryError   mixed in below: retrying is useless / may help
├─ TargetError(operation, resource, place, reason, remedy)
│   ├─ CapabilityMissing, OwnedByAnother, StillServing, StillHolds,
│   │  HeldByAnother, OutOfCapacity, PermissionMissing, SecretsInjectionError,
│   │  RolloutFailed                                                                (Permanent)
│   └─ TargetUnreachable, NotReady, Busy, Interrupted, SecretStoreUnreachable   (Temporary)
├─ SecretNotRead(reason, remedy)     what a secret store answers; told as one of the two above
├─ SeveralFailed(failures)           what ran side by side and failed
└─ RouterRejected(reason)            Envoy refused the generated configuration

A message reads: operation, thing, place: cause; what to do. No secret is ever put in one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inference_provider.printable import one_line, printable

MAX_SHOWN = 50
"""Of a list in a message; the rest is counted."""


class InferenceError(Exception):
    """Base of every error this package raises."""


class PermanentError(InferenceError):
    """Retrying the same call is useless."""


class TemporaryError(InferenceError):
    """Retrying the same call may help."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with what a person wrote.

    Args:
        path: Dotted path into the document, `deployments.0.instance_count`; empty for all of it.
        reason: What is wrong with the value, without the value of a secret.
        remedy: What to do about it.
        line: Line in the file, counted from 1; None when there is no file.
        file: Which of several files; empty where there is one, or none.
    """

    path: str
    reason: str
    remedy: str = ""
    line: int | None = None
    file: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        if self.file:
            where = f"{self.file} {where}" if where else f"{self.file}: "
        field = f"{self.path}: " if self.path else ""
        told = f"{where}{field}{self.reason}" + (f"; {self.remedy}" if self.remedy else "")
        return one_line(told)


class SpecError(PermanentError):
    """The declaration is at fault; carries every fault found."""

    def __init__(self, faults: tuple[Fault, ...], source: str = "the declared stack") -> None:
        self.faults = faults
        self.source = source
        noun = "fault" if len(faults) == 1 else "faults"
        lines = "\n".join(f"  {line}" for line in at_most([str(fault) for fault in faults]))
        super().__init__(f"{one_line(source)} has {len(faults)} {noun}:\n{lines}")


def at_most(lines: Sequence[str], count: int = MAX_SHOWN) -> list[str]:
    """Return the first lines of a list, and one that says how many more there are."""
    more = len(lines) - count
    return [*lines[:count], f"and {more} more"] if more > 0 else list(lines)


def _cause(reason: str, remedy: str) -> str:
    """Join cause and remedy; after a cause of several lines the remedy has a line of its own."""
    if "\n" not in reason:
        return f" {reason}" + (f"; {remedy}" if remedy else "")
    gap = "" if reason.startswith("\n") else " "
    return f"{gap}{reason.rstrip()}" + (f"\n  {remedy}" if remedy else "")


class TargetError(InferenceError):
    """A target could not do one operation on one resource."""

    def __init__(
        self, operation: str, resource: str, reason: str, remedy: str = "", place: str = ""
    ) -> None:
        self.operation = operation
        self.resource = resource
        self.reason = reason
        self.remedy = remedy
        at = f" on {place}" if place else ""
        super().__init__(printable(f"{operation} {resource}{at}:{_cause(reason, remedy)}"))


class CapabilityMissing(TargetError, PermanentError):
    """The target cannot do what the declaration asks."""


class OwnedByAnother(TargetError, PermanentError):
    """The resource carries the label of another stack, or another state holds it."""


class HeldByAnother(OwnedByAnother):
    """Another state holds it; a lost state's hold can be released."""


class StillServing(TargetError, PermanentError):
    """A deployment that carries weight, or is mirrored to, is not deleted."""


class StillHolds(TargetError, PermanentError):
    """A workspace with something in it, or what another resource names, stays."""


class OutOfCapacity(TargetError, PermanentError):
    """More GPUs, ports or disk were asked for than there are."""


class SecretsInjectionError(TargetError, PermanentError):
    """What a deployment asks of a connection cannot be given to its instances."""


class SecretStoreUnreachable(TargetError, TemporaryError):
    """A secret store could not be read from here; what it has stays unknown."""


class SecretNotRead(InferenceError):
    """A secret store has not given a secret.

    Args:
        reason: Why, without anything that the store said.
        remedy: What to do.
        silent: Whether nothing is known of what it has: it does not answer, denies who asks, or
            cannot be asked here, for want of a variable or a package.
    """

    def __init__(self, reason: str, remedy: str, *, silent: bool = False) -> None:
        self.reason = reason
        self.remedy = remedy
        self.silent = silent
        super().__init__(f"{reason}; {remedy}")


class PermissionMissing(TargetError, PermanentError):
    """An identity lacks a role that it needs."""


class TargetUnreachable(TargetError, TemporaryError):
    """The target did not answer; what is there stays unknown."""


class NotReady(TargetError, TemporaryError):
    """An instance did not become ready; the old generation goes on serving."""


class RolloutFailed(TargetError, PermanentError):
    """A split that was waited for does not come into force."""


class Busy(TargetError, TemporaryError):
    """Somebody else is changing the same thing now."""


class Interrupted(TargetError, TemporaryError):
    """Somebody asked to stop; what served before goes on serving."""


class SeveralFailed(InferenceError):
    """More than one of the changes that ran side by side failed; those that are done stay."""

    def __init__(self, failures: Sequence[Exception]) -> None:
        self.failures = tuple(_each(failures))
        # One refusal may end many changes that were made together.
        counts = Counter(_indented(_told(failure)) for failure in self.failures)
        told = [f"{text} ({count} times)" if count > 1 else text for text, count in counts.items()]
        lines = "\n".join(f"  {line}" for line in at_most(told))
        super().__init__(printable(f"{len(self.failures)} changes failed:\n{lines}"))


def _each(failures: Sequence[Exception]) -> Iterator[Exception]:
    for failure in failures:
        yield from failure.failures if isinstance(failure, SeveralFailed) else (failure,)


def _told(failure: Exception) -> str:
    """Write a failure; one that is not ours says its type, without which it may say nothing."""
    own = isinstance(failure, InferenceError)
    return str(failure) if own else f"{type(failure).__name__}: {failure}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


class RouterRejected(PermanentError):
    """Envoy refused the generated configuration; the old one stays in force."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            printable(f"render the router's configuration: Envoy refused it: {reason}")
        )


def is_out_of_capacity(exc: Exception) -> bool:
    """Whether a failure, or one of several, is that there is no room."""
    failures = exc.failures if isinstance(exc, SeveralFailed) else (exc,)
    return any(isinstance(failure, OutOfCapacity) for failure in failures)
