"""Requirements of an environment: PEP 508 and nothing that means another thing elsewhere."""

from pathlib import Path

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_stack
from inference_provider.spec.requirement import requirement_fault

HASH = "sha256:" + "0123456789abcdef" * 4
PATH = (
    "a path is not supported, because its content can change while its text stays the same;"
    " publish a wheel to a package index, or put the package into the code folder"
)
REFUSED = [
    pytest.param("./mypkg", PATH, id="relative path"),
    pytest.param("../mypkg", PATH, id="path above"),
    pytest.param(".", PATH, id="this folder"),
    pytest.param("mypkg/", PATH, id="path without a dot"),
    pytest.param("./mypkg[extra]", PATH, id="path with an extra"),
    pytest.param("./my pkg", PATH, id="path with a blank"),
    pytest.param("/srv/mypkg", PATH, id="absolute path"),
    pytest.param("~/mypkg", PATH, id="home"),
    pytest.param("C:\\mypkg", PATH, id="drive"),
    pytest.param("mypkg-0.1-py3-none-any.whl", PATH, id="wheel beside"),
    pytest.param("mypkg.tar.gz", PATH, id="archive beside"),
    pytest.param("file:mypkg", PATH, id="file"),
    pytest.param("file:///srv/mypkg", PATH, id="file URL"),
    pytest.param("mypkg @ file:///srv/mypkg", PATH, id="named file URL"),
    pytest.param("mypkg @ file:./mypkg", PATH, id="named relative file URL"),
    pytest.param("mypkg @ ./mypkg", PATH, id="named path"),
    pytest.param("mypkg @ git+file:///srv/mypkg", PATH, id="repository of this machine"),
    pytest.param(
        "-e ./mypkg",
        "the option '-e' names a path;"
        " publish a wheel to a package index, or put the package into the code folder",
        id="editable",
    ),
    pytest.param(
        "--editable=./mypkg",
        "the option '--editable' names a path;"
        " publish a wheel to a package index, or put the package into the code folder",
        id="long editable",
    ),
    pytest.param(
        "-r other.txt",
        "the option '-r' is not supported; list requirements only; set the index with UV_INDEX_URL",
        id="requirements",
    ),
    pytest.param(
        "-c limits.txt",
        "the option '-c' is not supported; list requirements only; set the index with UV_INDEX_URL",
        id="constraints",
    ),
    pytest.param(
        "--index-url=https://u:hunter2@index/simple",
        "the option '--index-url' is not supported;"
        " list requirements only; set the index with UV_INDEX_URL",
        id="index",
    ),
    pytest.param(
        "six --config-settings=a=hunter2",
        "the option '--config-settings' is not supported;"
        " list requirements only; set the index with UV_INDEX_URL",
        id="option of one requirement",
    ),
    pytest.param(
        "https://u:hunter2@host/six-1.0.tar.gz",
        "a URL without a name; write it as NAME @ URL",
        id="nameless URL",
    ),
    pytest.param(
        "numpy=>2",
        "not a valid requirement (PEP 508); write it like 'numpy>=2,<3'",
        id="typing error",
    ),
    pytest.param("", "not a valid requirement (PEP 508); write it like 'numpy>=2,<3'", id="empty"),
]
TAKEN = [
    "six",
    "six==1.16.0",
    "numpy >= 2, < 3",
    "uvicorn[standard]>=0.30",
    "six; python_version < '3.13' and sys_platform == 'linux'",
    "torch==2.4.0+cu118",
    "mypkg @ https://host/mypkg-0.1-py3-none-any.whl",
    "mypkg @ git+https://host/mypkg@v1#subdirectory=python",
    "mypkg @ git+ssh://git@host/mypkg",
    f"six==1.16.0 --hash={HASH}",
    f"six==1.16.0     --hash={HASH}     --hash={HASH}",
    "six # said by a comment",
    "six\n",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(folder: Path, field: str):
    text = f"name: demo\nenvironments:\n  - name: env\n    {field}\n"
    (folder / "stack.yaml").write_text(text)
    return load_stack(folder / "stack.yaml").environments[0]


def faults(folder: Path, field: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, field)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_no_requirement_is_refused_in_a_sentence_without_its_text(text, said):
    fault = requirement_fault(text)
    assert fault is not None
    assert "; ".join(fault) == said


@pytest.mark.parametrize("text", TAKEN)
def test_what_pep_508_allows_is_taken(text):
    assert requirement_fault(text) is None


def test_a_line_break_in_a_requirement_is_refused():
    assert requirement_fault("six\n-r other.txt") == (
        "more than one line",
        "write one requirement per item",
    )


def test_both_fields_are_held_to_one_rule(folder):
    (folder / "requirements.txt").write_text(
        "# ours\nnumpy \\\n  >=2\n./mypkg\n\n-e ../other # comment\nsix\n"
    )
    assert faults(folder, "requirements_file: requirements.txt") == [
        f"line 4: environments.0.requirements_file: line 4: {PATH}",
        "line 4: environments.0.requirements_file: line 6: the option '-e' names a path; publish"
        " a wheel to a package index, or put the package into the code folder",
    ]
    assert faults(folder, "dependencies: [six, ./mypkg]") == [
        f"line 4: environments.0.dependencies.1: {PATH}"
    ]


def test_an_environment_that_was_right_before_keeps_its_hash(folder):
    lines = (
        "# ours\r\nnumpy >=2 # fast\r\n\r\nsix==1.16.0 \\\r\n    --hash=sha256:0123456789abcdef\r\n"
    )
    (folder / "requirements.txt").write_bytes(lines.encode())
    found = load(folder, "dependencies: [scipy]\n    requirements_file: requirements.txt")
    assert found.dependencies == (
        "scipy",
        "numpy >=2",
        "six==1.16.0      --hash=sha256:0123456789abcdef",
    )
    assert found.content_hash == "844fd44bd63a71bf7ea95f3b92f251a68255d63eccee8b274241671a930a057d"
