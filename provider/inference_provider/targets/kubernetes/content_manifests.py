"""The objects that keep a workspace's content, and what of them a pod of an instance gets. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from inference_provider.serving.image import ENVIRONMENT, SCRIPT, is_brought
from inference_provider.serving.server import requirements
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.resources import Resources
from inference_provider.targets.kept_content import CODE, INSIDE, MODEL, MOUNTED
from inference_provider.targets.kubernetes import content_passes, names
from inference_provider.targets.kubernetes.environment_builder import REQUIREMENTS
from inference_provider.targets.kubernetes.instance_manifests import Given, amounts
from inference_provider.targets.kubernetes.objects import (
    CLAIM,
    DEPLOYMENT,
    POLICY,
    SECRET,
    SERVICE,
    Kind,
    Object,
    encoded,
)
from inference_provider.targets.kubernetes.pods import (
    hardened_container,
    hardened_pod,
    node_selector,
    pull_secrets,
)
from inference_provider.targets.kubernetes.workloads import template_of

FETCHER, BUILDER = "storage-initializer", "environment"
"""Names of the init containers of an instance."""
_PROGRAMS = "inference_provider.targets.kubernetes"
_FOLDER, _TOOLS, _VARIABLES = "/content", "/tools", "/variables"
_VARIABLES_OF = "variables"
"""Name of the volume there."""
_INFERENCE = str(PurePosixPath(SCRIPT).parent)
_LAST_REQUESTS = (f"{ENVIRONMENT}/bin/python", "-I", "-S", f"{_INFERENCE}/last_requests.py")
_TOKEN = f"{names.PREFIX}/token"
"""Annotation: another token needs another pod, which reads it when it starts."""
_KEY = f"{names.PREFIX}/bucket-credentials"
"""Annotation of a pod whose bucket has a connection: other credentials need another pod. It is
empty before the connection is there."""
_BUCKET = "--bucket"
_END_WAIT_S = 30


@dataclass(frozen=True)
class Volume:
    """Where the content of a workspace lies."""

    size: str = ""
    """Of its claim: `20Gi`; empty for the disk of the node, which is emptied when the pod moves."""
    storage_class: str | None = None
    """The cluster's own when None."""
    url: str = ""
    """Of a prefix in a bucket; the disk of the node then has what is at hand."""
    secret: str = ""
    """Name of the Secret with variables for the bucket."""
    connection: str = ""
    """Name of the connection that has them; its Secret comes after the first pod."""
    service_account: str = ""
    """As whom the pod reaches the bucket."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """Labels by which a cloud gives that account's pods its identity."""

    @property
    def variables(self) -> Object | None:
        """The volume with the variables; None where it needs none."""
        kept: Object = {"secretName": self.secret}
        if self.connection:
            kept = {"secretName": names.bucket(self.connection), "optional": True}
        given = self.secret or self.connection
        return {"name": _VARIABLES_OF, "secret": kept} if given else None


def claim_fault(claim: Object, volume: Volume) -> tuple[str, str] | None:
    """Say why a claim that is there cannot become what is asked for, and what to do."""
    size = claim["spec"]["resources"]["requests"]["storage"]
    if volume.size and bytes_of(volume.size) < bytes_of(size):
        return f"its claim has {size}, and cannot shrink to {volume.size}", f"write size: {size}"
    given = claim["spec"].get("storageClassName")
    if volume.storage_class not in (None, given):
        reason = f"its claim is of storage class '{given}', which cannot be changed"
        return reason, "write that one, or leave it out"
    return None


def bytes_of(amount: str) -> int:
    """Return an amount of bytes as a number: `20Gi`."""
    number = amount.rstrip("kKMGTPEi")
    unit = amount[len(number) :]
    base = 1024 if unit.endswith("i") else 1000
    return int(float(number) * base ** " KMGTPE".index((unit[:1] or " ").upper()))


@dataclass(frozen=True)
class ContentService:
    """What keeps the content of one workspace."""

    workspace: str
    namespace: str
    image: str
    """The runtime image."""
    token: str = ""
    """What its clients show."""
    volume: Volume = Volume()
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the connection of its bucket gives, encoded; empty where it gives nothing yet."""
    pull_secrets: Sequence[str] = ()
    """Secrets with the credentials of registries."""
    clients: Sequence[str] = ()
    """Networks that the API server, or its agents, come from; anywhere when empty."""

    def objects(self) -> tuple[Object, ...]:
        """Return them in the order in which they are applied."""
        claim = (self._claim(),) if self.volume.size else ()
        return (*claim, self._secret(), self._service(), self._policy(), self._deployment())

    def _object(self, kind: Kind, spec: Object) -> Object:
        labels = names.labels(self.workspace, names.CONTENT)
        about = {"name": names.CONTENT_NAME, "namespace": self.namespace, "labels": labels}
        return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, "spec": spec}

    def _secret(self) -> Object:
        labels = names.labels(self.workspace, names.CONTENT)
        about = {"name": names.CONTENT_NAME, "namespace": self.namespace, "labels": labels}
        return _secret(about, {content_passes.TOKEN: self.token})

    @property
    def _chosen(self) -> dict[str, str]:
        return names.selecting(self.workspace, names.CONTENT)

    def _claim(self) -> Object:
        spec: Object = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": self.volume.size}},
        }
        if self.volume.storage_class is not None:
            spec["storageClassName"] = self.volume.storage_class
        return self._object(CLAIM, spec)

    def _service(self) -> Object:
        port = names.CONTENT_PORT
        ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
        return self._object(SERVICE, {"selector": self._chosen, "ports": ports})

    def _policy(self) -> Object:
        """Let instances in, and the API server, which no policy can name but by its addresses."""
        instances = names.selecting(self.workspace, names.INSTANCE)
        ingress: Object = {"ports": [{"port": names.CONTENT_PORT, "protocol": "TCP"}]}
        if self.clients:
            networks = [{"ipBlock": {"cidr": cidr}} for cidr in self.clients]
            ingress["from"] = [{"podSelector": {"matchLabels": instances}}, *networks]
        spec = {
            "podSelector": {"matchLabels": self._chosen},
            "policyTypes": ["Ingress"],
            "ingress": [ingress],
        }
        return self._object(POLICY, spec)

    def _deployment(self) -> Object:
        """One pod at a time: a claim is of one node, and two pods would have two contents."""
        labels = names.labels(self.workspace, names.CONTENT)
        known = {_TOKEN: hashlib.sha256(self.token.encode()).hexdigest()[:16]}
        if self.volume.connection:
            told = json.dumps(self.variables, sort_keys=True) if self.variables else ""
            known[_KEY] = told and content_passes.digest_of(self.token, told)
        spec = {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": self._chosen},
            "template": {
                "metadata": {"labels": {**labels, **self.volume.identity}, "annotations": known},
                "spec": self._pod(),
            },
        }
        return self._object(DEPLOYMENT, spec)

    def _pod(self) -> Object:
        claim = {"persistentVolumeClaim": {"claimName": names.CONTENT_NAME}}
        where: Object = claim if self.volume.size else {"emptyDir": {}}
        account, variables = self.volume.service_account, self.volume.variables
        return {
            **({"serviceAccountName": account} if account else {}),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {**hardened_pod(), "fsGroupChangePolicy": "OnRootMismatch"},
            "terminationGracePeriodSeconds": _END_WAIT_S,
            **pull_secrets(self.pull_secrets),
            **node_selector(self.image),
            "containers": [self._container()],
            "volumes": [{"name": "content", **where}, *([variables] if variables else [])],
        }

    def _container(self) -> Object:
        port = names.CONTENT_PORT
        variables = [_mount(_VARIABLES_OF, _VARIABLES, read_only=True)]
        token = {"name": names.CONTENT_NAME, "key": content_passes.TOKEN}
        probe = {"httpGet": {"path": "/healthz", "port": port, "scheme": "HTTP"}}
        return {
            "name": names.CONTENT,
            "image": self.image,
            "command": ["python3", "-m", f"{_PROGRAMS}.content_server", _FOLDER, *self._bucket()],
            "env": [{"name": content_passes.VARIABLE, "valueFrom": {"secretKeyRef": token}}],
            "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
            "resources": _small("64Mi", "512Mi"),
            "securityContext": hardened_container(),
            "volumeMounts": [
                _mount("content", _FOLDER),
                *(variables if self.volume.variables else ()),
            ],
            "readinessProbe": {**probe, "periodSeconds": 1, "timeoutSeconds": 5},
            "livenessProbe": {**probe, "periodSeconds": 10, "timeoutSeconds": 10},
        }

    def _bucket(self) -> tuple[str, ...]:
        if not self.volume.url:
            return ()
        owner = ("--owner", f"{self.namespace}/{self.workspace}")
        variables = ("--variables", _VARIABLES) if self.volume.variables else ()
        return (_BUCKET, self.volume.url, *owner, *variables)


def has_bucket(content: Object) -> bool:
    """Whether the Deployment of a content pod keeps what it has in a bucket."""
    [container] = content["spec"]["template"]["spec"]["containers"]
    return _BUCKET in container.get("command", ())


def awaits_credentials(content: Object) -> bool:
    """Whether a content pod was started before the connection was there that has its bucket's."""
    return (content["spec"]["template"]["metadata"].get("annotations") or {}).get(_KEY) == ""


def _small(memory: str, limit: str) -> Object:
    """Return what a container asks for that copies: pages of files count, and are given back."""
    return {"requests": {"cpu": "20m", "memory": memory}, "limits": {"memory": limit}}


# -- an instance ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fetched:
    """What the pods of one generation fetch before they start."""

    runtime_image: str
    image: str
    """What the instance runs in."""
    environment: EnvironmentSpec
    assets: Mapping[str, str]
    """Hashes of the archives of `model` and `code`, by these words."""
    resources: Resources
    built: bool = False
    """Whether that image was built for this environment."""

    @property
    def installs(self) -> bool:
        """Whether packages are installed in the pod."""
        return not self.built and self._is_ours

    @property
    def _is_ours(self) -> bool:
        """Whether instances run in a Python of ours, not as somebody made their image."""
        return not is_brought(self.environment)

    def given(self) -> Given:
        """Return what the pod of an instance is given."""
        mounts, volumes = [], []
        if self.assets:
            volumes.append({"name": "content", "emptyDir": {}})
            mounts.append(_mount("content", MOUNTED, read_only=True))
        if self.installs:
            volumes.append({"name": "environment", "emptyDir": {}})
            mounts.append(_mount("environment", ENVIRONMENT, read_only=True))
        if self._is_ours:
            volumes.append({"name": "tools", "emptyDir": {}})
            mounts.append(_mount("tools", _INFERENCE, read_only=True))
        builder = (self._builder(),) if self.installs else ()
        return Given(
            image=self.image,
            bin_dir=PurePosixPath(ENVIRONMENT) / "bin",
            code_dir=self._folder(CODE),
            model_dir=self._folder(MODEL),
            init_containers=(self._fetcher(), *builder) if volumes else (),
            volumes=tuple(volumes),
            mounts=tuple(mounts),
            last_requests=_LAST_REQUESTS if self._is_ours else (),
            installs=self.installs,
        )

    def _folder(self, kind: str) -> PurePosixPath | None:
        return PurePosixPath(MOUNTED) / kind / INSIDE if kind in self.assets else None

    def _fetcher(self) -> Object:
        """Return what brings model, code and tools; the runtime image has `/opt/inference` too."""
        assets = [f"{kind}={digest}" for kind, digest in sorted(self.assets.items())]
        tools = ["--tools", _TOOLS] if self._is_ours else []
        tools += ["--installer"] if self.installs else []
        mounts = [_mount("content", MOUNTED)] if self.assets else []
        mounts += [_mount("tools", _TOOLS)] if self._is_ours else []
        command = ["python3", "-m", f"{_PROGRAMS}.fetch", "--into", MOUNTED, *tools, *assets]
        about = {"resources": _small("64Mi", "256Mi"), "volumeMounts": mounts}
        return _init(FETCHER, self.runtime_image, command, about)

    def _builder(self) -> Object:
        """Return what makes the environment, with what the instance itself may use later."""
        key, python = environment_key(self.environment, self.image), self.environment.python_version
        command = ["python3", "-m", f"{_PROGRAMS}.environment_builder", "--key", key]
        command += ["--python", python] if python else []
        variables = {"PYTHONPATH": f"{_INFERENCE}/lib", "PYTHONDONTWRITEBYTECODE": "1"}
        may = {"cpu", "memory"}
        found = {part: {n: v for n, v in given.items() if n in may}
                 for part, given in amounts(self.resources).items()}  # fmt: skip
        about = {
            "env": [{"name": name, "value": value} for name, value in variables.items()],
            "envFrom": [{"secretRef": {"name": secret_name(key)}}],
            "resources": found,
            "volumeMounts": [_mount("environment", ENVIRONMENT), _mount("tools", _INFERENCE)],
        }
        return _init(BUILDER, self.image, command, about)


def _mount(name: str, path: str, *, read_only: bool = False) -> Object:
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def _init(name: str, image: str, command: Sequence[str], about: Mapping[str, Any]) -> Object:
    return {
        "name": name,
        "image": image,
        "command": list(command),
        "securityContext": hardened_container(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **about,
    }


def environment_key(spec: EnvironmentSpec, image: str) -> str:
    """Return the hash of what decides which packages an environment has."""
    told = json.dumps([list(requirements(spec)), spec.python_version, image])
    return hashlib.sha256(told.encode()).hexdigest()


def key_of(workload: Object) -> str:
    """Return the key of the environment that the pods of a generation make; empty for none."""
    for container in template_of(workload)["spec"].get("initContainers") or ():
        if container["name"] == BUILDER:
            command = container["command"]
            return str(command[command.index("--key") + 1])
    return ""


def secret_name(key: str) -> str:
    """Return the name of the Secret with what an environment is built from."""
    return f"environment-{key[:16]}"


def built_from(spec: EnvironmentSpec) -> dict[str, str]:
    """Return the variable with what is installed: an address in it may have a password."""
    return {REQUIREMENTS: "".join(f"{line}\n" for line in requirements(spec))}


def environment_secret(
    workspace: str, namespace: str, key: str, variables: Mapping[str, str]
) -> Object:
    """Return the Secret with the variables of who builds the environment of a key."""
    about = {
        "name": secret_name(key),
        "namespace": namespace,
        "labels": names.labels(workspace, names.CONTENT),
    }
    return _secret(about, variables)


def _secret(about: Object, found: Mapping[str, str]) -> Object:
    kind = {"apiVersion": SECRET.api, "kind": SECRET.name}
    return {**kind, "metadata": about, "data": encoded(found)}
