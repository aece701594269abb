"""One workspace in a cluster: its ports, and what else of it a platform asks."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from inference_provider.errors import TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.kubernetes.accounts import Accounts
from inference_provider.targets.kubernetes.beside import Beside
from inference_provider.targets.kubernetes.bucket_secrets import BucketSecrets
from inference_provider.targets.kubernetes.built_images import BuiltImages
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.compute import KubernetesCompute
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.targets.kubernetes.inventory import NodeGpus
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.registry_secrets import RegistrySecrets
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.served_router import ServedRouter
from inference_provider.targets.kubernetes.whole import Whole
from inference_provider.workspace.ports import Ports, Tell


@dataclass(frozen=True)
class Opened:
    """One workspace."""

    records: ClusterRecords
    beside: Beside
    router: ServedRouter
    content: KubernetesContent
    compute: KubernetesCompute
    accounts: Accounts
    registries: RegistrySecrets
    bucket: BucketSecrets

    @property
    def ports(self) -> Ports:
        return Ports(
            self.records,
            self.compute,
            self.router,
            self.content,
            self.accounts,
            sign_in=self.content.sign_in,
            registry_users=self.registries,
            bucket_user=self.bucket,
        )

    def put(self, settings: RouterSettings, spec: WorkspaceSpec, tell: Tell | None) -> None:
        """Apply what is chosen of a workspace, and wait for it where somebody is told."""
        content = self.beside.content()
        self.router.save(settings)
        if tell is None:
            self.router.apply()
        else:
            self.router.roll(tell)
        self.beside.make(spec)
        if tell is not None:
            self.beside.wait(content, tell)


def wire(
    client: Client,
    records: ClusterRecords,
    gpus: Callable[[], list[NodeGpus] | None],
    built: BuiltImages,
    served: Callable[[], Collection[str]],
) -> Opened:
    """Wire the ports of a workspace.

    Args:
        client: Its cluster.
        records: Its records, which say its name and namespace.
        gpus: Says which GPUs nodes have.
        built: What builds images for it.
        served: Says which groups the cluster's API has.
    """
    beside = Beside(client, records)
    whole = Whole(client, records.namespace, records.workspace)
    router = ServedRouter(
        client,
        records,
        lambda: beside.objects(beside.recorded()),
        whole,
        lambda image: _is_outdated(built, content, image),
    )
    content = KubernetesContent(
        client,
        records.namespace,
        records,
        built=built,
        router_image=lambda: router.settings().image,
    )
    accounts, registries = Accounts(client, records, whole), RegistrySecrets(client, records)
    compute = KubernetesCompute(client, records, content, gpus, whole, served=served)
    bucket = BucketSecrets(
        client, records, lambda tell: beside.renew(router.settings().image, tell)
    )
    return Opened(records, beside, router, content, compute, accounts, registries, bucket)


def _is_outdated(built: BuiltImages, content: KubernetesContent, image: str) -> bool:
    with suppress(TargetError):  # a record that cannot be read names no image
        return built.is_outdated(content.workspace(), image)
    return False
