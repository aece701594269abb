"""A stack file and what it declares -> where in the file each resource and field stands."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from inference_provider.files.lines import Document, join, read_document
from inference_provider.files.reading import STACK_FILE_MIB, read_text
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import StackSpec
from inference_provider.spec.kinds import ROWS


@dataclass(frozen=True)
class DeclaredPlaces:
    """Places in one stack file."""

    stack: StackSpec
    document: Document

    @classmethod
    def read(cls, path: Path, stack: StackSpec) -> "DeclaredPlaces":
        """Read the file that declares a stack. Raises Unreadable."""
        return cls(stack, read_document(read_text(path, path.name, STACK_FILE_MIB)))

    def path(self, address: str) -> str | None:
        """Return where a resource is written, `deployments.2`; None where it is not.

        Traffic may be written on its endpoint.
        """
        return self._paths.get(address)

    def line(self, address: str, field: str = "") -> int | None:
        """Return the line of a field, or of the nearest that is written; None for nothing."""
        path = self.path(address)
        return self.document.lines.line(join(path, field) if field else path) if path else None

    @cached_property
    def _paths(self) -> dict[str, str]:
        value = self.document.value if isinstance(self.document.value, dict) else {}
        found = {}
        for kind, row in ROWS.items():
            written = value.get(row.listing)
            count = len(written) if isinstance(written, list) else 0
            for i, spec in enumerate(getattr(self.stack, row.listing)):
                workspace, name = row.place_of(spec)
                one = ResourceId(kind=kind, workspace=workspace, name=name)
                if i < count:
                    found[one.address] = f"{row.listing}.{i}"
                elif kind == Kind.TRAFFIC:
                    found[one.address] = self._on_endpoint(one)
        return {address: path for address, path in found.items() if path}

    def _on_endpoint(self, traffic: ResourceId) -> str:
        for i, endpoint in enumerate(self.stack.endpoints):
            if (endpoint.workspace, endpoint.name) == (traffic.workspace, traffic.name):
                return f"endpoints.{i}"
        return ""


def value_at(value: Any, path: str) -> Any:
    """Return what stands at a place that `DeclaredPlaces.path` names."""
    listing, _, i = path.partition(".")
    return value[listing][int(i)]
