"""What is recorded of an environment: its spec, which says too how its instances are asked."""

import json

from pydantic import ValidationError

from inference_provider.spec import EnvironmentSpec, Reference
from inference_provider.targets.kept_content import missing
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import corrupt

SECTION = "content"


def document_of(kind: str, digest: str) -> str:
    """Return the name of the document that says what is kept."""
    return f"{kind}.{digest[:32]}"


def environment_in(records: Records, pinned: str) -> EnvironmentSpec:
    """Return a recorded environment: `name:version@sha256:…`.

    Raises:
        TargetError: It is not recorded, or its document is corrupt.
    """
    name = document_of("environment", Reference.parse(pinned).digest)
    document = records.read(SECTION, name)
    if document is None:
        raise missing("environment", pinned)
    try:
        return EnvironmentSpec.model_validate(json.loads(document)["spec"])
    except (ValidationError, ValueError, KeyError):
        raise corrupt(records.place(SECTION, name)) from None
