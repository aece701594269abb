"""ServiceSettings: where the workspace service listens."""

import ipaddress
from typing import Annotated

from pydantic import Field

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.sources import ListenedAddress


class ServiceSettings(SpecModel):
    """Where the workspace service listens, a process of its own beside the router.

    It speaks HTTPS alone where the workspace has `tls`, with the same certificate.
    """

    port: Annotated[int, Field(ge=1, le=65535)]
    """TCP port that it listens on."""
    bind_address: Annotated[ListenedAddress, NO_SECRET] = "127.0.0.1"
    """Address that it listens on; any but loopback needs `tls`, as the router's does."""

    console: bool = False
    """Whether it serves the console too, at `/`, to who signs in with a token of the workspace and
    may read all endpoints; what else somebody may see and do there, their roles say."""

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine reaches it."""
        return ipaddress.ip_address(self.bind_address).is_loopback
