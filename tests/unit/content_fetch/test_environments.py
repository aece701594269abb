"""The first pod builds an environment, and the next ones take it."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import uv
from tests.unit.content_fetch.archives import KEY, kept

from inference_provider.targets.kubernetes import (
    archives,
    content_passes,
    environment_builder,
)
from inference_provider.targets.kubernetes.archives import Failed, Service, packed
from inference_provider.targets.kubernetes.environment_builder import Builder, obtain
from inference_provider.targets.kubernetes.fetch import bring_tools


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
