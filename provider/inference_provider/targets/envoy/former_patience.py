"""Keeps a deployment holding requests for a while after its rule stops allowing zero instances.

A rule that goes, or that asks for an instance again, leaves a deployment for a while without any.
What comes meanwhile waits as before. The caller gives the times.
"""

from collections.abc import Collection, Mapping

from inference_provider.router.table import DeploymentEntry


class FormerPatience:
    """That of the deployments of one router."""

    def __init__(self) -> None:
        self._patience_s: dict[str, int] = {}
        self._until_s: dict[str, float] = {}
        """When it ends, of those that are to have none any more."""

    def kept(
        self, deployments: Mapping[str, DeploymentEntry], awake: Collection[str], now_s: float
    ) -> Mapping[str, int]:
        """Return the seconds that requests wait on, by deployment.

        Args:
            deployments: What is to be served, by `<endpoint>/<deployment>`.
            awake: Those that have an instance which gets requests.
            now_s: Time.
        """
        for name, one in deployments.items():
            if one.patience_s:
                self._patience_s[name] = one.patience_s
                self._until_s.pop(name, None)
            elif name in self._patience_s:
                self._until_s.setdefault(name, now_s + self._patience_s[name])
        for name in [*self._patience_s]:
            over = name in self._until_s and (name in awake or now_s >= self._until_s[name])
            if over or name not in deployments:
                self._patience_s.pop(name)
                self._until_s.pop(name, None)
        return {name: self._patience_s[name] for name in self._until_s}

    def ends(self, now_s: float) -> bool:
        """Whether that of any deployment is over."""
        return any(until_s <= now_s for until_s in [*self._until_s.values()])
