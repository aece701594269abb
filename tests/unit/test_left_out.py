"""What of a folder is not content: ignore files, the stack file in use, its reports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference_provider.cli import report
from inference_provider.desired import resolve
from inference_provider.drift import drift
from inference_provider.errors import SpecError
from inference_provider.files import load_stack
from inference_provider.files.left_out import BadContent
from inference_provider.files.tree import code_content, model_content
from inference_provider.observed import ObservedState

STACK = """\
name: dot
models:
  - {name: whole, path: ./}
environments:
  - {name: plain}
endpoints:
  - {name: own}
deployments:
  - endpoint: own
    name: blue
    model: whole:1
    environment: plain:1
    code_configuration: {code: ./, scoring_script: score.py}
"""
SCRIPT = "def init(): ...\ndef run(data): return data\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose code lies beside the stack file."""
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "score.py").write_text(SCRIPT)
    return tmp_path


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def code(folder: Path) -> list[str]:
    return [name for name, _ in code_content(".", folder).files]


def hashes(folder: Path) -> tuple[str, str]:
    stack = load_stack(folder / "stack.yaml")
    found = stack.deployments[0].code_configuration
    assert found is not None
    return found.content_hash, stack.models[0].content_hash


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        pytest.param(
            "*.log\n# all logs\n", ["data/a.csv", "data/keep.csv", "top.txt"], id="suffix"
        ),
        pytest.param("data/\n", ["a.log", "top.txt"], id="folder"),
        pytest.param(
            "/top.txt\n", ["a.log", "data/a.csv", "data/b.log", "data/keep.csv"], id="root"
        ),
        pytest.param(
            "data/*\n!data/keep.csv\n", ["a.log", "data/keep.csv", "top.txt"], id="negation"
        ),
        pytest.param("*\n!*.csv\n", ["data/a.csv", "data/keep.csv"], id="all but"),
        pytest.param("\ufeffdata\r\n", ["a.log", "top.txt"], id="mark and CRLF"),
    ],
)
def test_an_amlignore_has_the_rules_of_gitignore(tmp_path, rules, left):
    write(tmp_path, "a.log", "top.txt", "data/a.csv", "data/b.log", "data/keep.csv")
    (tmp_path / ".amlignore").write_text(rules + ".amlignore\n", newline="")
    assert code(tmp_path) == left


def test_code_without_an_amlignore_follows_its_gitignore(tmp_path):
    write(tmp_path, "a.log", "score.py")
    (tmp_path / ".gitignore").write_text("*.log\n")
    assert code(tmp_path) == [".gitignore", "score.py"]
    (tmp_path / ".amlignore").write_text("")
    assert code(tmp_path) == [".amlignore", ".gitignore", "a.log", "score.py"]


def test_an_ignore_file_below_the_folder_is_not_read(tmp_path):
    write(tmp_path, "sub/a.log")
    (tmp_path / "sub" / ".amlignore").write_text("*.log\n")
    assert code(tmp_path) == ["sub/.amlignore", "sub/a.log"]


def test_a_model_follows_its_amlignore_and_not_its_gitignore(tmp_path):
    """`*` in a .gitignore keeps weights out of git, not out of the workspace."""
    write(tmp_path, "w.bin", "notes.txt")
    (tmp_path / ".gitignore").write_text("*\n")
    names = [name for name, _ in model_content(".", tmp_path).files]
    assert names == [".gitignore", "notes.txt", "w.bin"]
    (tmp_path / ".amlignore").write_text("*.txt\n.*\n")
    assert [name for name, _ in model_content(".", tmp_path).files] == ["w.bin"]


def test_what_is_left_out_may_hold_what_content_may_not(tmp_path):
    write(tmp_path, "score.py", "data/x")
    (tmp_path / "data" / "up").symlink_to("..")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".amlignore").write_text("data\npipe\n.amlignore\n")
    assert code(tmp_path) == ["score.py"]


def test_a_script_that_is_left_out_is_a_fault(folder):
    (folder / ".amlignore").write_text("*.py\n")
    with pytest.raises(SpecError) as caught:
        load_stack(folder / "stack.yaml")
    assert [(fault.path, fault.reason) for fault in caught.value.faults] == [
        ("deployments.0.code_configuration.scoring_script", "'score.py' is left out by .amlignore")
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"*.log\n[z-a]\n", "'.amlignore' line 2 is not a valid pattern", id="pattern"),
        pytest.param(b"a\nb\n\xff\n", r"'.amlignore' is not UTF-8 text \(line 3\)", id="bytes"),
        pytest.param(b"#" * (2**20 + 1), "'.amlignore' is larger than 1 MiB", id="size"),
    ],
)
def test_an_ignore_file_that_cannot_be_read_is_refused(tmp_path, content, reason):
    (tmp_path / ".amlignore").write_bytes(content)
    with pytest.raises(BadContent, match=reason):
        code(tmp_path)


def test_an_ignore_file_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".amlignore")
    with pytest.raises(BadContent, match=r"'\.amlignore': it is a pipe"):
        code(tmp_path)


def test_the_stack_file_in_use_is_neither_code_nor_model(folder):
    before = hashes(folder)
    (folder / "stack.yaml").write_text(STACK.replace("{name: own}", "{name: own, tags: {a: b}}"))
    assert hashes(folder) == before
    (folder / "score.py").write_text(SCRIPT + "# changed\n")
    assert hashes(folder)[0] != before[0]
    assert hashes(folder)[1] != before[1]


def test_a_stack_file_in_a_folder_of_the_code_is_no_code(folder):
    deep = STACK.replace("./", "..")
    (folder / "deploy").mkdir()
    (folder / "stack.yaml").rename(folder / "deploy" / "stack.yaml")
    (folder / "deploy" / "stack.yaml").write_text(deep)
    before = hashes(folder / "deploy")
    (folder / "deploy" / "stack.yaml").write_text(deep + "# changed\n")
    assert hashes(folder / "deploy") == before


def test_another_yaml_file_beside_it_is_code(folder):
    before = hashes(folder)
    (folder / "config.yaml").write_text(STACK)
    assert hashes(folder)[0] != before[0]


def test_the_stack_file_is_neither_recorded_nor_part_of_a_generation(folder):
    stack = load_stack(folder / "stack.yaml")
    model, deployment = [r for r in resolve(stack) if r.id.kind.value in ("Model", "Deployment")]
    assert (model.spec.stack_file, "stack_file" in model.properties) == ("stack.yaml", False)
    assert deployment.spec.code_configuration.stack_file == "stack.yaml"
    assert list(deployment.properties["code_configuration"]) == ["scoring_script", "content_hash"]


def test_a_stack_file_elsewhere_is_not_named(folder):
    (folder / "src").mkdir()
    (folder / "score.py").rename(folder / "src" / "score.py")
    (folder / "stack.yaml").write_text(STACK.replace("./", "src"))
    stack = load_stack(folder / "stack.yaml")
    assert stack.models[0].stack_file is None
    assert stack.deployments[0].code_configuration.stack_file is None


def test_a_person_does_not_name_the_stack_file(folder):
    written = STACK.replace("scoring_script", "stack_file: x, scoring_script")
    (folder / "stack.yaml").write_text(written)
    with pytest.raises(SpecError, match="stack_file is computed and cannot be set"):
        load_stack(folder / "stack.yaml")


@pytest.mark.parametrize("writer", report.WRITERS)
@pytest.mark.parametrize("name", ["drift.xml", "reports/monday"])
def test_a_drift_report_is_no_code_in_any_format_under_any_name(folder, writer, name):
    before = hashes(folder)
    stack = load_stack(folder / "stack.yaml")
    text = report.WRITERS[writer](drift(resolve(stack), ObservedState(), "dot"))
    write(folder, name)
    (folder / name).write_text(text)
    assert hashes(folder) == before
    (folder / name).write_text("seen:\n" + text)
    assert hashes(folder)[0] != before[0]


def test_the_file_that_a_command_writes_to_is_no_code(folder):
    """`inferctl drift > out.txt`: the shell makes the file before the command reads the folder."""
    program = (
        "import sys; from pathlib import Path; from inference_provider.files import load_stack;"
        "stack = load_stack(Path('stack.yaml'));"
        "print(stack.deployments[0].code_configuration.content_hash)"
    )
    before = hashes(folder)
    with (folder / "out.txt").open("w") as out:
        subprocess.run([sys.executable, "-c", program], cwd=folder, stdout=out, check=True)
    assert (folder / "out.txt").read_text() == before[0] + "\n"


def test_a_report_in_code_that_does_not_hold_the_stack_file_is_code(tmp_path):
    write(tmp_path, "score.py")
    (tmp_path / "drift.md").write_text("# Drift of `dot`\n")
    assert code(tmp_path) == ["drift.md", "score.py"]
