"""Model and Environment: versioned, content-addressed assets.

Goes in: typed arguments, each of which may be an output of another resource. The provider's check
reports all faults in them at once.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from pulumi import Input, Output, ResourceOptions

from inference_provider.dynamic.environment import EnvironmentProvider
from inference_provider.dynamic.model import ModelProvider
from pulumi_inference.args import BuildContextArgs, InferenceConfigArgs
from pulumi_inference.base import InferenceResource
from pulumi_inference.workspace import Workspace


class Model(InferenceResource, module="inference", name="Model"):
    """Trained weights, as a folder or a file.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        name: Up to 255 letters, digits, `-`, `_`, `.`; the resource's name when left out.
        version: Up to 30 letters, digits, `-`, `_`, `.`; `1` when left out.
        type: `custom_model` when left out; `mlflow_model`, `triton_model` where a target serves
            them.
        path: Folder or file, relative to the program's folder.
        stack_file: Name of a stack file inside `path`, which does not count as content; `declare`
            sets it.
        description: What it is for.
        tags: Words of your own, by name.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = ModelProvider

    workspace: Output[str]
    name: Output[str]
    version: Output[str]
    content_hash: Output[str]
    """sha256 over names, bytes and executable bits under `path`."""
    reference: Output[str]
    """`name:version@sha256:<digest>`: what a deployment takes."""

    def __init__(
        self,
        resource_name: str,
        *,
        path: Input[str] | PathLike[str],
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        version: Input[str] | None = None,
        type: Input[str] | None = None,
        stack_file: Input[str] | None = None,
        description: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "path": path,
            "workspace": workspace,
            "name": name,
            "version": version,
            "type": type,
            "stack_file": stack_file,
            "description": description,
            "tags": tags,
        }
        super().__init__(resource_name, fields, stack, opts)


class Environment(InferenceResource, module="inference", name="Environment"):
    """Python packages, or an image, and the server's routes.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        name: Up to 255 letters, digits, `-`, `_`, `.`; the resource's name when left out.
        version: Up to 30 letters, digits, `-`, `_`, `.`; `1` when left out.
        python_version: `3.12`; the provider's own Python when left out.
        dependencies: Requirements by PEP 508; pin them.
        requirements_file: A requirements.txt; its lines are added to `dependencies`.
        conda_file: A conda file, or its content: its `python` becomes `python_version`, what is
            under `pip:` is added to `dependencies`. Its other packages are refused.
        image: Container image; a target without containers refuses it. With `inference_config` or
            `command`, or with nothing to install, it brings its own server; else the packages are
            installed on it, and the default server runs the scoring script.
        build: A Dockerfile and its folder, of which the target builds the image; in place of
            `image`.
        command: Command line of a server of your own, with `{port}`, `{model_dir}` and
            `{code_dir}`.
        inference_config: Routes of the server that the environment brings; required with
            `command`.
        description: What it is for.
        tags: Words of your own, by name.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = EnvironmentProvider

    workspace: Output[str]
    name: Output[str]
    version: Output[str]
    content_hash: Output[str]
    """sha256 over everything that decides what is installed."""
    reference: Output[str]
    """`name:version@sha256:<digest>`: what a deployment takes."""

    def __init__(
        self,
        resource_name: str,
        *,
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        version: Input[str] | None = None,
        python_version: Input[str] | None = None,
        dependencies: Input[Sequence[Input[str]]] | None = None,
        requirements_file: Input[str] | PathLike[str] | None = None,
        conda_file: Input[str] | PathLike[str] | Mapping[str, Any] | None = None,
        image: Input[str] | None = None,
        build: Input[BuildContextArgs] | None = None,
        command: Input[Sequence[Input[str]]] | None = None,
        inference_config: Input[InferenceConfigArgs] | None = None,
        description: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "workspace": workspace,
            "name": name,
            "version": version,
            "python_version": python_version,
            "dependencies": dependencies,
            "requirements_file": requirements_file,
            "conda_file": conda_file,
            "image": image,
            "build": build,
            "command": command,
            "inference_config": inference_config,
            "description": description,
            "tags": tags,
        }
        super().__init__(resource_name, fields, stack, opts)
