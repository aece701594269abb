"""A pod fetches models and code before its instance starts."""

import ast
import sys
import tarfile
from pathlib import Path

import pytest
from tests.unit.content_fetch.archives import ABSENT, KEY, archive, entry, kept, under

from inference_provider.files.tree import code_content, model_content
from inference_provider.targets.kubernetes import (
    archives,
    content_passes,
    environment_builder,
    fetch,
    last_requests,
)
from inference_provider.targets.kubernetes.archives import Failed, NotKept
from inference_provider.targets.kubernetes.fetch import bring
from inference_provider.targets.tree_archive import TreeArchive


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


@pytest.mark.parametrize("module", [archives, content_passes, environment_builder, last_requests])
def test_what_runs_in_any_image_needs_no_newer_python_and_no_package(module):
    source = Path(module.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    found = {node.module.split(".")[0] for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom)}  # fmt: skip
    found |= {name.name.split(".")[0] for node in ast.walk(tree)
              if isinstance(node, ast.Import) for name in node.names}  # fmt: skip
    assert found - sys.stdlib_module_names <= {"inference_provider"}


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
