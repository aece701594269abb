"""Which cluster and which namespace a place leads to, by ids that last as long as they do.

A cluster has no id of its own: that of the namespace kube-system, which every cluster has for as
long as it exists, stands for it.
"""

from contextlib import suppress

from inference_provider.spec.target import Home
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import NAMESPACE, Object
from inference_provider.targets.kubernetes.refusals import Forbidden, Refused


def home_of(client: Client, namespace: str) -> Home:
    """Return the home behind a client, as far as this user may see it.

    Args:
        client: The cluster's API.
        namespace: The one that the place names, of which a user with rights in it alone may see the
            id; empty when it names none.
    """
    seen = {"cluster": _seen(client, "kube-system"), "namespace": _seen(client, namespace)}
    ids = {name: str(one["metadata"]["uid"]) for name, one in seen.items() if one}
    return Home(ids, str(client))


def _seen(client: Client, namespace: str) -> Object | None:
    with suppress(Forbidden, Refused):
        return client.get(NAMESPACE, "", namespace) if namespace else None
    return None
