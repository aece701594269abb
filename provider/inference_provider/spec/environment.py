"""Environment: what an instance runs in."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from inference_provider.spec.base import (
    COMPUTED,
    COSMETIC,
    FREE_TEXT,
    LOCAL_PATH,
    REPLACES,
    ROLLS,
    AssetName,
    AssetVersion,
    ResourceName,
    SpecModel,
    Tags,
    argument_fault,
)
from inference_provider.spec.reference import ImageName

FIELD_OF_PLACEHOLDER: Mapping[str, str] = {
    "{model_dir}": "model",
    "{code_dir}": "code_configuration",
}
"""Placeholders of a command that a deployment fills, each with the field that it needs for that."""


def _valid_argument(word: str) -> str:
    fault = argument_fault(word)
    if fault:
        raise ValueError(fault)
    return word


class Route(SpecModel):
    """One HTTP route of a server."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")]
    port: Annotated[int, Field(ge=1, le=65535)]
    """Port the server names in its own configuration; a target may serve it on another."""


class InferenceConfig(SpecModel):
    """Routes of a server that is not the default one; all three are required, as in Azure ML."""

    liveness_route: Route
    readiness_route: Route
    """An instance is ready when GET answers 200 to 399; a redirect is not followed."""
    scoring_route: Route


class BuildContext(SpecModel):
    """A folder with a Dockerfile, of which an image is built."""

    path: Annotated[str, LOCAL_PATH]
    """Folder, relative to the stack file; a `.dockerignore` or `.amlignore` in it counts, or that
    of the Dockerfile alone, `Dockerfile.dockerignore`."""
    dockerfile_path: Annotated[str, Field(min_length=1)] = "Dockerfile"
    """Path of the Dockerfile inside `path`."""
    stack_file: Annotated[str | None, LOCAL_PATH, COMPUTED] = None
    """Name of the stack file in `path`, which is not content; None when it lies elsewhere."""
    content_hash: Annotated[str, COMPUTED] = ""
    """sha256 over names, bytes and executable bits under `path`; never written by hand."""


def _path_or_content(value: object) -> object:
    if value is None or isinstance(value, str | Mapping):
        return value
    raise ValueError("expected a conda file; write its path, or its content")


CondaFile = Annotated[str | dict[str, Any], BeforeValidator(_path_or_content)]


class EnvironmentSpec(SpecModel):
    """Python packages, or an image, and the server's routes."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[AssetName, REPLACES]
    version: Annotated[AssetVersion, REPLACES] = "1"
    python_version: Annotated[Annotated[str, Field(pattern=r"^3\.\d+$")] | None, ROLLS] = None
    """`3.12`; the provider's own Python when left out."""
    dependencies: Annotated[tuple[str, ...], ROLLS] = ()
    """Requirements by PEP 508, `--hash` options behind them; no paths, no other options. Pin them:
    the cache is keyed by this text, not by what it gave."""
    requirements_file: Annotated[str | None, LOCAL_PATH] = None
    """A requirements.txt; its lines are added to `dependencies`, and held to the same rules."""
    conda_file: Annotated[CondaFile | None, LOCAL_PATH] = None
    """A conda file, or its content: its `python` becomes `python_version`, without a third number;
    where instances are processes and the machine lacks that Python, the nearest is taken, and said.
    What is under `pip:` is added to `dependencies`, and those of conda's packages that have the
    same name on PyPI, such as numpy. There is no conda: its other packages are refused. Beside a
    pinned package that was built for numpy 1, `numpy<2` is added, as conda solves it."""
    image: Annotated[ImageName | None, ROLLS, FREE_TEXT] = None
    """Container image; a target without containers refuses it. With `inference_config` or
    `command`, or with nothing to install, it brings its own server; else the packages are installed
    on it, and the default server runs the scoring script."""
    build: Annotated[BuildContext | None, ROLLS] = None
    """A Dockerfile and its folder, of which the target builds the image; in place of `image`."""
    command: Annotated[tuple[Annotated[str, AfterValidator(_valid_argument)], ...], ROLLS] = ()
    """Command line of the server, for an environment that brings its own. `{port}` stands for
    the port that it, or a process it starts, listens on, at the address in `$HOST` (127.0.0.1 on
    `local`); `{model_dir}` for the model's folder; `{code_dir}` for the code's. Without one the
    default server runs the scoring script."""
    inference_config: Annotated[InferenceConfig | None, ROLLS] = None
    """Routes of the server that the environment brings; required with `command`."""
    content_hash: Annotated[str, ROLLS, COMPUTED] = ""
    """sha256 over all that decides what is installed; computed, never written by hand."""
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}

    @property
    def brings_server(self) -> bool:
        """Whether a server comes with it; without one, the default server runs a script.

        As in Azure ML, an image with packages to install and no routes is only what they are
        installed on.
        """
        if self.command or self.inference_config is not None:
            return True
        return self.has_image and not self.installs

    @property
    def has_image(self) -> bool:
        """Whether it names an image, or what one is built of."""
        return self.image is not None or self.build is not None

    @property
    def installs(self) -> bool:
        """Whether it names packages to install."""
        return bool(self.dependencies or self.requirements_file or self.conda_file)

    @model_validator(mode="after")
    def _image_or_build(self) -> "EnvironmentSpec":
        if self.image is not None and self.build is not None:
            raise ValueError("image and build both say what it runs in; leave one of them out")
        return self

    @model_validator(mode="after")
    def _command_and_routes_come_together(self) -> "EnvironmentSpec":
        if self.command and self.inference_config is None:
            raise ValueError(
                "command needs inference_config: the first starts the server, the second says where"
                " it answers"
            )
        if self.inference_config is not None and not (self.command or self.has_image):
            raise ValueError(
                "inference_config needs a command or an image that starts the server it describes"
            )
        return self
