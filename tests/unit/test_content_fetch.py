"""What the init containers of an instance fetch, unpack and build."""

import ast
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uv

from inference_provider.files.tree import code_content, model_content
from inference_provider.targets.kubernetes import (
    archives,
    content_passes,
    environment_builder,
    fetch,
    last_requests,
)
from inference_provider.targets.kubernetes.archives import Failed, NotKept, Service, packed
from inference_provider.targets.kubernetes.content_server import Server
from inference_provider.targets.kubernetes.environment_builder import Builder, obtain
from inference_provider.targets.kubernetes.fetch import bring, bring_tools
from inference_provider.targets.tree_archive import TreeArchive

KEY = "e" * 64
ABSENT = "0" * 64


@pytest.fixture
def server(tmp_path):
    (tmp_path / "volume").mkdir()
    with Server(tmp_path / "volume", "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def service(server, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    return Service(f"http://127.0.0.1:{server.server_port}", limit_s=0.2)


def kept(server, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    server.folder.receive(digest, [content])
    return digest


def archive(*infos, content=b"x") -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as opened:
        for info in infos:
            info.size = len(content) if info.isreg() else 0
            opened.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return found.getvalue()


def entry(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def under(folder: Path):
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


def test_a_model_and_code_lie_where_instances_look_for_them(server, service, tmp_path):
    (tmp_path / "iris" / "data").mkdir(parents=True)
    (tmp_path / "iris" / "data" / "w.bin").write_bytes(b"w" * 3_000_000)
    (tmp_path / "iris" / "run.sh").write_text("run")
    (tmp_path / "iris" / "run.sh").chmod(0o700)
    into = tmp_path / "azureml"
    into.mkdir()
    for kind, content in (
        ("model", model_content("iris", tmp_path)),
        ("code", code_content("iris/data", tmp_path)),
    ):
        sent = kept(server, b"".join(TreeArchive(content, "content")))
        bring(service, kind, sent, into)
    assert under(into) == [
        "code",
        "code/content",
        "code/content/w.bin",
        "model",
        "model/content",
        "model/content/iris",
        "model/content/iris/data",
        "model/content/iris/data/w.bin",
        "model/content/iris/run.sh",
    ]
    found = into / "model/content/iris"
    assert (found / "data/w.bin").read_bytes() == b"w" * 3_000_000
    modes = [oct((found / one).stat().st_mode & 0o777) for one in ("data", "data/w.bin", "run.sh")]
    assert modes == ["0o755", "0o644", "0o755"]


def test_what_a_killed_run_has_left_is_fetched_again_and_what_is_complete_is_not(
    server, service, tmp_path
):
    digest = kept(server, archive(entry("content", tarfile.DIRTYPE), entry("content/a")))
    (tmp_path / ".model").mkdir()
    (tmp_path / ".model" / "half").write_text("half")
    bring(service, "model", digest, tmp_path)
    assert under(tmp_path / "model") == ["content", "content/a"]
    bring(service, "model", ABSENT, tmp_path)


@pytest.mark.parametrize(
    ("infos", "said"),
    [
        pytest.param([entry("../a")], "'../a' is no path inside it", id="parent"),
        pytest.param([entry("/etc/a")], "'/etc/a' is no path inside it", id="absolute"),
        pytest.param([entry("a/../../b")], "'a/../../b' is no path inside it", id="in between"),
        pytest.param(
            [entry("a", tarfile.SYMTYPE, "/etc"), entry("a/b")],
            "'a' is neither a file nor a folder",
            id="symbolic link",
        ),
        pytest.param(
            [entry("a", tarfile.LNKTYPE, "/etc/passwd")],
            "'a' is neither a file nor a folder",
            id="hard link",
        ),
        pytest.param(
            [entry("a", tarfile.CHRTYPE)], "'a' is neither a file nor a folder", id="device"
        ),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(server, service, tmp_path, infos, said):
    digest = kept(server, archive(*infos))
    into = tmp_path / "azureml"
    into.mkdir()
    with pytest.raises(Failed, match="cannot be read") as refused:
        bring(service, "model", digest, into)
    assert str(refused.value) == f"its archive cannot be read: {said}"
    assert not {one.name for one in into.iterdir()} - {".model"}
    assert {one.name for one in tmp_path.iterdir()} == {"azureml", "volume"}


def test_links_of_an_environment_come_last_so_that_nothing_is_written_through_one(
    server, service, tmp_path
):
    out = tmp_path / "outside"
    out.mkdir()
    digest = kept(server, archive(entry("lib64", tarfile.SYMTYPE, str(out)), entry("lib64/a")))
    into = tmp_path / "environment"
    into.mkdir()
    with pytest.raises(Failed):
        archives.fetch(service, digest, into, links=True)
    assert under(out) == []


@pytest.mark.parametrize("cut", [100, 700, 1024])
def test_a_corrupt_archive_is_refused(server, service, tmp_path, cut):
    digest = kept(server, archive(entry("a"), content=b"x" * 900)[:cut])
    with pytest.raises(Failed, match="its archive cannot be read"):
        bring(service, "model", digest, tmp_path)


def test_an_archive_that_was_changed_on_the_volume_is_refused(server, service, tmp_path):
    content = archive(entry("a"), content=b"weights")
    digest = kept(server, content)
    (tmp_path / "volume/assets" / digest).write_bytes(content.replace(b"weights", b"WEIGHTS"))
    with pytest.raises(Failed, match="what arrived has another hash"):
        bring(service, "model", digest, tmp_path)
    assert not (tmp_path / "model").exists()


def test_what_is_not_kept_says_what_to_do(service, tmp_path):
    with pytest.raises(Failed) as gone:
        bring(service, "model", ABSENT, tmp_path)
    assert str(gone.value) == (
        "the content service does not have it: run `inferctl up`, which copies it again"
    )


def test_a_service_that_does_not_answer_is_waited_for_and_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    with pytest.raises(Failed) as silent:
        bring(Service("http://127.0.0.1:1", limit_s=0.1), "model", ABSENT, tmp_path)
    assert str(silent.value) == (
        "the content service does not answer: [Errno 111] Connection refused (tried for 0 s);"
        " look at the pods of deployment inference-content"
    )


@contextmanager
def serving(handler):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Flaky(BaseHTTPRequestHandler):
    """Answers 503 first, then cuts every connection after some bytes."""

    content = b""
    asked: list[str | None] = []

    def do_GET(self):
        self.asked.append(self.headers.get("Range"))
        if len(self.asked) == 1:
            self.send_error(503)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        left = self.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(left)))
        self.end_headers()
        self.wfile.write(left[:1_000_000])

    def log_message(self, format, *args):
        pass


def test_a_lost_connection_is_taken_up_where_it_broke(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    content = archive(entry("a"), content=bytes(range(250)) * 10_000)
    monkeypatch.setattr(Flaky, "content", content)
    monkeypatch.setattr(Flaky, "asked", [])
    with serving(Flaky) as url:
        service = Service(url, limit_s=1)
        bring(service, "model", hashlib.sha256(content).hexdigest(), tmp_path)
    assert (tmp_path / "model/a").read_bytes() == bytes(range(250)) * 10_000
    assert Flaky.asked == [None, None, "bytes=1000000-", "bytes=2000000-"]


class Short(BaseHTTPRequestHandler):
    """Promises more than it sends, each time."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(100 - start))
        self.end_headers()
        if not start:
            self.wfile.write(b"x" * 40)

    def log_message(self, format, *args):
        pass


def test_a_connection_that_breaks_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.05)
    with serving(Short) as url, pytest.raises(archives.Failed) as failed:
        archives.fetch(Service(url, limit_s=0.5), "0" * 64, tmp_path)
    assert str(failed.value) == (
        "the content service ends 60 bytes early, again and again; look at the pods of deployment"
        " inference-content"
    )
    assert Short.asked < 20


def test_the_last_line_says_what_failed(server, tmp_path):
    program = [sys.executable, "-m", "inference_provider.targets.kubernetes.fetch"]
    place = ["--into", str(tmp_path), "--service", f"http://127.0.0.1:{server.server_port}"]
    ran = subprocess.run(
        [*program, *place, f"model={ABSENT}"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "error: fetch model 000000000000: the content service does not have it: run `inferctl up`,"
        " which copies it again"
    )


def test_a_pod_gets_its_assets_and_its_tools(server, tmp_path, monkeypatch, capsys):
    digest = kept(server, archive(entry("content", tarfile.DIRTYPE), entry("content/a")))
    (tmp_path / "tools").mkdir()
    place = ["--into", str(tmp_path), "--service", f"http://127.0.0.1:{server.server_port}"]
    words = ["fetch", *place, "--tools", str(tmp_path / "tools"), f"code={digest}"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("signal.signal", lambda *_given: None)
    fetch.main()
    assert under(tmp_path / "code") == ["content", "content/a"]
    assert under(tmp_path / "tools") == ["last_requests.py", "script.py"]
    assert capsys.readouterr().out.startswith(f"fetched code {digest[:12]} in ")


def test_a_pod_builds_its_environment_once(builder, server, tmp_path, monkeypatch, capsys):
    builder()
    tools = tmp_path / "environment.tools/uv"
    place = ["--into", str(tmp_path / "environment"), "--uv", str(tools)]
    service = ["--service", f"http://127.0.0.1:{server.server_port}"]
    monkeypatch.setattr(sys, "argv", ["environment_builder", "--key", KEY, *place, *service])
    monkeypatch.setattr("signal.signal", lambda *_given: None)
    monkeypatch.setattr(os, "environ", {**os.environ, "INFERENCE_REQUIREMENTS": "not-there==1"})
    with pytest.raises(SystemExit) as failed:
        environment_builder.main()
    assert str(failed.value).startswith("error: build environment eeeeeeeeeeee: ")
    (tmp_path / "environment" / ".ready").touch()
    environment_builder.main()
    assert "INFERENCE_REQUIREMENTS" not in os.environ


# -- environments --------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [archives, content_passes, environment_builder, last_requests])
def test_what_runs_in_any_image_needs_no_newer_python_and_no_package(module):
    source = Path(module.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    found = {node.module.split(".")[0] for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom)}  # fmt: skip
    found |= {name.name.split(".")[0] for node in ast.walk(tree)
              if isinstance(node, ast.Import) for name in node.names}  # fmt: skip
    assert found - sys.stdlib_module_names <= {"inference_provider"}


def test_what_is_brought_to_build_an_environment_runs_without_this_package(tmp_path):
    bring_tools(tmp_path, installer=True)
    command = [sys.executable, "-S", "-m", environment_builder.__name__, "--help"]
    variables = {"PYTHONPATH": str(tmp_path / "lib")}
    assert subprocess.run(command, env=variables, check=True, capture_output=True, cwd="/").stdout
    assert (tmp_path / "uv").stat().st_mode & 0o111
    assert "azureml_inference_server_http" in (tmp_path / "script.py").read_text()


@pytest.fixture
def index(tmp_path):
    """Return a folder with a package `tinypkg`."""
    folder = tmp_path / "index"
    folder.mkdir()
    about = "Metadata-Version: 2.1\nName: tinypkg\nVersion: 1.0\n"
    record = "tinypkg.py,,\ntinypkg-1.0.dist-info/METADATA,,\ntinypkg-1.0.dist-info/WHEEL,,\n"
    with zipfile.ZipFile(folder / "tinypkg-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinypkg.py", "ANSWER = 42\n")
        wheel.writestr("tinypkg-1.0.dist-info/METADATA", about)
        wheel.writestr("tinypkg-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tinypkg-1.0.dist-info/RECORD", record + "tinypkg-1.0.dist-info/RECORD,,\n")
    return folder


@pytest.fixture
def builder(tmp_path, index, monkeypatch):
    def make(name="environment", python="python3"):
        into, tools = tmp_path / name, tmp_path / f"{name}.tools"
        into.mkdir(exist_ok=True)
        tools.mkdir(exist_ok=True)
        os.symlink(uv.find_uv_bin(), tools / "uv")
        monkeypatch.setenv("UV_FIND_LINKS", str(index))
        monkeypatch.setenv("UV_NO_INDEX", "1")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        variables = dict(os.environ)
        return Builder(into, tools / "uv", python, variables)

    return make


def answer_of(environment: Path) -> str:
    asked = [str(environment / "bin/python"), "-c", "import tinypkg; print(tinypkg.ANSWER)"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def test_the_first_pod_builds_an_environment_and_the_next_takes_it(
    server, service, builder, tmp_path, capsys
):
    first = builder()
    (tmp_path / "environment" / "half").write_text("of a run that was killed")
    obtain(first, service, KEY, "tinypkg==1.0\n")
    first.end()
    assert answer_of(tmp_path / "environment") == "42\n"
    assert (tmp_path / "environment/packages.txt").read_text() == "tinypkg==1.0"
    assert not (tmp_path / "environment.tools/uv").exists()
    assert not (tmp_path / "environment/half").exists()
    [(name, _)] = server.folder.listed()["environments"].items()
    assert name.startswith(f"{KEY}.")
    obtain(builder("second"), service, KEY, "not-there==1\n")  # nothing is installed
    before, after = (tmp_path / name for name in ("environment", "second"))
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["building", "environment"],
        ["built", "environment"],
        ["fetched", "environment"],
    ]
    [compiled] = after.rglob("tinypkg*.pyc")
    source = after / compiled.relative_to(after).parent.parent / "tinypkg.py"
    assert int.from_bytes(compiled.read_bytes()[8:12], "little") == int(source.stat().st_mtime)
    assert (after / "bin/python").readlink() == (before / "bin/python").readlink()


@pytest.mark.local
def test_a_pod_keeps_its_own_environment_with_its_pass(server, service, builder, capsys):
    server.token = "token"
    obtain(builder(), service, KEY, "tinypkg\n", content_passes.environment_pass("token", "f" * 64))
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == (
        "it is not kept for the next pod: the content service answers 403: only a client of this"
        " workspace may do that"
    )
    assert server.folder.listed()["environments"] == {}
    shown = content_passes.environment_pass("token", KEY)
    obtain(builder("second"), service, KEY, "tinypkg\n", shown)
    assert len(server.folder.listed()["environments"]) == 1


@pytest.mark.local
def test_an_environment_of_another_python_is_not_taken(server, service, builder, tmp_path):
    name = builder().name(KEY)
    server.folder.name(f"{KEY}.{'0' * 16}", kept(server, b"another"))
    assert name != f"{KEY}.{'0' * 16}"
    obtain(builder("second"), service, KEY, "tinypkg\n")
    assert answer_of(tmp_path / "second") == "42\n"


@pytest.mark.local
def test_an_environment_that_cannot_be_kept_or_taken_is_built_all_the_same(
    builder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    silent = Service("http://127.0.0.1:1", limit_s=0.1)
    obtain(builder(), silent, KEY, "tinypkg\n")
    assert answer_of(tmp_path / "environment") == "42\n"
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("the kept environment is not used: the content service does not")
    assert said[-1].startswith("it is not kept for the next pod: the content service does not")


def test_what_uv_says_is_the_cause_and_has_no_password(service, builder, tmp_path, capsys):
    wanted = "tinypkg @ https://ann:hunter2@127.0.0.1:1/tinypkg-1.0-py3-none-any.whl\n"
    with pytest.raises(Failed) as failed:
        obtain(builder(), service, KEY, wanted)
    told = f"{failed.value}\n{capsys.readouterr().out}"
    assert "tinypkg" in str(failed.value)
    assert "hunter2" not in told
    [listing] = tmp_path.rglob("requirements.txt")
    assert oct(listing.stat().st_mode & 0o777) == "0o600"


def test_a_python_that_the_image_lacks_is_named(service, builder):
    with pytest.raises(Failed) as failed:
        obtain(builder(python="3.99"), service, KEY, "tinypkg\n")
    assert str(failed.value).startswith("No interpreter found for Python 3.99 ")
    assert str(failed.value).endswith(
        "; name an image that has this Python, or change python_version"
    )


def test_an_environment_is_packed_alike_as_long_as_it_is_not_changed(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/usr/bin/python3")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/a.py").write_text("a")
    os.link(tmp_path / "lib/a.py", tmp_path / "lib/b.py")
    first = b"".join(packed(tmp_path))
    assert first == b"".join(packed(tmp_path))
    with tarfile.open(fileobj=io.BytesIO(first)) as found:
        there = [(one.name, one.type, one.linkname, one.size) for one in found]
    assert there == [
        ("bin", tarfile.DIRTYPE, "", 0),
        ("bin/python", tarfile.SYMTYPE, "/usr/bin/python3", 0),
        ("lib", tarfile.DIRTYPE, "", 0),
        ("lib/a.py", tarfile.REGTYPE, "", 1),
        ("lib/b.py", tarfile.REGTYPE, "", 1),
    ]


def test_an_archive_that_is_not_there_is_told_apart(service):
    with pytest.raises(NotKept):
        service.text(f"/environments/{KEY}.{'0' * 16}")


def test_init_containers_end_when_they_are_told_to(monkeypatch):
    caught = []
    monkeypatch.setattr("signal.signal", lambda number, handler: caught.append((number, handler)))
    fetch.end_on_sigterm()
    [(number, handler)] = caught
    assert number == 15
    with pytest.raises(SystemExit) as ended:
        handler()
    assert ended.value.code == 143
