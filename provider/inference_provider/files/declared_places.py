"""A stack file and what it declares -> where in the file each resource and field stands."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inference_provider.files.lines import Document, join, read_document
from inference_provider.files.reading import STACK_FILE_MIB, read_text
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import SpecModel, StackSpec
from inference_provider.spec.fields import keys_in
from inference_provider.spec.kinds import ROWS, Row


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

    def keys(self, address: str, field: str) -> tuple[str, ...]:
        """Return the keys that lead to a field, from the item on; only of what is declared."""
        return keys_in(self._models[address], field)

    @cached_property
    def _paths(self) -> dict[str, str]:
        value = self.document.value if isinstance(self.document.value, dict) else {}
        found = {}
        for kind, row in ROWS.items():
            written = value.get(row.listing)
            count = len(written) if isinstance(written, list) else 0
            for i, spec in enumerate(getattr(self.stack, row.listing)):
                one = _id_of(row, spec)
                if i < count:
                    found[one.address] = f"{row.listing}.{i}"
                elif kind == Kind.TRAFFIC:
                    found[one.address] = self._on_endpoint(one)
        return {address: path for address, path in found.items() if path}

    @cached_property
    def _models(self) -> dict[str, type[SpecModel]]:
        return {
            _id_of(row, spec).address: type(spec)
            for row in ROWS.values()
            for spec in getattr(self.stack, row.listing)
        }

    def _on_endpoint(self, traffic: ResourceId) -> str:
        for i, endpoint in enumerate(self.stack.endpoints):
            if (endpoint.workspace, endpoint.name) == (traffic.workspace, traffic.name):
                return f"endpoints.{i}"
        return ""


def _id_of(row: Row, spec: SpecModel) -> ResourceId:
    workspace, name = row.place_of(spec)
    return ResourceId(kind=row.kind, workspace=workspace, name=name)
