"""A file that a person brings -> its bytes or its text, within a limit, whatever it is."""

import os
import socket
from pathlib import Path

import pytest
from tests.growth import EIGHT_TIMES, growth

from inference_provider.errors import SpecError
from inference_provider.files import load_stack
from inference_provider.files.reading import Unreadable, read_bytes, read_text

GB = 10**9
SCRIPT = "def init(): ...\ndef run(data): return data\n"
STACK = """\
name: demo
environments:
  - {name: env, requirements_file: requirements.txt}
endpoints:
  - {name: iris, description: "${file:value.txt}"}
deployments:
  - endpoint: iris
    name: blue
    environment: env:1
    code_configuration: {code: src, scoring_script: score.py}
"""
FILES = ["stack.yaml", "requirements.txt", "value.txt", "src/score.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    for name, text in zip(FILES, [STACK, "six\n", "a value\n", SCRIPT], strict=True):
        (tmp_path / name).write_text(text)
    return tmp_path


def faults(folder: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_stack(folder / "stack.yaml")
    return [str(fault) for fault in caught.value.faults]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize("make", [make_pipe, make_device, make_socket])
def test_what_may_have_no_end_is_refused_and_not_waited_for(folder, name, make, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / name).unlink()
    make(folder / name)
    [fault] = faults(folder)
    told = f"cannot read '{name}': it is a pipe, a socket or a device"
    if make is make_device and name != "stack.yaml":
        told = f"'{name}' leads by a link out of the folder of the stack"
    assert told in fault


@pytest.mark.timeout(20)
def test_a_scoring_script_without_an_end_is_refused(folder):
    (folder / "src" / "score.py").unlink()
    make_device(folder / "src" / "score.py")
    [fault, *_] = faults(folder)
    assert "deployments.0.code_configuration" in fault


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("stack.yaml", "stack.yaml: 'stack.yaml' is larger than 16 MiB", id="stack"),
        pytest.param(
            "requirements.txt",
            "environments.0.requirements_file: 'requirements.txt' is larger than 4 MiB",
            id="requirements",
        ),
        pytest.param(
            "value.txt", "endpoints.0.description: 'value.txt' is larger than 1 MiB", id="value"
        ),
        pytest.param(
            "src/score.py",
            "deployments.0.code_configuration.scoring_script: 'score.py' is larger than 4 MiB",
            id="script",
        ),
    ],
)
def test_a_file_of_20_gb_is_refused_at_its_limit(folder, name, said):
    os.truncate(folder / name, 20 * GB)
    [fault] = faults(folder)
    assert said in fault


def test_a_file_of_just_its_limit_is_read(tmp_path):
    (tmp_path / "full").write_bytes(b"x" * 2**20)
    assert len(read_bytes(tmp_path / "full", "full", 1)) == 2**20


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param(
            "stack.yaml",
            b"name: demo\n# caf\xe9\n",
            "line 2: stack.yaml: 'stack.yaml' is not UTF-8 text; save it as UTF-8",
            id="stack",
        ),
        pytest.param(
            "requirements.txt",
            b"six\n# one\nnumpy # caf\xe9\n",
            "line 3: environments.0.requirements_file: 'requirements.txt' is not UTF-8 text"
            " (line 3); save it as UTF-8",
            id="requirements",
        ),
        pytest.param(
            "value.txt",
            b"a\nb\nc\xe9",
            "line 5: endpoints.0.description: 'value.txt' is not UTF-8 text (line 3);"
            " save it as UTF-8",
            id="value",
        ),
        pytest.param(
            "src/score.py",
            SCRIPT.encode() + b"X = '\xe9'\n",
            "line 10: deployments.0.code_configuration.scoring_script: 'score.py' line 3 is not"
            " valid Python: (unicode error) 'utf-8' codec can't decode byte 0xe9 in position 0:"
            " unexpected end of data; fix the script",
            id="script",
        ),
    ],
)
def test_what_is_not_utf8_is_refused_with_file_and_line(folder, name, content, said):
    (folder / name).write_bytes(content)
    assert faults(folder) == [said]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_text(folder, encoding):
    for name in FILES[:3]:
        text = (folder / name).read_text()
        (folder / name).write_text(text, encoding=encoding)
    stack = load_stack(folder / "stack.yaml")
    assert stack.environments[0].dependencies == ("six",)
    assert stack.endpoints[0].description == "a value"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + SCRIPT.encode(), id="byte order mark"),
        pytest.param(b"# -*- coding: latin-1 -*-\n# \xe9\n" + SCRIPT.encode(), id="coding line"),
    ],
)
def test_a_script_in_an_encoding_that_python_knows_is_read(folder, content):
    (folder / "src" / "score.py").write_bytes(content)
    assert load_stack(folder / "stack.yaml").deployments[0].name == "blue"


def test_a_file_name_that_is_not_utf8_is_refused_and_can_be_printed(folder):
    (folder / "src" / os.fsdecode(b"caf\xe9.txt")).touch()
    [fault] = faults(folder)
    assert fault == (
        "line 10: deployments.0.code_configuration.code:"
        " the name of the file 'caf\\udce9.txt' is not UTF-8; rename the file"
    )


def test_a_variable_that_is_not_utf8_is_refused_without_its_value(folder, monkeypatch):
    monkeypatch.setenv("TEXT_OF_OLD", os.fsdecode(b"hunter2 \xe9"))
    text = STACK.replace("${file:value.txt}", "${env:TEXT_OF_OLD}")
    (folder / "stack.yaml").write_text(text)
    assert faults(folder) == [
        "line 5: endpoints.0.description: environment variable TEXT_OF_OLD is not UTF-8 text;"
        " set it to UTF-8 text"
    ]


def test_a_name_that_no_file_can_have_is_unreadable(tmp_path):
    with pytest.raises(Unreadable, match="null byte"):
        read_text(tmp_path / "a\0b", "a\0b", 1)


def load(folder: Path, text: str) -> None:
    (folder / "stack.yaml").write_text(text)
    load_stack(folder / "stack.yaml")


def test_a_stack_file_of_10_mb_is_read(folder):
    tags = "".join(f"      tag-{i}: 'the value of one tag of very many'\n" for i in range(200_000))
    text = f"name: demo\nendpoints:\n  - name: iris\n    tags:\n{tags}"
    assert len(text) > 10_000_000
    load(folder, text)


def test_the_time_of_reading_grows_with_the_tags_of_an_endpoint(folder):
    def read(count: int) -> None:
        tags = "".join(f"      tag-{i}: 'the value of a tag'\n" for i in range(count))
        load(folder, f"name: demo\nendpoints:\n  - name: iris\n    tags:\n{tags}")

    assert growth(read, 2500) < EIGHT_TIMES


def test_the_time_of_reading_grows_with_the_count_of_deployments(folder):
    server = (
        "environments: [{name: env, command: [sh], inference_config: {liveness_route: &r"
        " {path: /, port: 1}, readiness_route: *r, scoring_route: *r}}]\n"
    )

    def read(count: int) -> None:
        endpoints = "".join(f"  - {{name: ep-{i}, traffic: {{blue: 100}}}}\n" for i in range(count))
        deployments = "".join(
            f"  - {{endpoint: ep-{i}, name: blue, environment: 'env:1'}}\n" for i in range(count)
        )
        load(folder, f"name: demo\n{server}endpoints:\n{endpoints}deployments:\n{deployments}")

    assert growth(read, 250) < EIGHT_TIMES


def test_a_list_of_150_000_items_is_not_called_a_bomb(folder):
    routes = "{liveness_route: &r {path: /, port: 1}, readiness_route: *r, scoring_route: *r}"

    def read(count: int) -> None:
        server = f"environments:\n  - name: env\n    command: [{'x, ' * count}]\n"
        load(folder, f"name: demo\n{server}    inference_config: {routes}\n")

    assert growth(read, 150_000 // 8) < EIGHT_TIMES


LISTS = "name: demo\na0: &a0 [x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "name: demo\na0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10)
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", [LISTS, MERGES], ids=["lists", "merges"])
def test_aliases_of_aliases_are_refused(folder, text):
    (folder / "stack.yaml").write_text(text)
    [fault] = faults(folder)
    assert "YAML: aliases expand to more than 500,000 values" in fault
