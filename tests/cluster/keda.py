"""KEDA in the cluster, for tests of rules that it keeps: its operator and its metrics adapter.

What is applied are the files of its own release, without the webhooks and without the rotation of
certificates, for which pods would start twice.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import installs, supplies
from tests.cluster.api import Api, condition, path_of
from tests.cluster.places import Places, ours

_VERSION = supplies.version("keda")
_IMAGES = {
    "keda-operator": ("keda", f"inference.test/keda:{_VERSION}"),
    "keda-metrics-apiserver": ("keda-adapter", f"inference.test/keda-adapter:{_VERSION}"),
}
"""Program and image, by Deployment."""
_ZONES = Path("/usr/share/zoneinfo")
_NAMESPACE, _CERTS = "keda", "kedaorg-certs"
_APIS = "/apis/apiregistration.k8s.io/v1/apiservices"
_FILES = ("general", "crd/bases", "service_account", "rbac", "manager", "metrics-server")


@contextmanager
def installed(api: Api) -> Iterator[None]:
    """Have the cluster serve KEDA, and not any more; skip the test where it cannot."""
    if not installs.is_to_be_installed(api, "keda", "/apis/keda.sh/v1alpha1"):
        yield
        return
    with _in_ours(ours(), api):
        yield


@contextmanager
def _in_ours(at: Places, api: Api) -> Iterator[None]:
    for program, image in _IMAGES.values():
        installs.load_missing(at, program, image, _ZONES)
    objects = list(_objects(at))
    try:
        api.apply(*objects)
        for name in _IMAGES:
            api.until(
                f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/{name}",
                lambda seen: condition(seen, "Available"),
                limit_s=120,
            )
        for group in ("v1beta1.external.metrics.k8s.io", "v1alpha1.keda.sh"):
            api.until(f"{_APIS}/{group}", lambda seen: condition(seen, "Available"))
        yield
    finally:
        kinds = [one for one in objects if one["kind"] == "CustomResourceDefinition"]
        api.delete(*map(path_of, kinds))  # KEDA has to end what is of them
        for one in kinds:
            api.until_gone(path_of(one))
        api.delete(*(path_of(one) for one in reversed(objects)))


def _objects(at: Places) -> Iterator[dict[str, Any]]:
    hosts = [
        f"{name}.{_NAMESPACE}.svc{end}"
        for name in ("keda-operator", "keda-metrics-apiserver")
        for end in ("", ".cluster.local")
    ]
    certificate, key = installs.certificate("keda", *hosts)
    for folder in _FILES:
        for file in sorted((at.source("keda") / "config" / folder).glob("*.yaml")):
            for one in yaml.safe_load_all(file.read_text()):
                if one and "metadata" in one:  # no Kustomization
                    yield _changed(one, certificate)
        if folder == "general":
            data = {"ca.crt": certificate, "tls.crt": certificate, "tls.key": key}
            yield {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": _CERTS, "namespace": _NAMESPACE},
                "stringData": data,
            }


def _changed(one: dict[str, Any], certificate: str) -> dict[str, Any]:
    if one["kind"] == "APIService":
        one["spec"]["caBundle"] = base64.b64encode(certificate.encode()).decode()
    if one["kind"] == "Deployment":
        pod = one["spec"]["template"]["spec"]
        pod["securityContext"]["runAsUser"] = 1000  # the image names none
        [container] = pod["containers"]
        container |= {"image": _IMAGES[one["metadata"]["name"]][1], "imagePullPolicy": "Never"}
        kept = (arg for arg in container["args"] if "rotation" not in arg)
        container["args"] = [*kept]
        del container["livenessProbe"]
        container["readinessProbe"] |= {
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "failureThreshold": 120,
        }
    return one
