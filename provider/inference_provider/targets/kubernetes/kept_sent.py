"""What of a workspace's logs its service has sent, as it writes it down in the cluster."""

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kept_parts import KeptParts
from inference_provider.targets.sent_logs import SentLogs, read

ROLE = "logs"
"""Role, as a label."""
_SENT = "sent.json"


class KeptSent:
    """That ConfigMap of one workspace.

    Args:
        client: Its cluster.
        namespace: Where it is.
        workspace: Its name.
    """

    every_s = 10.0
    """Between two times that it is written how far logs were sent: what was sent since is sent
    again by a service that was killed."""

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        self._kept = KeptParts(client, namespace, workspace, name=names.LOGS_NAME, role=ROLE)

    def read(self) -> bytes:
        """Return what the service before has written. Raises TargetError."""
        return self._kept.begin().get(_SENT, "").encode()

    def write(self, document: str) -> None:
        """Write it down. Raises TargetError."""
        parts = {_SENT: document}
        self._kept.write(parts, parts)

    def sent(self) -> SentLogs:
        """Return what was sent; nothing where nobody has sent any. Raises TargetError."""
        return read(self._kept.all().get(_SENT, "").encode())

    @property
    def is_there(self) -> bool:
        """Whether anything was sent."""
        return self._kept.is_there

    def forget(self) -> None:
        """Remove it: logs that are sent again later begin with what is there then."""
        self._kept.forget()
