"""The certificate of a workspace's router as it is kept, with its key in clear text. Pure.

Who makes one is `certificates.py`, which needs more than a router has.
"""

import json

from pydantic import SecretStr

from inference_provider.observed import Frozen
from inference_provider.router.table import Tls
from inference_provider.spec.fields import in_clear


class Authority(Frozen):
    """Who signs a generated certificate, and nothing else."""

    certificate: str
    """PEM; what callers trust."""
    private_key: SecretStr
    names: tuple[str, ...]
    """Hosts and addresses that the last certificate is for."""


class KeptTls(Frozen):
    """What a router shows, and who has signed it where that was made with it."""

    tls: Tls
    authority: Authority | None = None
    """None where the certificate is a person's own."""

    @property
    def document(self) -> str:
        """JSON with keys in clear text."""
        return json.dumps(in_clear(self))

    @property
    def trusted(self) -> str:
        """PEM that callers must be told to trust; empty where that is the user's affair."""
        return self.authority.certificate if self.authority else ""
