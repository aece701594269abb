"""`score`: one request to an endpoint, its answer on stdout as it comes.

Goes in: an endpoint's name and a body. Comes out: the answer's bytes, or an error that says what
helps against the status the router answered.
"""

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple

import httpx
import typer

from inference_provider.cli import strict_json
from inference_provider.cli.answer_text import TEXTUAL, decoded, error_text
from inference_provider.cli.lookup import find
from inference_provider.cli.options import Endpoint, Json, Workspace
from inference_provider.cli.session import Session, session_of
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.files.reading import Unreadable, read_stream
from inference_provider.observed import Kind, ObservedResource, ResourceId
from inference_provider.quoting import without_secrets
from inference_provider.spec.request_limits import BODY_MIB
from inference_provider.spec.sources import meant_by
from inference_provider.targets.loopback import Identity, loopback_client

SCORE_TIMEOUT_S = 200.0
"""Between two pieces of an answer; a little over the longest request a deployment may allow."""
_TOKEN_LIFETIME = timedelta(minutes=5)
_TOKEN_HELP = {
    401: "{token} is expired, or of another issuer; the router's log says",
    403: "name its owner, or a group, in a role assignment that allows to score; or get one for"
    " the audience of the workspace's identity_provider",
}
_LOOPBACK = ip_address("127.0.0.1")
PIN_HEADER = "azureml-model-deployment"
_HELP = {
    401: "the router's keys differ from the recorded ones; run `inferctl up` to update them",
    404: "run `inferctl status` to see what there is, `inferctl up` to create what is missing",
    408: "raise request_settings.request_timeout_ms of the deployment, or send a smaller body",
    413: "send a smaller body, or raise request_limits.max_body_mib of the endpoint",
    424: "the deployment answered with an error; see `inferctl logs {logs}`",
    429: "retry in a moment, or raise instance_count or "
    "request_settings.max_concurrent_requests_per_instance",
    503: "`inferctl status` says which instances are ready, `inferctl logs {logs}` why the others"
    " are not; `inferctl up FILE` repairs it",
}
"""What helps, by the status the router answers; `{logs}` is a deployment's full name."""


def score(
    ctx: typer.Context,
    endpoint: Endpoint,
    *,
    data: Annotated[str | None, typer.Option(help="File of the body; - is stdin.")] = None,
    deployment: Annotated[
        str | None, typer.Option(help="Deployment to ask, whatever the split says.")
    ] = None,
    client_certificate: Annotated[
        Path | None, typer.Option(help="Certificate in PEM, for a workspace with tls.client_ca.")
    ] = None,
    client_key: Annotated[
        Path | None, typer.Option(help="Its private key, where that is in another file.")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Send one request to an endpoint; print the answer as it comes."""
    session = session_of(ctx)
    identity = _identity(client_certificate, client_key)
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    body = read_body(session, data, largest_mib(there))
    with asked(session, there, body, deployment, identity) as (answer, by_socket):
        if not answer.is_success:
            raise failure(session, there, answer, deployment, by_socket=by_socket)
        if as_json:
            answer.read()
            session.print_json(_collected(answer))
        else:
            _stream(answer)


def largest_mib(endpoint: ObservedResource) -> int:
    """Return the size of the largest body that the endpoint's router takes."""
    limits = endpoint.properties.get("request_limits") or {}
    return int(limits.get("max_body_mib", BODY_MIB))


def read_body(
    session: Session, data: str | None, largest_mib: int, option: str = "--data"
) -> bytes:
    """Return the body of a request: a file's, or what comes on stdin. Raises SpecError."""
    if data is None and session.interactive:
        fault = Fault(option, "missing", "name a file, or - and type the body")
        raise SpecError((fault,), "the command line")
    try:
        if data in (None, "-"):
            return read_stream(sys.stdin.buffer, "stdin", largest_mib)
        with Path(str(data)).open("rb") as stream:  # a pipe will do
            return read_stream(stream, str(data), largest_mib)
    except Unreadable as exc:
        fault = exc.fault(option, "send a smaller body")
    except (OSError, ValueError) as exc:  # ValueError: a null byte
        cause = exc.strerror if isinstance(exc, OSError) else str(exc)
        fault = Fault(option, f"cannot read '{data}': {cause}", "name a file that can be read")
    raise SpecError((fault,), "the command line")


def _identity(certificate: Path | None, key: Path | None) -> Identity | None:
    if certificate:
        return Identity(certificate, key)
    if key:
        fault = Fault("--client-key", "without a certificate", "name it by --client-certificate")
        raise SpecError((fault,), "the command line")
    return None


@contextmanager
def asked(
    session: Session,
    there: ObservedResource,
    body: bytes,
    deployment: str | None,
    identity: Identity | None = None,
    *,
    document: str = "",
) -> Iterator[tuple[httpx.Response, bool]]:
    """Yield the answer, its body not read yet, and whether a socket of this machine led there.

    With the URL of a document of the endpoint that is read; its model is not asked to score.
    """
    if deployment and not (deployment.isascii() and deployment.isprintable()):  # no header has it
        raise _has_no(session, there, deployment)
    address = document or there.outputs.get("scoring_uri")
    if not address:
        reason = "it has no scoring address"
        raise TargetError(
            "score", str(there.id), reason, "run `inferctl up`, then `inferctl status`"
        )
    tls = _tls(session, there)
    headers = _headers(_credential(session, there), deployment)
    answered = False
    with (
        session.target.way_to(there.id.workspace, address) as way,
        _client(session, tls, way.socket, identity) as client,
    ):
        # a router without a certificate of its own has one before it, which a socket passes by
        plain = way.socket and not tls.of_router
        url = address.replace("https://", "http://", 1) if plain else address
        try:
            method = "GET" if document else "POST"
            with client.stream(method, url, content=body, headers=headers) as answer:
                answered = True
                yield answer, bool(way.socket)
        except httpx.HTTPError as exc:
            name = type(exc).__name__
            if answered:
                reason = f"the response ended early ({name})"
                remedy = f"see `inferctl logs {_any(there)}`"
            else:
                reason, remedy = _silence(exc, way.cause() or name, address, tls)
            raise TargetError("score", str(there.id), reason, remedy) from exc


def _credential(session: Session, there: ObservedResource) -> str:
    """Return what the endpoint asks for: its key, or a token for this one request."""
    mode = there.record.properties.get("auth_mode") if there.record else "key"
    if mode == "aml_token":
        issued = session.target.token(there.id, _TOKEN_LIFETIME, session.actor("score"))
        return issued.value.get_secret_value()
    if mode == "aad_token":
        return session.callers_token(there.id)
    key = there.secret_outputs.get("primary_key")
    if key is None:
        raise TargetError("score", str(there.id), "its keys are gone", "run `inferctl up`")
    session.note_use_of_key(there.id)
    return key.get_secret_value()


def _headers(key: str, deployment: str | None) -> dict[str, str]:
    return {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        # A compressed answer comes in pieces of the compressor's choosing.
        "accept-encoding": "identity",
        **({PIN_HEADER: deployment} if deployment else {}),
    }


class _Tls(NamedTuple):
    """What a scoring address that begins with https stands for."""

    asked: bool = False
    of_router: bool = False
    """Whether the router itself speaks it."""
    trusted: str = ""
    """Authority that signed the certificate, in PEM, where it is the workspace's own."""
    asks: bool = False
    """Whether callers must show a certificate too."""


def _client(session: Session, tls: _Tls, socket: str, identity: Identity | None) -> httpx.Client:
    encrypted = tls.of_router or (tls.asked and not socket)
    if tls.asks and not identity:
        remedy = "name the file of yours, which an authority of tls.client_ca signed"
        fault = Fault("--client-certificate", "missing; the workspace asks callers for one", remedy)
        raise SpecError((fault,), "the command line")
    if identity and not encrypted:
        cause = "not used, because the router is reached without TLS"
        fault = Fault("--client-certificate", cause, "leave it out")
        raise SpecError((fault,), "the command line")
    try:
        return loopback_client(
            timeout_s=SCORE_TIMEOUT_S,
            transport=session.transport,
            socket_path=socket,
            tls=encrypted,
            trusted=tls.trusted,
            identity=identity,
        )
    except OSError as exc:
        if not identity:
            raise
        raise SpecError((_unusable(identity, exc),), "the command line") from exc


def _unusable(identity: Identity, exc: OSError) -> Fault:
    files = " and ".join(f"'{one}'" for one in identity if one)
    if isinstance(exc, ssl.SSLError):
        hold = "hold" if identity.key else "holds"
        cause = f"{files} {hold} no certificate with its private key, or one with a passphrase"
        remedy = "write both in PEM, the key without a passphrase; --client-key names its file"
    else:
        cause, remedy = f"cannot read {files}: {exc.strerror}", "name files that can be read"
    return Fault("--client-certificate", cause, remedy)


def _tls(session: Session, there: ObservedResource) -> _Tls:
    if not there.outputs["scoring_uri"].startswith("https://"):
        return _Tls()
    space = _space(session, there)
    settings = (space.record.properties.get("tls") if space.record else None) or {}
    trusted = space.outputs.get("ca_certificate", "")
    return _Tls(True, bool(settings), trusted, bool(settings.get("client_ca")))


def _silence(fault: httpx.HTTPError, cause: str, address: str, tls: _Tls) -> tuple[str, str]:
    """Say why a request was not answered, and what helps."""
    if mistrust := str(fault).partition("certificate verify failed: ")[2]:
        reason = f"the certificate at {address} is not trusted: {mistrust.partition(' (_ssl')[0]}"
        return reason, "correct it, or name the file of who signed it in $SSL_CERT_FILE"
    # this is how the router refuses a certificate; a timeout means something else
    ended = isinstance(fault, httpx.ReadError | httpx.RemoteProtocolError | httpx.WriteError)
    if tls.asks and (ended or "ALERT" in str(fault)):
        reason = f"the router ended the connection ({cause}), as it does with a certificate"
        return f"{reason} that no authority of tls.client_ca signed", "show another certificate"
    return f"the router did not answer ({cause})", "run `inferctl start`"


def _stream(answer: httpx.Response) -> None:
    """Write each piece when it comes; text ends in a newline."""
    out = sys.stdout.buffer
    last = b""
    for piece in answer.iter_bytes():
        out.write(piece)
        out.flush()
        last = piece or last
    textual = answer.headers.get("content-type", "").startswith(TEXTUAL)
    if not last.endswith(b"\n") and (textual or sys.stdout.isatty()):
        out.write(b"\n")
        out.flush()


def _collected(answer: httpx.Response) -> dict[str, object]:
    return {
        "status": answer.status_code,
        "deployment": answer.headers.get(PIN_HEADER, ""),
        "request_id": answer.headers.get("x-request-id", "unknown"),
        "body": _value(answer),
    }


def _value(answer: httpx.Response) -> object:
    """Return an answer as strict JSON has it, or as text where it is anything else."""
    with suppress(ValueError):
        return strict_json.read(answer.content.decode("utf-8-sig"))
    return decoded(answer.content, answer.charset_encoding)


def failure(
    session: Session,
    there: ObservedResource,
    answer: httpx.Response,
    pinned: str | None,
    *,
    by_socket: bool,
) -> TargetError:
    """Return what is told of an error whose body is not read yet; raises as `beginning` does."""
    status, request_id = answer.status_code, answer.headers.get("x-request-id", "unknown")
    text = error_text(answer)
    if status == httpx.codes.NOT_FOUND:
        known = _deployments(session, there)
        if pinned and pinned not in known:
            return _has_no(session, there, pinned, f" (x-request-id {request_id})")
        if "NoTraffic" in text and known:
            reason = f"no deployment has a share of its requests (x-request-id {request_id})"
            remedy = f"give one a share: `inferctl split {there.id.name} {known[0]}=100`"
            return TargetError("score", str(there.id), reason, remedy)
    by = answer.headers.get(PIN_HEADER) or pinned
    logs = f"{there.id.name}/{by}" if by else _any(there)
    mode = there.record.properties.get("auth_mode") if there.record else "key"
    helps = _HELP | (_TOKEN_HELP if mode == "aad_token" else {})
    remedy = helps.get(status, "see `inferctl logs {logs}`").format(
        logs=logs, token=session.callers_token_named
    )
    if status == httpx.codes.FORBIDDEN and (help_ := _address_help(session, there, by_socket)):
        # whether this machine's own address is in the ranges is not known here
        remedy = f"{remedy}; or {help_}" if mode == "aad_token" and not by_socket else help_
    said = without_secrets(text, tuple(there.secret_outputs.values()))[:500].strip()
    reason = f"answered {status} {said} (x-request-id {request_id})"
    return TargetError("score", str(there.id), reason, remedy)


def _address_help(session: Session, there: ObservedResource, by_socket: bool) -> str:
    """Say what helps a caller whose address is in none of the ranges; empty where that is not it.

    Where a socket leads to the router, that is asked from the loopback of its own machine or pod.
    """
    space = _space(session, there)
    proxies = space.record.properties.get("trusted_proxies") if space.record else ()
    if proxies and not (by_socket and any(_LOOPBACK in meant_by(one) for one in proxies)):
        also = f", or add {_LOOPBACK} to them" if by_socket else ""
        return f"only trusted_proxies of the workspace may connect; call it through one{also}"
    ranged = [
        one.id.kind.value.lower()
        for one in (there, space)
        if (ranges := one.record and one.record.properties.get("allowed_source_ranges"))
        and not (by_socket and any(_LOOPBACK in meant_by(each) for each in ranges))
    ]
    if not ranged:
        return ""
    of = " and of its ".join(ranged)
    if by_socket:
        return (
            f"inferctl comes to this router from {_LOOPBACK}: add that to the allowed_source_ranges"
            f" of the {of}, or call it from an address in them"
        )
    return f"call it from an address in the allowed_source_ranges of the {of}"


def _space(session: Session, there: ObservedResource) -> ObservedResource:
    name = there.id.workspace
    return session.target.observe_one(ResourceId.of_workspace(name))


def _has_no(session: Session, there: ObservedResource, pinned: str, asked: str = "") -> TargetError:
    known = _deployments(session, there)
    remedy = f"it has {', '.join(known)}" if known else "it has none; run `inferctl up FILE`"
    return TargetError("score", str(there.id), f"it has no deployment '{pinned}'{asked}", remedy)


def _deployments(session: Session, there: ObservedResource) -> list[str]:
    """Return the names of an endpoint's deployments."""
    observed = session.target.observe((there.id.workspace,))
    return sorted(
        found.id.name.partition("/")[2]
        for found in observed.resources.values()
        if found.id.kind == Kind.DEPLOYMENT and found.id.name.startswith(f"{there.id.name}/")
    )


def _any(there: ObservedResource) -> str:
    return f"{there.id.name}/DEPLOYMENT"
