import pytest

from inference_provider.files.dockerfile import images_in, unfit_mounts


@pytest.mark.parametrize(
    ("text", "images"),
    [
        pytest.param("FROM python:3.12\nRUN true", ("python:3.12",), id="one"),
        pytest.param(
            "FROM a AS Build\nFROM build\nCOPY --from=bUild /x /x\nCOPY --from=0 /y /y",
            ("a",),
            id="stages are no images, in any case of letters",
        ),
        pytest.param(
            "FROM scratch\nCOPY --chown=1:1 --from=ghcr.io/astral-sh/uv:0.9 /uv /uv",
            ("ghcr.io/astral-sh/uv:0.9",),
            id="copied from an image",
        ),
        pytest.param(
            "FROM a\nRUN --mount=type=bind,from=tools:1,target=/t \\\n  # why\n  /t/run",
            ("a", "tools:1"),
            id="mounted from an image",
        ),
        pytest.param(
            "# syntax = docker/dockerfile:1.7\n# escape=`\nfrom a `\n as b\nFROM c",
            ("docker/dockerfile:1.7", "a", "c"),
            id="directives",
        ),
        pytest.param("FROM a\n# syntax=x\n", ("a",), id="a directive below FROM is a comment"),
        pytest.param(
            'ARG REG="r.example.org" TAG\nARG BASE=${REG}/base\n'
            "FROM ${BASE}:${TAG:-3} AS x\nFROM $BASE:${TAG:+no}1",
            ("r.example.org/base:3", "r.example.org/base:1"),
            id="arguments before the first stage",
        ),
        pytest.param("ARG TAG\nFROM a:$TAG\nFROM b", ("b",), id="what only a build knows"),
        pytest.param("FROM --platform=linux/arm64 a\nFROM b", ("b",), id="of another platform"),
        pytest.param(
            "FROM --platform=$BUILDPLATFORM a AS x\nFROM --platform=${TARGETPLATFORM} b\n"
            "FROM --platform=linux/amd64 c\nFROM d-$TARGETARCH",
            ("a", "b", "c", "d-amd64"),
            id="of the host's platform",
        ),
        pytest.param("FROM\ta\nfrom\t b\tas\tc\nFROM c", ("a", "b"), id="tabs"),
        pytest.param(
            "FROM a\nRUN bash -c 'cat <<<x'; echo $((1<<2)) \"<<EOF\"\nRUN cat <<<x\nFROM b",
            ("a", "b"),
            id="what looks like a heredoc",
        ),
        pytest.param(
            'FROM a\nRUN cat <<"E-1" 3<<-E\nFROM no\n\tE-1\nE-1\nFROM no\n\tE\nFROM b',
            ("a", "b"),
            id="ends of heredocs",
        ),
        pytest.param("FROM a\nONBUILD RUN <<E\nFROM no\nE\nFROM b", ("a", "b"), id="onbuild"),
        pytest.param(
            "ARG B=2\nFROM a:${T:-${B}} AS x\nFROM b:${B:-${T}}\nFROM c:${B:+$B}",
            ("a:2", "b:2", "c:2"),
            id="variables in a default",
        ),
        pytest.param(
            "FROM python:3.\\\n# why\n\n12 \\ \n  AS x\nRUN dir c:\\\\\nFROM a",
            ("python:3.12", "a"),
            id="what goes on in the next line",
        ),
        pytest.param("FROM a\r\nRUN x\x0c\\\r\n y\r\nFROM b", ("a", "b"), id="ends of lines"),
        pytest.param(
            "#foo=bar\n# syntax=docker/dockerfile:1 why\nFROM a",
            ("docker/dockerfile:1", "a"),
            id="directives that nobody knows, and words after one",
        ),
        pytest.param(
            "FROM a\nRUN <<EOF cat <<-'TWO'\nFROM no\nEOF\nFROM no\n\tTWO\nFROM b",
            ("a", "b"),
            id="heredocs",
        ),
        pytest.param("FROM a\nFROM a\nRUN echo --from=x", ("a",), id="each once"),
        pytest.param("", (), id="empty"),
    ],
)
def test_the_images_of_a_dockerfile_are_found(text, images):
    uses_all = "".join(f"\nCOPY --from={number} / /" for number in range(3))
    assert images_in(text + uses_all, ("linux", "amd64")) == images


@pytest.mark.parametrize(
    ("text", "images"),
    [
        pytest.param(
            "FROM dev AS no\nFROM made AS build\nCOPY --from=no2 /x /\nFROM no AS no1\n"
            "FROM tool AS no2\nFROM a\nCOPY --from=build /x /",
            ("made", "tool", "a"),
            id="of stages that the last one needs, later ones too",
        ),
        pytest.param("FROM b AS a\nFROM c AS b\nFROM a", ("b",), id="FROM sees no later stage"),
        pytest.param("FROM a AS a\nFROM a", ("a",), id="a stage named as its base"),
        pytest.param("FROM a\nCOPY --from=b / /\nFROM c AS b\nCOPY --from=0 / /", ("a", "c"),
            id="round in a circle"),
        pytest.param("FROM Debian:12", (), id="a name that no image has"),
        pytest.param("FROM http://x/y", (), id="an address"),
        pytest.param(
            f"FROM Reg.example:5000/a/b__c:V1@sha256:{'0' * 64}",
            (f"Reg.example:5000/a/b__c:V1@sha256:{'0' * 64}",),
            id="a whole name",
        ),
        pytest.param("FROM a AS x\\", ("a",), id="the end goes on"),
        pytest.param("FROM", (), id="nothing"),
        pytest.param("COPY --from=a / /", (), id="no stage"),
    ],
)  # fmt: skip
def test_the_images_that_a_build_needs_are_found(text, images):
    assert images_in(text, ("linux", "amd64")) == images


def test_mounts_that_need_the_client_are_found_with_their_lines():
    text = (
        "# RUN --mount=type=secret,id=no\nFROM a\n"
        "RUN --mount=type=cache,target=/c --mount=id=x,type=secret \\\n"
        "    --mount=type=ssh pip install x\n"
        "RUN echo type=secret\nRUN --mount=type=bind,target=/secret true\n"
    )
    assert unfit_mounts(text) == ((3, "secret"), (3, "ssh"))
