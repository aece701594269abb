"""What BuildKit answers is read as it lies on the wire."""

import base64

import pytest

from inference_provider.targets.docker.build_progress import outcome


def field(number, content):
    assert len(content) < 128
    return bytes((number << 3 | 2, len(content))) + content


def trace(*fields):
    return {"id": "moby.buildkit.trace", "aux": base64.b64encode(b"".join(fields)).decode()}


def vertex(digest, error=b""):
    cached, begun = b"\x20\x01", field(5, b"\x08\x90\x91\xa1\xd8\x06")
    return field(1, field(1, digest) + field(3, b"RUN x") + cached + begun + field(7, error))


def log(digest, message):
    return field(3, field(1, digest) + b"\x18\x02" + field(4, message))


def failed(text):
    return {"errorDetail": {"message": text}, "error": text}


def test_the_id_of_an_image_is_its_outcome_and_nothing_is_said():
    answer = [
        trace(vertex(b"sha256:a"), log(b"sha256:a", b"built\n")),
        {"id": "moby.image.id", "aux": {"ID": "sha256:22da"}},
    ]
    assert outcome(answer) == ("sha256:22da", "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            "executor failed running [/bin/sh -c echo a; exit 3]: exit code: 3",
            "(exit code 3 of `echo a; exit 3`)",
            id="of 20.10",
        ),
        pytest.param(
            'failed to solve: process "/bin/sh -c echo a; exit 3" did not complete successfully:'
            " exit code: 3",
            "(exit code 3 of `echo a; exit 3`)",
            id="of 23 and newer",
        ),
        pytest.param(
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition:"
            " dockerfile parse error line 2: unknown instruction: NONSENSE",
            "dockerfile parse error line 2: unknown instruction: NONSENSE",
            id="of the frontend",
        ),
        pytest.param("no active sessions", "no active sessions", id="anything else"),
    ],
)
def test_a_failure_is_what_its_step_printed_and_why_it_ended(error, said):
    answer = [
        trace(vertex(b"sha256:a"), vertex(b"sha256:b"), log(b"sha256:a", b"of another step\n")),
        trace(log(b"sha256:b", b"one\ntw"), log(b"sha256:b", b"o\n")),
        trace(vertex(b"sha256:b", b"exit code: 3")),
        failed(error),
    ]
    assert outcome(answer) == (None, f"one\ntwo\n\n{said}")


def test_a_number_of_several_bytes_is_read():
    long = b"x" * 300
    message = b"\x22" + b"\xac\x02" + long
    content = field(1, b"sha256:b") + message
    size = len(content)
    logs = b"\x1a" + bytes((size & 0x7F | 0x80, size >> 7)) + content
    answer = [trace(logs), trace(vertex(b"sha256:b", b"e")), failed("e")]
    assert outcome(answer) == (None, "x" * 300 + "\ne")


def test_what_another_step_printed_that_was_ended_is_not_why():
    ended = b"executor failed running [/bin/sh -c b]: exit code: 137: context canceled"
    answer = [
        trace(log(b"sha256:b", b"of another\n"), log(b"sha256:a", b"\x1b[1;31mwhy\x1b[0m\n")),
        trace(vertex(b"sha256:b", ended)),
        trace(vertex(b"sha256:a", b"executor failed running [/bin/sh -c a]: exit code: 3")),
        failed("executor failed running [/bin/sh -c a]: exit code: 3"),
    ]
    assert outcome(answer) == (None, "why\n\n(exit code 3 of `a`)")


def test_the_end_of_much_that_is_printed_and_the_begin_of_a_long_command_say_why():
    error = f"executor failed running [/bin/sh -c {'c' * 200}]: exit code: 3"
    said = outcome([
        *[trace(log(b"sha256:a", b"%0100d" % number)) for number in range(1000)],
        trace(log(b"sha256:a", b"why"), vertex(b"sha256:a", b"exit code: 3")),
        failed(error),
    ]).said  # fmt: skip
    assert len(said) < 70_000
    assert said.endswith(f"{999:0100d}why\n(exit code 3 of `{'c' * 100}…`)")
