"""What a waiting room has to say, and who waits until it has more to say."""

import threading

from inference_provider.targets.envoy.room import Said
from inference_provider.targets.envoy.waiting_room import WaitingRoom


class RoomNews:
    """That of one router."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._count = 0

    def tell(self) -> None:
        """Say that there is news."""
        with self._told:
            self._count += 1
            self._told.notify_all()

    def said(self, room: WaitingRoom, after: int, wait_s: float) -> Said:
        """Return what there is to say, once there is news after those that somebody has.

        Args:
            room: The router's.
            after: The last news that somebody has.
            wait_s: Longest wait, seconds.
        """
        with self._told:
            self._told.wait_for(lambda: self._count != after, wait_s)
            count = self._count
        return Said(news=count, waiting=room.waiting(), woken=room.woken())
