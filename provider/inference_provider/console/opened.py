"""What every page has at hand: the target, the stack file, and what may be done.

Nothing of a target is decided here: a page calls the pipeline and the engine, as a command does.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from inference_provider.cli.session import Session
from inference_provider.console.answers import Refused, Shown, page
from inference_provider.console.forms import Form
from inference_provider.console.gate import Browsers
from inference_provider.console.handlers import Handlers
from inference_provider.console.history import History
from inference_provider.errors import InferenceError, SpecError
from inference_provider.observed import Kind, ObservedResource, ObservedState, Presence, ResourceId
from inference_provider.plan import Plan
from inference_provider.stack import Pipeline
from inference_provider.waivers import Waiver
from inference_provider.workspace.engine import Engine

MOST_KEPT = 100
"""Plans that were shown and not applied yet, and changes not told yet; the oldest goes."""


class ShownSplit(NamedTuple):
    """A split whose plan somebody was shown."""

    endpoint: ResourceId
    shares: Mapping[str, int]
    plan: Plan


class ShownFix(NamedTuple):
    """A fix of drift whose plan somebody was shown."""

    addresses: tuple[str, ...]
    """Of all that may change."""
    plan: Plan


class ShownWaiver(NamedTuple):
    """A waiver that somebody was shown."""

    waiver: Waiver
    text: str
    """What its file becomes."""


AnyShown = ShownSplit | ShownFix | ShownWaiver


One = TypeVar("One")


class Once(Generic[One]):
    """What is taken once, by the name that a form or an address sends back."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, One] = OrderedDict()
        self._lock = Lock()

    def put(self, one: One) -> str:
        name = token_urlsafe(16)
        with self._lock:
            self._kept[name] = one
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return name

    def take(self, name: str) -> One | None:
        """Return it once; None when it is not known, or was taken."""
        with self._lock:
            return self._kept.pop(name, None)


@dataclass(frozen=True)
class Console:
    """One run of `inferctl console`."""

    session: Session
    """Its target is open."""
    gate: Browsers
    file: Path | None = None
    """The stack file, for drift; each page reads it again."""
    writes: bool = False
    """Whether a page may change anything."""
    plans: Once[AnyShown] = field(default_factory=Once)
    changed: Once[ResourceId] = field(default_factory=Once)
    """Endpoints whose new split the next page tells."""
    last_names: deque[tuple[str, ...]] = field(default_factory=partial(deque, maxlen=1))
    """The stack's workspaces, as its file said when it could be read last."""
    handlers: Handlers = field(default_factory=Handlers)
    history: History = field(default_factory=History)
    admit: "Admit" = lambda asked, _path: asked
    """Says as what a request is answered, when its handler runs; who is signed in may do all here
    unless this says otherwise."""
    failed: Callable[[Exception], str] | None = None
    """Writes down what nobody expected, and returns what is told of it. Where nothing does, who
    runs the console is told all of it."""

    @property
    def target(self) -> Engine:
        return self.session.target

    @property
    def pipeline(self) -> Pipeline:
        return self.session.pipeline("console")

    def workspaces(self) -> tuple[tuple[str, ...], str]:
        """Return the stack's workspaces; without a stack file all that there are.

        Where its names cannot be read: those that were read last, and why.
        """
        if self.file is None:
            return self.target.workspaces(), ""
        try:
            stack = self.session.read_name(self.file)
        except SpecError as exc:
            return self.last_names[-1] if self.last_names else self.target.workspaces(), str(exc)
        names, told = stack.workspaces, ""
        try:
            names = self.pipeline.workspaces(stack)
        except (InferenceError, OSError) as exc:  # of one that the file does not name
            told = str(exc)
        self.last_names.append(names)
        return names, told

    def observe(self, workspace: str) -> ObservedState:
        """Return all of a workspace. Raises Refused when there is none of that name."""
        self.refuse_unknown(workspace)
        return self.target.observe((workspace,))

    def refuse_unknown(self, workspace: str) -> None:
        """Raise Refused when there is no workspace of that name."""
        if workspace not in self.target.workspaces():
            raise Refused(404, f"There is no workspace '{workspace}'.")


class Asked(NamedTuple):
    """A request that a browser of ours has sent, and the console that answers it."""

    console: Console
    request: Request
    form: Form = Form({}, {})

    @property
    def browser(self) -> str:
        return str(self.request.scope["browser"])

    @property
    def shown(self) -> Shown:
        token = self.console.gate.form_token(self.browser)
        file = self.console.file
        return Shown(token, self.console.writes, str(file) if file else "")

    def page(self, name: str, **values: Any) -> Response:
        return page(name, self.shown, **values)

    @property
    def typed(self) -> str:
        """What somebody typed who would lose it with the page: a message, or a body."""
        return self.form.text("text") or self.form.text("body")

    def part(self, name: str) -> str:
        """Return a part of the path, or of the query."""
        found = self.request.path_params.get(name)
        return str(self.request.query_params.get(name, "") if found is None else found)

    def endpoint(self) -> tuple[ObservedResource, ObservedState]:
        """Return the endpoint that the path names, and its workspace. Raises Refused."""
        workspace, name = self.part("workspace"), self.part("endpoint")
        observed = self.console.observe(workspace)
        there = observed.get(ResourceId(kind=Kind.ENDPOINT, workspace=workspace, name=name))
        if there.presence == Presence.ABSENT:
            raise Refused(404, f"There is no endpoint '{name}' in workspace '{workspace}'.")
        return there, observed

    def refuse_read_only(self) -> None:
        """Raise Refused where this console changes nothing."""
        if not self.console.writes:
            told = "This console is read-only. Start it again with `inferctl console --write`."
            raise Refused(403, told)


Admit = Callable[[Asked, str], Asked]
"""From a request and the path of its page, with names in braces: as what it is answered. Raises
Refused where its browser may not."""
