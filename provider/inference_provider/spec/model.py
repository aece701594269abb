"""Model: a versioned, content-addressed folder or file."""

from typing import Annotated, Literal

from inference_provider.spec.base import (
    COMPUTED,
    COSMETIC,
    LOCAL_PATH,
    REPLACES,
    ROLLS,
    AssetName,
    AssetVersion,
    ResourceName,
    SpecModel,
    Tags,
)


class ModelSpec(SpecModel):
    """Trained weights, as a folder or a file."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[AssetName, REPLACES]
    version: Annotated[AssetVersion, REPLACES] = "1"
    """Any text; `name@latest` takes the highest, numbers compared as numbers."""
    type: Annotated[Literal["custom_model", "mlflow_model", "triton_model"], ROLLS] = "custom_model"
    path: Annotated[str, LOCAL_PATH]
    """Folder or file, relative to the stack file (in a program: to its folder)."""
    stack_file: Annotated[str | None, LOCAL_PATH, COMPUTED] = None
    """Name of the stack file in `path`, which is not content; None when it lies elsewhere."""
    content_hash: Annotated[str, ROLLS, COMPUTED] = ""
    """sha256 over names, bytes and executable bits under `path`; never written by hand."""
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}
