"""What a start will use, written down before it begins: others count it meanwhile."""

from datetime import datetime

from inference_provider.observed import Actor, Frozen
from inference_provider.spec.quota import Size


class Reservation(Frozen):
    """The quota that a deployment being started will use."""

    size: Size
    actor: Actor
    time: datetime
