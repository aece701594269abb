"""What of a workspace's service is at fault on a machine, wherever that is, as a plan tells it."""

import ipaddress
from collections.abc import Iterator
from contextlib import suppress

from inference_provider.errors import Fault
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.service import ServiceSettings
from inference_provider.targets.listening import EVERYWHERE


def web_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Yield why a service cannot listen beside all else of its workspace, or not be found."""
    service = spec.service
    if service is None:
        return
    metrics = spec.metrics.port if spec.metrics else None
    for taken, field in ((spec.router_port, "router_port"), (metrics, "metrics.port")):
        if service.port == taken:
            yield Fault("service.port", f"{service.port} is the {field} too", "use another")
    yield from _console_faults(spec, service)


def _console_faults(spec: WorkspaceSpec, service: ServiceSettings) -> Iterator[Fault]:
    """Refuse a console that browsers elsewhere would find by no name."""
    if not service.console or service.bind_address not in EVERYWHERE:
        return
    if all(map(_is_loopback, _certified(spec))):
        reason = (
            f"{service.bind_address} is no name, and without one that is not loopback's no browser"
            " elsewhere is shown the console"
        )
        remedy = "write the address that they use, or have tls whose certificate names one"
        yield Fault("service.bind_address", reason, remedy)


def _certified(spec: WorkspaceSpec) -> tuple[str, ...]:
    """Return the names of a workspace's certificate, as `certificates.kept_for` makes it."""
    if spec.tls is None:
        return ()
    if spec.tls.generate:
        return EVERYWHERE.get(spec.bind_address, spec.bind_address), *spec.tls.names
    # cryptography takes 30 ms, and most workspaces need none of it
    from inference_provider.workspace.certificates import names_in  # noqa: PLC0415

    return names_in(spec.tls.certificate or "")


def _is_loopback(name: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost" or "*" in name
