"""What of a workspace's TLS is at fault, as a target tells it when planning."""

from collections.abc import Iterator
from datetime import UTC, datetime

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.listening import EVERYWHERE


def tls_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Yield why a router cannot show the certificate of a workspace, or not now."""
    if spec.tls is not None:
        # cryptography takes 30 ms, and most workspaces need none of it
        from inference_provider.workspace.certificates import certificate_faults  # noqa: PLC0415

        yield from certificate_faults(spec.tls, datetime.now(UTC))


def tls_notes(desired: DesiredResource, _workspace: WorkspaceSpec | None) -> Iterator[str]:
    """Yield what of a certificate callers will trip over."""
    spec = desired.spec
    if not isinstance(spec, WorkspaceSpec) or spec.tls is None or spec.tls.generate:
        return
    from inference_provider.workspace.certificates import missing_name  # noqa: PLC0415

    host = EVERYWHERE.get(spec.bind_address, spec.bind_address)
    if spec.bind_address not in EVERYWHERE and missing_name(spec.tls, [host]):
        yield (
            f"the certificate is not for {host}, which the scoring URLs name: callers there refuse"
            " it, unless they use a name of it"
        )
