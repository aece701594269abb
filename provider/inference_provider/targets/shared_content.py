"""The Content of a workspace that several clients share, but for where models and code lie.

Those are in the target's `Vault`. Environments are documents (`kept_environments.py`), each with
the image that the target has made or chosen for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from inference_provider.desired import DesiredResource
from inference_provider.observed import Kind, Record
from inference_provider.spec import (
    DeploymentSpec,
    EnvironmentSpec,
    ModelSpec,
    Reference,
    WorkspaceSpec,
)
from inference_provider.targets.kept_content import (
    CODE,
    MODEL,
    Source,
    missing,
    pinned_of,
    source_of_code,
    source_of_model,
)
from inference_provider.targets.kept_environments import (
    Environment,
    KeptEnvironments,
)
from inference_provider.workspace.ports import Records, Unit
from inference_provider.workspace.state import State

Tell = Callable[[str], None]


class Vault(Protocol):
    """Where models and code lie, by their kind and the hash of their content."""

    def keep(self, kind: str, source: Source, tell: Tell) -> object:
        """Copy content, whole or not at all, unless it is kept and as it was copied."""

    def gone(self, kind: str, digest: str) -> str:
        """Say why content is not there; empty when it is."""

    def changed(self, kind: str, digest: str) -> str:
        """Return what a person has changed in it; empty for nothing, or if nobody could."""

    def remove(self, kind: str, digest: str) -> None:
        """Remove content that nothing names any more."""


class SharedContent(ABC):
    """Kept content of one workspace."""

    def __init__(self, records: Records, vault: Vault) -> None:
        self._records = records
        self._vault = vault
        self._state = State(records)
        self.environments = KeptEnvironments(records, self._state)

    @abstractmethod
    def _image_for(self, environment: DesiredResource, tell: Tell) -> str:
        """Return the image that new instances of an environment run in, made if need be."""

    def _image_fault(self, kept: Environment) -> str:
        """Say what is wrong with the image of a kept environment; empty for nothing."""
        del kept
        return ""

    def workspace(self) -> WorkspaceSpec:
        """Return what is recorded of where images come from."""
        return self._state.own_spec()

    def keep(self, desired: DesiredResource, tell: Tell) -> None:
        spec = desired.spec
        if isinstance(spec, ModelSpec):
            self._vault.keep(MODEL, source_of_model(spec, desired.base_dir), tell)
        elif isinstance(spec, EnvironmentSpec):
            self.environments.note(spec, self._image_for(desired, tell))
        elif isinstance(spec, DeploymentSpec):
            code = source_of_code(spec, desired.base_dir)
            if code is not None:
                self._vault.keep(CODE, code, tell)

    def holds(self, kind: Kind, pinned: str) -> bool:
        digest = Reference.parse(pinned).digest
        if kind == Kind.MODEL:
            return not self._vault.gone(MODEL, digest)
        return self.environments.holds(digest)

    def environment(self, pinned: str) -> EnvironmentSpec:
        return self.environments.spec(pinned)

    def fault(self, record: Record) -> str:
        if record.id.kind == Kind.MODEL:
            digest = record.properties["content_hash"]
            if gone := self._vault.gone(MODEL, digest):
                return f"its kept content is gone: {gone}"
            changed = self._vault.changed(MODEL, digest)
            return f"its kept content was changed by hand: {changed}" if changed else ""
        if record.id.kind == Kind.DEPLOYMENT:
            return self._fault_of_what_it_reads(record)
        if record.id.kind == Kind.ENVIRONMENT:
            kept = self.environments.kept_of(record)
            return "what it is built from is gone" if kept is None else self._image_fault(kept)
        return ""

    def _fault_of_what_it_reads(self, deployment: Record) -> str:
        read = pinned_of(deployment)
        for kind, digest in read:
            if kind == CODE and (gone := self._vault.gone(kind, digest)):
                return f"its kept code is gone: {gone}"
        for kind, digest in read:
            if changed := self._vault.changed(kind, digest):
                return f"its {kind} was changed by hand: {changed}"
        return ""

    def _model_of(self, unit: Unit) -> str:
        """Return the hash of a deployment's model; empty without one.

        Raises:
            TargetError: It is gone.
        """
        model = unit.spec.model
        digest = Reference.parse(model).digest if model else ""
        if model and self._vault.gone(MODEL, digest):
            raise missing("model", model)
        return digest

    def note(self, record: Record) -> str:
        return ""

    def drop(self, record: Record) -> None:
        if record.id.kind == Kind.MODEL:
            digest = record.properties["content_hash"]
            used = {Reference.parse(one).digest for one in self._state.named_content()}
            if digest not in used:  # another version may have the same files
                self._vault.remove(MODEL, digest)
        if record.id.kind == Kind.ENVIRONMENT:
            self.environments.drop(record)
