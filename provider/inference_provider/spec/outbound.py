"""Where instances may go that have no way out."""

from typing import Annotated, Literal

from pydantic import Field

from inference_provider.spec.base import ResourceName, SpecModel

Destination = Annotated[
    str,
    Field(pattern=r"^(\*\.)?([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]([-a-z0-9]*[a-z0-9])?$"),
]
"""A full name, `pypi.org`, or all names under one, `*.pythonhosted.org`."""
OutboundPort = Annotated[int, Field(ge=1, le=65535)]


class OutboundRule(SpecModel):
    """A name that instances without a way out may reach, by HTTPS or HTTP."""

    name: ResourceName
    """Unique in its workspace."""
    type: Literal["fqdn"] = "fqdn"
    """The destination is a name."""
    destination: Destination
    """`pypi.org`, or `*.pythonhosted.org` for all names under it, itself not included."""
    ports: Annotated[tuple[OutboundPort, ...], Field(min_length=1)] = (80, 443)
    """TCP ports of it."""
    allow_private_addresses: bool = False
    """Whether the name may stand for an address of a private network, such as 10.0.0.0/8: a service
    of the cluster or of the company. Never one of loopback, or of a cloud's metadata."""
