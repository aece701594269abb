"""Reads the logs of a workspace again and again, and sends what is new where it declares it to go.

The files are the buffer: what a collector does not take is read again, as long as it is there. Each
line is sent at least once: twice where this process is killed between the answer and its note.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from inference_provider.errors import InferenceError
from inference_provider.service.log_book import Book
from inference_provider.service.looking import Beat, unheard
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.log_tail import (
    LONGEST_BYTES,
    Line,
    Position,
    Source,
    Tail,
)
from inference_provider.targets.sent_logs import read
from inference_provider.workspace.log_rows import TYPE, Row

if TYPE_CHECKING:
    from inference_provider.service.otlp_logs import Collector, Record

PERIOD_S = 1.0
_LONGEST_PAUSE_S = 60.0
_BATCH_BYTES = 512 * 1024
_BATCH_LINES = 2000
_OF_ONE_BYTES = 2 * LONGEST_BYTES
"""Of one log at once, so that one which grows fast holds up no other."""
_BEAT_S = 5.0
_SHOWN = 300
"""Characters of what is wrong that a status shows."""
_LOOKS_UNTIL_GONE = 3
"""A log may be missed in the moment in which it is set aside."""


class _Batch(NamedTuple):
    records: "list[Record]"
    positions: dict[str, Position | None]
    """Behind it of each log; None where none of its files is left."""
    left: dict[str, int]
    """Bytes behind it of each log."""
    lost: int
    is_full: bool = False
    """Whether there is more to read at once."""


class LogExport:
    """Sends logs, where that is declared; a thread of its own, which holds up nothing else.

    Args:
        sources: Returns the logs that are there.
        settings: Returns what the workspace declares now; None for nothing.
        book: Where it is written down how far they were sent.
        workspace: Its name.
    """

    def __init__(
        self,
        sources: Callable[[], Iterable[Source]],
        settings: Callable[[], LogSettings | None],
        book: Book,
        workspace: str,
    ) -> None:
        """Begin where the book ends. Raises TargetError where that cannot be read."""
        self._sources, self._settings = sources, settings
        self._book, self._workspace = book, workspace
        self._sent = self._written = read(book.read())
        self._write_s = float("-inf")
        """When it may be written again how far logs were sent."""
        self._collector: Collector | None = None
        self._url = ""
        self._most_lines = _BATCH_LINES
        self._takes = False
        """Whether lines were taken since one was passed over."""
        self._pause_s = 0.0
        self._turn = 0
        self._left: dict[str, int] = {}
        self._missed: Counter[str] = Counter()
        self._failed = ""
        """Why the last look failed, in the status as well."""
        self._said: dict[str, str] = {}
        """What is wrong, by what is concerned."""

    def run(self, beat: Beat = unheard) -> None:
        """Look for ever, in a thread of its own that ends with the process."""
        threading.Thread(target=self._run, args=(beat,), name="logs", daemon=True).start()

    def _run(self, beat: Beat) -> None:
        pause = threading.Event()
        while True:
            left_s = self.look()
            while left_s > 0:  # it may pause for a minute, and is well
                beat("")  # what is wrong with it is beside what was sent
                pause.wait(min(left_s, _BEAT_S))
                left_s -= _BEAT_S

    def look(self) -> float:
        """Send what is new, as far as it is one batch; return the pause until the next look, in s.

        What is wrong is said in the log of the process, when it is not what was said last.
        """
        began_s = time.monotonic()
        try:
            settings = self._settings()
            url = (settings.otlp_endpoint or "") if settings else ""
            self._open(url)
            is_more = self._send() if url else False
            self._save()
        except Exception as fault:  # noqa: BLE001 - a thread that ends would send nothing more
            is_more = False
            said = str(fault) if isinstance(fault, (InferenceError, OSError)) else repr(fault)
            self._say("reading", f"logs are not sent: {said}")
            self._failed = " ".join(said.split())[:_SHOWN]
            self._sent = self._sent.failing(self._failed, datetime.now(UTC))
            self._save()
        else:
            self._said.pop("reading", None)
            if self._failed and self._sent.fault == self._failed:
                self._sent = self._sent.model_copy(update={"fault": "", "since": None})
                self._save()
            self._failed = ""
        took_s = time.monotonic() - began_s  # half of a core at the most
        return max(self._pause_s, took_s if is_more else PERIOD_S)

    def _open(self, url: str) -> None:
        if url == self._url:
            return
        self._collector, self._url, self._pause_s, self._takes = None, "", 0.0, False
        if url:
            from inference_provider.service.otlp_logs import Collector  # noqa: PLC0415 - an extra

            self._collector = Collector(url, self._workspace)
        else:
            self._sent = self._sent.model_copy(update={"fault": "", "since": None})
        self._url = url

    def _send(self) -> bool:
        """Send one batch; return whether there is more at once."""
        sources = {one.name: one for one in self._sources()}
        self._forget(sources)
        batch = self._batch([*sources.values()])
        if not batch.records:
            self._settle(batch)
            return False
        assert self._collector
        from inference_provider.service.otlp_logs import Verdict  # noqa: PLC0415 - as above

        answer = self._collector.send(batch.records)
        if answer.verdict is Verdict.TAKEN:
            self._settle(batch, answer.rejected)
            return batch.is_full
        if answer.verdict is Verdict.CONTENT and len(batch.records) > 1:
            self._most_lines = len(batch.records) // 2  # until it is known which one it is
            return True
        if answer.verdict is Verdict.CONTENT and not self._leave_out(batch, answer.fault):
            answer = answer._replace(fault=f"{answer.fault}, to whatever it got")
        self._wait(answer.fault)
        return False

    def _leave_out(self, batch: _Batch, fault: str) -> bool:
        """Pass a line over where the collector takes others; else it wants none: they wait.

        Where it has taken none since the last one, it is told of this one, as the other.
        """
        from inference_provider.service.otlp_logs import Record, Verdict  # noqa: PLC0415 - as above

        assert self._collector
        (one,) = batch.records
        if not self._takes:
            told = Record(_told_refused(one.row, fault), f"refused {one.uid}")
            self._takes = self._collector.send([told]).verdict is Verdict.TAKEN
        takes, self._takes = self._takes, False
        if takes:
            self._pass_over(batch)
        return takes

    def _batch(self, sources: Sequence[Source]) -> _Batch:
        from inference_provider.service.otlp_logs import Record  # noqa: PLC0415 - as above

        self._turn += 1
        start = self._turn % len(sources) if sources else 0
        found = _Batch([], {}, {}, 0)
        left_bytes, left_lines = _BATCH_BYTES, self._most_lines
        for one in (*sources[start:], *sources[:start]):
            if left_bytes <= LONGEST_BYTES or left_lines <= 0:
                found = found._replace(is_full=True)
                break
            known = self._sent.positions.get(one.name)
            try:
                tail = one.tail(known, min(left_bytes, _OF_ONE_BYTES), left_lines)
            except (OSError, InferenceError) as fault:  # the others are sent
                self._say(one.name, f"{one.name} is not sent: {fault}")
                continue
            self._said.pop(one.name, None)
            # a log that was not asked for now may have no place either, and has what is left
            is_gone = tail.position is None and not tail.left
            if tail.lost or (is_gone and self._left.get(one.name, 0) > 0):
                found.records.append(Record(_told_lost(one.name), f"lost {one.name} {time.time()}"))
                found = found._replace(lost=found.lost + 1, is_full=found.is_full or tail.lost)
                tail, left_lines = _before(tail), left_lines - 1
            found.records.extend(Record(_row(one, line), line.uid) for line in tail.lines)
            used = _bytes_of(tail)
            left_bytes, left_lines = left_bytes - used, left_lines - len(tail.lines)
            found.left[one.name] = tail.left
            # what is left of a log that was not read to its end may be a line that has none yet
            is_cut = used > _OF_ONE_BYTES - LONGEST_BYTES or left_lines <= 0
            found = found._replace(is_full=found.is_full or is_cut)
            self._left[one.name] = tail.left + used
            found.positions[one.name] = tail.position
        return found

    def _settle(self, batch: _Batch, rejected: int = 0) -> None:
        """Note that a batch is done with."""
        if batch.records:
            self._most_lines = min(_BATCH_LINES, self._most_lines * 2)
            self._pause_s, self._takes = 0.0, True
            self._said.pop("sending", None)
            calm = {"fault": "", "since": None, "rejected": self._sent.rejected + rejected}
            self._sent = self._sent.model_copy(update=calm)
        self._pass_over(batch, 0)

    def _pass_over(self, batch: _Batch, refused: int = 1) -> None:
        """Go on behind a batch."""
        known = {**self._sent.positions, **batch.positions}
        moved = {
            "positions": {name: one for name, one in known.items() if one},
            "rejected": self._sent.rejected + refused,
        }
        self._sent = self._sent.model_copy(update=moved)
        self._left.update(batch.left)
        self._count_lost(batch.lost)

    def _forget(self, sources: Mapping[str, Source]) -> None:
        """Drop the positions of logs that are gone for good; count those that had lines left."""
        gone = []
        for name in (self._sent.positions.keys() | self._left.keys()) - sources.keys():
            self._missed[name] += 1
            if self._missed[name] >= _LOOKS_UNTIL_GONE:
                gone.append(name)
        for name in self._missed.keys() & sources.keys():
            del self._missed[name]
        if gone:
            kept = {n: one for n, one in self._sent.positions.items() if n not in gone}
            self._sent = self._sent.model_copy(update={"positions": kept})
            self._count_lost(sum(self._left.pop(name, 0) > 0 for name in gone))
            for name in gone:
                del self._missed[name]

    def _count_lost(self, times: int) -> None:
        if times:
            self._sent = self._sent.having_lost(times, datetime.now(UTC))
            self._said.pop("losing", None)  # each time is told
            self._say("losing", f"lines of {times} logs were gone before they could be sent")

    def _wait(self, fault: str) -> None:
        self._pause_s = min(max(PERIOD_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        self._sent = self._sent.failing(fault, datetime.now(UTC))
        self._say("sending", f"logs do not go to {self._url}: {fault}")

    def end(self) -> None:
        """Write down how far logs were sent; the process is to end."""
        self._write_s = float("-inf")
        self._save()

    def _save(self) -> None:
        now_s = time.monotonic()
        goes_on = self._sent.model_copy(update={"positions": self._written.positions})
        if self._sent == self._written or (goes_on == self._written and now_s < self._write_s):
            return
        self._write_s = now_s + self._book.every_s
        try:
            self._book.write(self._sent.model_dump_json())
        except InferenceError as fault:  # a full disk
            why = "since it cannot be noted how far they were sent"
            self._say("noting", f"logs are sent again after a restart, {why}: {fault}")
        else:
            self._written = self._sent
            self._said.pop("noting", None)

    def _say(self, of: str, said: str) -> None:
        if self._said.get(of) != said:
            print(said, file=sys.stderr, flush=True)  # noqa: T201 - the log of the process
        self._said[of] = said


def _before(tail: Tail) -> Tail:
    """Return a tail of which no line is taken yet.

    What is told before it is a record of its own: no line with it could be asked for alone.
    """
    return tail._replace(lines=[], position=tail.start, left=tail.left + _bytes_of(tail))


def _bytes_of(tail: Tail) -> int:
    return sum(len(line.text) + 1 for line in tail.lines)


def _row(source: Source, line: Line) -> Row:
    """Return what a line is; one that nobody foresaw holds up no other."""
    try:
        return source.row(line)
    except Exception:  # noqa: BLE001 - whatever is in it
        return {TYPE: source.name, "Message": line.text.decode(errors="replace")}


def _told_lost(name: str) -> Row:
    return _told(
        "LinesLost",
        f"Lines of {name} may be missing before this: its files were gone before they were sent",
    )


def _told_refused(row: Row, fault: str) -> Row:
    of = f"{row.get(TYPE)} of {row.get('TimeGenerated') or 'an unknown time'}"
    return _told(
        "LineRefused", f"A line is left out, as this collector does not want it: {of}; {fault}"
    )


def _told(name: str, message: str) -> Row:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {TYPE: name, "TimeGenerated": now, "Name": name, "Message": message}
