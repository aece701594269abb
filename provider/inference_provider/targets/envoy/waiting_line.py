"""Requests that wait for an instance of one deployment: who goes on, and when.

They go on in the order in which they came, and no more at a time than the router sends to the
deployment at once: what is more would be refused, after it has waited. The caller gives the times.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable

from inference_provider.router.holding import Held
from inference_provider.router.status import Traffic
from inference_provider.router.table import DeploymentEntry

ARRIVES_S = 1.0
"""Time in which a request that may go on reaches the deployment, or never will."""
GoOn = Callable[[bool], None]
"""Tells a request whether it may go on."""

Most = tuple[Held, Held]
"""What waits at a time: of all deployments, and of one."""


class WaitingLine:
    """The line of one deployment."""

    def __init__(self) -> None:
        self._waiting: dict[GoOn, tuple[float, int]] = {}
        """Until when each waits, and the bytes of its body; in the order in which they came."""
        self._body_bytes = 0
        self._sent: deque[float] = deque()
        """When those went on that the deployment has not got yet."""
        self._begun: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def held(self) -> Held:
        """What waits here."""
        return Held(len(self._waiting), self._body_bytes)

    def join(self, go_on: GoOn, until_s: float, body_bytes: int = 0) -> None:
        """Have a request wait until some time, of whose body the router keeps some bytes."""
        self._waiting[go_on] = until_s, body_bytes
        self._body_bytes += body_bytes

    def leave(self, go_on: GoOn) -> None:
        """Forget one that has given up, or went on."""
        _, body_bytes = self._waiting.pop(go_on, (0.0, 0))
        self._body_bytes -= body_bytes

    def refuse_late(self, now_s: float) -> None:
        """Refuse those whose time is over."""
        for go_on in [one for one, (until_s, _) in self._waiting.items() if until_s <= now_s]:
            self._tell(go_on, False)

    def refuse_all(self) -> None:
        """Refuse all of them."""
        for go_on in [*self._waiting]:
            self._tell(go_on, False)

    def move(self, deployment: DeploymentEntry, traffic: Traffic, now_s: float) -> None:
        """Let as many go on as the deployment takes.

        Args:
            deployment: Whose requests they are.
            traffic: What goes there now.
            now_s: Time.
        """
        for _ in range(self._arrived(traffic)):
            if self._sent:
                self._sent.popleft()
        while self._sent and self._sent[0] <= now_s - ARRIVES_S:
            self._sent.popleft()
        room = room_for(deployment) - traffic.in_flight - len(self._sent)
        if traffic.healthy <= 0 or room <= 0:
            return
        for go_on in [*self._waiting][:room]:
            self._sent.append(now_s)
            self._tell(go_on, True)

    def _arrived(self, traffic: Traffic) -> int:
        before, self._begun = self._begun, traffic.begun
        return 0 if before is None else max(traffic.begun - before, 0)

    def _tell(self, go_on: GoOn, let_go_on: bool) -> None:
        self.leave(go_on)
        go_on(let_go_on)


def takes(lines: Iterable[WaitingLine], one: WaitingLine, body_bytes: int, most: Most) -> bool:
    """Return whether one more request may wait.

    Args:
        lines: All of them.
        one: Where it would wait.
        body_bytes: What the router would keep of its body.
        most: What waits at a time: of all deployments, and of one.
    """
    of_all = [line.held for line in lines if line]
    together = Held(sum(held.requests for held in of_all), sum(held.body_bytes for held in of_all))
    return together.takes(body_bytes, most[0]) and one.held.takes(body_bytes, most[1])


def room_for(deployment: DeploymentEntry) -> int:
    """Return how many requests a router sends to a deployment at once."""
    return 2 * deployment.max_concurrent * max(len(deployment.backends), 1)


def retry_after_s(patience_s: int) -> int:
    """Return after how many seconds one that was refused should come again."""
    return max(1, math.ceil(patience_s / 20))
