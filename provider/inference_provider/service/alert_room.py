"""What webhooks are still to be told, as far as there is room to write it down. Pure.

Where it is written down may be small: a ConfigMap has a mebibyte. What is oldest of each alert is
given up first, and how many messages were, is told with the alert.
"""

from collections.abc import Mapping

from inference_provider.workspace.alert_states import AlertState, Message, written

Name = tuple[str, str]
"""Endpoint, and the alert's name there."""
KEPT = 20
"""Messages that wait for one webhook."""
_FEWER = (10, 5, 2, 1, 0)
_ENOUGH = 0.9
"""Share of the room that is taken then: the next message has to have some too."""


def text_of(states: Mapping[Name, AlertState]) -> str:
    """Return the document of states."""
    found = dict[str, dict[str, AlertState]]()
    for (endpoint, name), state in sorted(states.items()):
        found.setdefault(endpoint, {})[name] = state
    return written(found)


def with_message(state: AlertState, message: Message) -> AlertState:
    """Return a state whose webhook is to be told one more."""
    return _newest(state.model_copy(update={"pending": (*state.pending, message)}), KEPT)


def given_up(states: Mapping[Name, AlertState], most_bytes: int) -> dict[Name, AlertState]:
    """Return the states that change for all to be within some bytes of text; none if they are."""
    if len(text_of(states).encode()) <= most_bytes:
        return {}
    changed = dict[Name, AlertState]()
    for count in _FEWER:
        changed = {n: _newest(one, count) for n, one in states.items() if len(one.pending) > count}
        if len(text_of({**states, **changed}).encode()) <= _ENOUGH * most_bytes:
            break
    return changed


def _newest(state: AlertState, count: int) -> AlertState:
    left = max(0, len(state.pending) - count)
    update = {"pending": state.pending[left:], "given_up": state.given_up + left}
    return state.model_copy(update=update)
