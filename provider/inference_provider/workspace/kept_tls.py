"""The certificate of a workspace's router as it is kept, with its key in clear text. Pure.

Who makes one is `certificates.py`, which needs more than a router has.
"""

import json
from datetime import datetime, timedelta

from pydantic import SecretStr

from inference_provider.observed import Frozen
from inference_provider.router.table import Tls
from inference_provider.spec.fields import in_clear

RENEW_DAYS = 30
"""Days before its end from which a generated certificate is made again."""


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
    ends: datetime | None = None
    """When its certificate does; None where nobody could tell."""

    def fault(self, now: datetime) -> str:
        """Say that the certificate has ended, or soon does if `up` can make another; else empty."""
        left = RENEW_DAYS if self.authority else 0
        if self.ends is None or self.ends - timedelta(days=left) > now:
            return ""
        verb = "ended" if self.ends <= now else "ends"
        return f"its certificate {verb} on {self.ends:%Y-%m-%d}"

    @property
    def document(self) -> str:
        """JSON with keys in clear text."""
        return json.dumps({**in_clear(self), "ends": self.ends and self.ends.isoformat()})

    @property
    def trusted(self) -> str:
        """PEM that callers must be told to trust; empty where that is the user's affair."""
        return self.authority.certificate if self.authority else ""
