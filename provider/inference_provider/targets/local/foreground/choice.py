"""Which deployment of a stack runs in the foreground, and what it runs of. Pure."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from inference_provider.desired import DesiredResource, reference
from inference_provider.errors import Fault, SpecError
from inference_provider.injection import is_reference
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.quota import gpus_of

OPTION = "--deployment"


@dataclass(frozen=True)
class Choice:
    """A deployment, and what of its stack it needs."""

    endpoint: DesiredResource
    deployment: DesiredResource
    """Its `environment_variables` hold no reference."""
    environment: DesiredResource
    model: DesiredResource | None
    """None for a deployment without one."""

    @property
    def name(self) -> str:
        """`<endpoint>/<deployment>`."""
        return self.deployment.id.name

    @property
    def code_dir(self) -> Path | None:
        """Where its code is; None for a deployment without any."""
        code = self.deployment.spec.code_configuration
        return _place(self.deployment, code.code) if code else None

    @property
    def model_path(self) -> Path | None:
        """The model's file or folder; None for a deployment without one."""
        return _place(self.model, self.model.spec.path) if self.model else None

    @property
    def places(self) -> tuple[Path, ...]:
        """Return where its code and its model are."""
        return tuple(place for place in (self.code_dir, self.model_path) if place)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the deployment says that does not count in the foreground."""
        return tuple(_notes(self))


def choose(
    resources: Sequence[DesiredResource], asked: str | None, variables: Mapping[str, str]
) -> Choice:
    """Return the deployment that is meant.

    Args:
        resources: All that the stack declares.
        asked: `<endpoint>/<deployment>`, or the deployment's name alone; None for the only one.
        variables: Environment variables that win over those of the deployment.

    Raises:
        SpecError: None is meant, or more than one, or it cannot run here; with every fault.
    """
    there = [one for one in resources if one.id.kind == Kind.DEPLOYMENT and one.variant == "online"]
    meant = [one for one in there if asked is None or asked in (one.id.name, one.spec.name)]
    if len(meant) != 1:
        raise _unclear(there, meant, asked)
    deployment = _with_variables(meant[0], variables)
    faults = [*_faults(deployment)]
    environment = _asset(resources, Kind.ENVIRONMENT, deployment, faults)
    model = _asset(resources, Kind.MODEL, deployment, faults) if deployment.spec.model else None
    endpoint = _endpoint(resources, deployment, faults)
    if environment and _needs_a_container(environment.spec):
        path = f"environment '{environment.id.name}'"
        reason = "its server is in an image, and `serve` starts processes of this machine"
        remedy = "name dependencies or a command in it, or run `inferctl up` on target docker"
        faults.append(Fault(path, reason, remedy))
    if faults or environment is None or endpoint is None:
        raise SpecError(tuple(faults), f"Deployment '{deployment.id.name}'")
    return Choice(endpoint, deployment, environment, model)


def _unclear(
    there: Iterable[DesiredResource], meant: Sequence[DesiredResource], asked: str | None
) -> SpecError:
    named = ", ".join(one.id.name for one in (meant or there))
    if not named:
        reason, remedy = "the files declare no online deployment", "name the file of one"
    elif meant:
        reason, remedy = f"the files declare {named}", f"pass {OPTION} ENDPOINT/NAME"
    else:
        reason, remedy = f"there is no '{asked}'; the files declare {named}", "name one of these"
    return SpecError((Fault(OPTION, reason, remedy),), "the command line")


def _with_variables(deployment: DesiredResource, given: Mapping[str, str]) -> DesiredResource:
    secret = {name: SecretStr(value) for name, value in given.items()}
    said = {**deployment.spec.environment_variables, **secret}
    spec = deployment.spec.model_copy(update={"environment_variables": said})
    return deployment.model_copy(update={"spec": spec})


def _faults(deployment: DesiredResource) -> Iterator[Fault]:
    spec = deployment.spec
    for name, value in spec.environment_variables.items():
        if is_reference(value.get_secret_value()):
            reason = "its value is in a connection or a vault, which `serve` does not read"
            yield Fault(f"environment_variables.{name}", reason, f"pass --env {name}=VALUE")
    if spec.nodes_per_instance > 1:
        reason = f"{spec.nodes_per_instance} nodes are asked for, and this is one machine"
        yield Fault("nodes_per_instance", reason, "leave it out")


def _asset(
    resources: Iterable[DesiredResource],
    kind: Kind,
    deployment: DesiredResource,
    faults: list[Fault],
) -> DesiredResource | None:
    word = kind.value.lower()
    asked = getattr(deployment.spec, word)
    for one in resources:
        same_place = one.id.kind == kind and one.id.workspace == deployment.id.workspace
        if same_place and str(reference(one.spec)) == asked:
            return one
    faults.append(Fault(word, f"'{asked}' is not in the given files", f"pass the {word}'s file"))
    return None


def _endpoint(
    resources: Iterable[DesiredResource], deployment: DesiredResource, faults: list[Fault]
) -> DesiredResource | None:
    place, name = deployment.id.workspace, deployment.spec.endpoint
    wanted = ResourceId(kind=Kind.ENDPOINT, workspace=place, name=name)
    for one in resources:
        if one.id == wanted:
            return one
    faults.append(Fault("endpoint", f"'{name}' is not in the given files", "pass its file"))
    return None


def _place(desired: DesiredResource, path: str) -> Path:
    return Path(os.path.abspath(Path(desired.base_dir or ".") / path))


def _needs_a_container(environment: Any) -> bool:
    return environment.brings_server and not environment.command


def _notes(choice: Choice) -> Iterator[str]:
    spec, mode = choice.deployment.spec, choice.endpoint.spec.auth_mode
    if choice.environment.spec.has_image:
        yield "the environment's image is not used: what it names to install is, in a folder"
    if mode != "key":
        yield f"auth_mode '{mode}' is not tried: callers have the key that is printed below"
    if spec.egress_public_network_access == "disabled":
        yield "egress_public_network_access: the way out is open"
    if gpus_of(spec) is not None:
        yield "resources: it sees every GPU of this machine"
    if spec.resources.limits.cpu or spec.resources.limits.memory:
        yield "resources.limits: CPU and memory are not limited"
    if spec.instance_count != 1:
        yield f"instance_count {spec.instance_count} is not used: one instance runs"
