"""A unit -> the generation that it is in a cluster: with what is recorded, kept and there."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from inference_provider.errors import CapabilityMissing
from inference_provider.serving.command import instance_command
from inference_provider.serving.container import in_container
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.spec.quota import gpus_of
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.accounts import Accounts
from inference_provider.targets.kubernetes.capabilities import closed_fault
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.forward_proxy import (
    address_of,
    has_moved,
    variables_of,
)
from inference_provider.targets.kubernetes.instance_manifests import RESTARTED, Generation, Given
from inference_provider.targets.kubernetes.inventory import NodeGpus, products_of
from inference_provider.targets.kubernetes.objects import SECRET, SERVICE, Kind, Object
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.registry_secrets import RegistrySecrets
from inference_provider.targets.kubernetes.workloads import template_of
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State


class Gives(Protocol):
    """What content brings to pods."""

    def given(self, unit: Unit) -> Given:
        """Return it; all that it names is kept. Raises TargetError when something is gone."""


class Drafts:
    """Generations of one workspace.

    Args:
        client: The cluster's API.
        records: Those of the workspace.
        content: What brings code, models and environments.
        gpus: Says which GPUs nodes have; None where this user may not see nodes.
    """

    def __init__(
        self,
        client: Client,
        records: ClusterRecords,
        content: Gives,
        gpus: Callable[[], list[NodeGpus] | None],
    ) -> None:
        self._client = client
        self._records = records
        self._namespace = records.namespace
        self._state = State(records)
        self._content = content
        self._gpus = gpus
        self._accounts = Accounts(client, records)
        self._registries = RegistrySecrets(client, records)

    def generation(self, unit: Unit, name: str, count: int, before: Object | None) -> Generation:
        given, server = self._content.given(unit), server_of(unit.spec, unit.environment)
        proxy = self._proxy()
        brought = server.kind == ServerKind.IMAGE
        port = server.routes.scoring_route.port if brought else names.INSTANCE_PORT
        command = instance_command(
            unit.spec,
            unit.environment,
            in_container(given.bin_dir, variables_of(proxy)),
            code_dir=given.code_dir,
            model_dir=given.model_dir,
            port=port,
            injected=unit.injected,
        )
        endpoint, _, deployment = unit.id.name.partition("/")
        more = {"endpoint": endpoint, "deployment": deployment, "generation": unit.generation}
        closed, asked = self._is_closed(unit, given), self._state.own_spec().cluster
        # a Secret that is changed in place changes nothing in pods that run
        again = unit.afresh or (proxy and before and has_moved(self._there(SECRET, name), proxy))
        account = self._accounts.of(unit, asked.service_accounts)
        more |= {"egress": names.CLOSED} if closed else {}
        more |= {"nodes": str(nodes)} if (nodes := unit.spec.nodes_per_instance) > 1 else {}
        return Generation(
            unit=unit,
            name=name,
            namespace=self._namespace,
            server=server,
            command=command,
            given=given,
            port=port,
            count=count,
            restarted=_now() if before and again else restarted(before),
            labels=names.labels(self._records.workspace, names.INSTANCE, **more),
            products=self._products(unit),
            account=account.name,
            pod_labels=account.labels,
            pull_secrets=(*asked.image_pull_secrets, *self._registries.naming(*given.images)),
            content_host=self._content_host() if closed and given.init_containers else "",
        )

    def _is_closed(self, unit: Unit, given: Given) -> bool:
        """Whether its pods have no way out. Raises CapabilityMissing when they cannot be so."""
        space = self._state.own_spec()
        fault = closed_fault(unit.spec, space, unit.environment, installs=given.installs)
        if fault:
            raise CapabilityMissing(
                "start", str(unit.id), f"{fault.path}: {fault.reason}", fault.remedy
            )
        return self._state.is_closed(unit.spec.egress_public_network_access)

    def _content_host(self) -> str:
        return address_of(self._there(SERVICE, names.CONTENT_NAME))

    def _proxy(self) -> str:
        """Return the address of the forward proxy, whether any rule is there yet or not."""
        closed = self._state.own_spec().egress == "disabled"
        return address_of(self._there(SERVICE, names.EGRESS_NAME)) if closed else ""

    def _there(self, kind: Kind, name: str) -> Object | None:
        return self._client.get(kind, self._namespace, name)

    def _products(self, unit: Unit) -> tuple[str, ...]:
        """Return the products of GPUs that an instance may have; those that it names if unknown."""
        asked = gpus_of(unit.spec)
        if asked is None or not asked.product or asked.device_class:
            return ()
        there = self._gpus()
        return tuple(products_of(asked, there)) if there else (asked.product.replace(" ", "-"),)


def generation_name(unit: Unit) -> str:
    """Return the name of the objects of a unit."""
    grouped = unit.spec.nodes_per_instance > 1
    return names.generation(unit.id.name, unit.generation, grouped=grouped)


def restarted(before: Object | None) -> str:
    """Return when pods were last told to start again; empty for never."""
    if before is None:
        return ""
    noted = template_of(before)["metadata"].get("annotations") or {}
    return str(noted.get(RESTARTED, ""))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
