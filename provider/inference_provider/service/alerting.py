"""Looks at the alerts of a workspace again and again, and has their webhooks told.

`alerts.py` decides. How each stands, and what its webhook is still to be told, is written down
before anything is sent, and nothing is sent as long as it cannot be: who is killed tells nobody
twice that an alert fired, but for a message whose answer was not written down any more. What is
measured is lost with the process: a window begins again.
"""

import threading
import traceback
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from inference_provider import alerts
from inference_provider.alerts import Growth, Look, Standing, Verdict
from inference_provider.errors import InferenceError
from inference_provider.metrics.series import Reading, Series, series
from inference_provider.service.alert_payload import payload
from inference_provider.service.alert_room import Name, given_up, text_of, with_message
from inference_provider.service.looking import Beat, look, unheard
from inference_provider.service.webhook import send
from inference_provider.spec.alert import OF_INSTANCES, AlertRule
from inference_provider.targets.in_place import with_room, write_over
from inference_provider.targets.private_file import write_private
from inference_provider.workspace.alert_states import AlertState, Message, read
from inference_provider.workspace.kept_alerts import Rules
from inference_provider.workspace.measured import Meter
from inference_provider.workspace.ports import Clock

PERIOD_S = 5.0
PAUSES_S = (5, 10, 30, 60, 120, 300, 600, 600, 600)
"""Waits after messages that did not arrive; then it is given up."""
_AT_ONCE = 8
"""Messages that are sent at once: one that hangs takes 10 s."""

Tell = Callable[[str, str, str], None]
"""Told an endpoint, the name of what happened, and a sentence."""


@dataclass
class _Watched:
    """What is known of one alert, as long as this process lives."""

    looks: tuple[Look, ...] = ()
    well_s: float = 0.0
    silent_s: float = 0.0
    is_sending: bool = False
    next_s: float = 0.0
    """When the next message may be sent, by a clock that never decreases."""

    def begin_again(self) -> None:
        """Forget what was measured: it was of another rule."""
        self.looks, self.well_s, self.silent_s = (), 0.0, 0.0

    def judged(self, rule: AlertRule, measured: "_Measured", endpoint: str) -> Verdict:
        """Return what the window of a rule of an endpoint says after a look."""
        one, at_s = measured.look(rule, endpoint), measured.at_s
        looks = (*self.looks, one) if one else self.looks
        self.looks = alerts.remembered(rule, looks, at_s)
        answered = measured.answered
        if one is None and rule.metric in OF_INSTANCES:
            answered &= measured.reading.told
        verdict = alerts.judged(
            rule, self.looks, at_s, is_measured=one is not None, answered=answered
        )
        if one is None and rule.metric in OF_INSTANCES and (why := measured.reading.notes):
            verdict = replace(verdict, why="; ".join((verdict.why, *why)))
        if verdict.is_silent:
            self.silent_s += one.seconds if one else measured.since_last_s
        elif verdict.beyond is not None:
            self.silent_s = 0.0
        if verdict.beyond:
            self.well_s = 0.0
        elif one and verdict.beyond is False:
            self.well_s += one.seconds
        return verdict


@dataclass(frozen=True)
class _Measured:
    """What one look at a workspace has found out."""

    at_s: float
    begin_s: float
    """When the router has answered before."""
    last_s: float | None
    """When the look before was."""
    reading: Reading
    growth: Mapping[str, Growth] | None
    """By endpoint; None where nobody knows."""
    known: Mapping[str, list[Series]]

    @property
    def answered(self) -> bool:
        """Whether the router did."""
        return self.reading.answered

    @property
    def since_last_s(self) -> float:
        """Seconds since the look before; 0 where that was long ago."""
        passed_s = self.at_s - (self.at_s if self.last_s is None else self.last_s)
        return passed_s if 0 < passed_s <= alerts.LONGEST_S else 0.0

    def look(self, rule: AlertRule, endpoint: str) -> Look | None:
        """Return what of it a rule of an endpoint is about; None where it was not measured."""
        known = self.known.get(endpoint, [])
        if not alerts.is_counted(rule):
            return alerts.seen(rule, self.last_s, self.at_s, known)
        if self.growth is None:
            return None
        growth = self.growth.get(endpoint, Growth())
        return alerts.looked(rule, growth, self.begin_s, self.at_s, known)


@dataclass(frozen=True)
class Place:
    """Where alerts are of, and what is told of them."""

    workspace: str
    meter: Meter
    rules: Callable[[], Rules]
    unreadable: Callable[[], Collection[str]]
    """Returns the endpoints whose rules cannot be read."""
    webhooks: Callable[[str], Mapping[str, SecretStr]]
    """Returns who is told, by endpoint."""
    digest: Callable[[str, str], str]
    """Returns by what it shows that a webhook of an endpoint is another one."""
    file: Path
    tell: Tell
    clock: Clock
    incarnations: Callable[[], Mapping[str, str]] = dict
    """Returns which creation of an endpoint is there, by endpoint, of those that know theirs."""
    post: Callable[[SecretStr, Any], str] = field(default=send)
    most_bytes: int = 8_000_000
    """Of what the file says: what is oldest of messages that find no room is given up."""
    also: Callable[[str], None] = lambda _states: None
    """Writes down what the file says where others read it. Raises InferenceError."""


class Alerting:
    """Watches the alerts of one workspace; what it sends holds up no look."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._watched: dict[Name, _Watched] = {}
        self._states: dict[Name, AlertState] = dict(_kept(place.file))
        self._before: Reading | None = None
        """The last reading in which the router answered."""
        self._last_s: float | None = None
        self._lock = threading.Lock()
        self._saved = ""
        self._senders = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhook")

    def look(self) -> None:
        """Measure once, decide, write down, and send what is to be sent.

        Raises:
            InferenceError: What is declared, or runs, cannot be read, and nothing fires or
                resolves; or how alerts stand cannot be written down, and nothing is sent.
            OSError: As the second.
        """
        rules = {
            (of, n): one for of, some in self._place.rules().items() for n, one in some.items()
        }
        unreadable, incarnations = self._place.unreadable(), self._place.incarnations()
        with self._lock:
            for gone in self._states.keys() - rules.keys():
                if gone[0] not in unreadable:
                    self._forget(gone)
            self._watched = {name: one for name, one in self._watched.items() if name in rules}
        reading, fault = None, None
        try:
            reading = self._place.meter() if any(one.enabled for one in rules.values()) else None
        except InferenceError as wrong:
            fault = wrong
        measured = self._measured(reading) if reading else None
        with self._lock:
            for name, rule in rules.items():
                self._begin_again(name, rule, incarnations.get(name[0], ""))
                self._look_at(name, rule, measured)
                self._clear(name, rule)
            unsaved = self._save()
            if unsaved is None:
                self._send(rules)
        if reading:
            self._last_s = reading.at_s
            self._before = reading if reading.answered else self._before
        if kept_from := fault or unsaved:
            raise kept_from

    def _measured(self, reading: Reading) -> _Measured:
        before = self._before
        return _Measured(
            reading.at_s,
            before.at_s if before else reading.at_s,
            self._last_s,
            reading,
            alerts.grown_between(before, reading),
            alerts.of_endpoints(series(before or reading, reading)),
        )

    def _forget(self, gone: Name) -> None:
        if self._states.pop(gone).standing.has_fired:
            said = f"alert '{gone[1]}' is declared no more; nobody is told that it is resolved"
            self._place.tell(gone[0], "AlertRemoved", said)

    # -- one alert -----------------------------------------------------------------------------

    def _begin_again(self, name: Name, rule: AlertRule, incarnation: str) -> None:
        """Resolve what has fired under the name of a rule, where that was another rule."""
        watched, state = self._watched.setdefault(name, _Watched()), self._of(name)
        before, made = state.rule, state.incarnation
        is_new = before is not None and alerts.is_another(rule, before)
        if is_new or (made and incarnation and made != incarnation):
            watched.begin_again()
            standing = alerts.begun_again(state.standing, self._place.clock.now())
            if state.standing.has_fired:
                state = self._turned(name, rule, state, standing)
            state = state.model_copy(update={"standing": standing})
        update = {"rule": rule, "incarnation": incarnation or made}
        self._states[name] = state.model_copy(update=update)

    def _look_at(self, name: Name, rule: AlertRule, measured: _Measured | None) -> None:
        watched, state, now = self._watched[name], self._of(name), self._place.clock.now()
        verdict = Verdict(None, None, alerts.UNMEASURED if rule.enabled else "it is turned off")
        if rule.enabled and measured:
            verdict = watched.judged(rule, measured, name[0])
        standing = alerts.decided(
            rule,
            verdict,
            state.standing,
            well_s=watched.well_s,
            silent_s=watched.silent_s,
            now=now,
        )
        state = state.model_copy(
            update={"value": verdict.value, "said": verdict.why, "looked": now}
        )
        if standing is not state.standing:
            state = self._turned(name, rule, state, standing)
        self._states[name] = state

    def _turned(
        self, name: Name, rule: AlertRule, state: AlertState, standing: Standing
    ) -> AlertState:
        """Return the state of an alert that has fired, or is resolved; the rule is that of now."""
        id_ = str(uuid.uuid4()) if standing.has_fired else state.id
        when = standing.since or self._place.clock.now()
        message = Message(
            id=id_,
            condition=standing.condition,
            time=when,
            fired_at=standing.fired_at or when,
            rule=state.rule,
            value=state.value,
            why=standing.why,
        )
        self._place.tell(
            name[0], f"Alert{standing.condition}", f"alert '{name[1]}': {standing.why}"
        )
        state = state.model_copy(update={"standing": standing, "id": id_})
        if rule.webhook is None:
            return state.model_copy(update={"pending": ()})
        return self._told_of_room(name, state, with_message(state, message))

    def _told_of_room(self, name: Name, before: AlertState, now: AlertState) -> AlertState:
        """Tell once that what a webhook is to be told finds no room; return the state of now."""
        if now.given_up and not before.given_up:
            said = f"alert '{name[1]}': {now.without_room}"
            self._place.tell(name[0], "AlertNotDelivered", said)
        return now

    def _of(self, name: Name) -> AlertState:
        return self._states.get(name, AlertState())

    # -- webhooks ------------------------------------------------------------------------------

    def _send(self, rules: Mapping[Name, AlertRule]) -> None:
        """Begin to send what is due: one message of an alert at a time."""
        now_s = self._place.clock.monotonic_s()
        for name, rule in rules.items():
            watched, state = self._watched[name], self._of(name)
            if watched.is_sending or not state.pending or now_s < watched.next_s:
                continue
            if rule.webhook is None:
                continue
            watched.is_sending = True
            self._senders.submit(self._deliver, name, rule, rule.webhook, state.pending[0])

    def _clear(self, name: Name, rule: AlertRule) -> None:
        """Forget why a webhook took nothing, where that is gone, or another one now."""
        state = self._of(name)
        if rule.webhook is None and state.pending:  # it had one
            state = self._states[name] = state.model_copy(update={"pending": ()})
        if state.fault and state.fault_of != self._whom(name, rule.webhook):
            self._states[name] = state.model_copy(update={"fault": "", "fault_of": ""})
            self._watched[name].next_s = 0.0  # what waits may arrive there

    def _whom(self, name: Name, webhook: str | None) -> str:
        return f"{webhook} {self._place.digest(name[0], webhook)}" if webhook else ""

    def _deliver(self, name: Name, rule: AlertRule, webhook: str, message: Message) -> None:
        body = payload(self._place.workspace, *name, message.rule or rule, message)
        whom = ""
        try:
            whom = self._whom(name, webhook)
            url = self._place.webhooks(name[0]).get(webhook)
            fault = self._place.post(url, body) if url else "it is gone; apply the endpoint again"
        except Exception as wrong:  # noqa: BLE001 - its thread would be lost, and nobody told
            fault = f"it cannot be told: {type(wrong).__name__}"
        with self._lock:
            self._note(name, webhook, message, fault, whom)

    def _note(self, name: Name, webhook: str, message: Message, fault: str, whom: str) -> None:
        """Write down whether a message arrived; nothing of an alert that is gone meanwhile."""
        watched, state = self._watched.get(name), self._states.get(name)
        if watched:
            watched.is_sending = False
        if watched is None or state is None or message not in state.pending:
            return
        now_s, rest = self._place.clock.monotonic_s(), state.pending[1:]
        if not fault:
            watched.next_s = now_s
            told = {"pending": rest, "told": self._place.clock.now(), "fault": "", "given_up": 0}
        elif message.tries < len(PAUSES_S):
            watched.next_s = now_s + PAUSES_S[message.tries]
            tried = message.model_copy(update={"tries": message.tries + 1})
            said = f"webhook '{webhook}' was not told {message.condition}: {fault}"
            told = {"pending": (tried, *rest), "fault": f"{said}; it is tried again"}
        else:
            watched.next_s = now_s
            said = f"webhook '{webhook}' was not told {message.condition}: {fault}"
            told = {"pending": rest, "fault": f"{said}; given up after {message.tries + 1} times"}
        if fault and (not message.tries or message.tries == len(PAUSES_S)):
            self._place.tell(name[0], "AlertNotDelivered", f"alert '{name[1]}': {told['fault']}")
        self._states[name] = state.model_copy(update={**told, "fault_of": whom if fault else ""})
        self._save()

    # -- the file ------------------------------------------------------------------------------

    def _save(self) -> Exception | None:
        """Write down how all stand, if that has changed; return why that is not possible."""
        for name, state in given_up(self._states, self._place.most_bytes).items():
            self._states[name] = self._told_of_room(name, self._of(name), state)
        text = text_of(self._states)
        if text == self._saved:
            return None
        try:
            _write(self._place.file, text)
            self._place.also(text)
        except (OSError, InferenceError) as fault:
            return fault
        self._saved = text
        return None

    def run(self, beat: Beat = unheard) -> None:
        """Look for ever, in a thread of its own that ends with the process."""
        threading.Thread(target=self._run, args=(beat,), name="alerts", daemon=True).start()

    def _run(self, beat: Beat) -> None:
        said, pause = "", threading.Event()
        while True:
            try:
                said = look(self, said)
                beat(said)
            except BaseException:  # noqa: BLE001 - the thread would end, and nobody would watch
                traceback.print_exc()
            pause.wait(PERIOD_S)


def _write(file: Path, text: str) -> None:
    """Write the file; over the one that is there where the disk is full, so that alerts go on."""
    try:
        write_private(file, with_room(text))
    except (OSError, InferenceError):
        with suppress(OSError):
            write_over(file, text)
            return
        raise


def _kept(file: Path) -> Iterator[tuple[Name, AlertState]]:
    with suppress(OSError):
        for endpoint, some in read(file.read_bytes()).items():
            for name, state in some.items():
                yield (endpoint, name), state
