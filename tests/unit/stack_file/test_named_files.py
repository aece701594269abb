"""Faults in the files and folders that a stack file names."""

import pytest
from tests.stack_files import GOOD, faults, load


@pytest.mark.parametrize("path", ["x" * 300, "a\\0b"])
def test_a_path_that_cannot_be_is_a_fault(folder, path):
    [fault, *_] = faults(folder, GOOD.replace("path: model", f'path: "{path}"'))
    assert fault.startswith("line 5: models.0.path: ")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(
            "def init(:\n", "'score.py' line 1 is not valid Python: invalid syntax", id="syntax"
        ),
        pytest.param("def init(): ...\n", "'score.py' defines no run()", id="no run"),
        pytest.param("x = 1\n", "'score.py' defines no init() and no run()", id="neither"),
        pytest.param(
            "class A:\n    def init(self): ...\n    def run(self): ...\n",
            "'score.py' defines no init() and no run()",
            id="methods only",
        ),
    ],
)
def test_a_scoring_script_that_cannot_work_is_a_fault(folder, script, reason):
    (folder / "src" / "score.py").write_text(script)
    found = faults(folder, GOOD)
    assert len(found) == 2
    assert f"deployments.0.code_configuration.scoring_script: {reason}" in found[0]


def test_missing_code_folder_and_script_are_faults(folder):
    missing = GOOD.replace("code: src", "code: gone")
    assert "code_configuration.code: no folder 'gone'" in faults(folder, missing)[0]
    missing = GOOD.replace("score.py", "gone.py")
    assert "no file 'gone.py' in 'src'" in faults(folder, missing)[0]
    missing = GOOD.replace("score.py", "../out.py")
    assert "'../out.py' is outside 'src'" in faults(folder, missing)[0]


def test_a_link_that_leads_nowhere_is_a_fault_with_its_line_and_name(folder):
    (folder / "best").symlink_to("run_042")
    linked = GOOD.replace("path: model", "path: best")
    assert faults(folder, linked) == [
        "line 5: models.0.path: the link 'best' leads to 'run_042', which is not there;"
        " restore that file or folder, or remove the link"
    ]
    (folder / "model" / "x.bin").symlink_to("../blobs/1")
    assert faults(folder, GOOD) == [
        "line 5: models.0.path: the link 'x.bin' leads to '../blobs/1', which is not there;"
        " restore that file or folder, or remove the link"
    ]


OUTSIDE = "hunter2 = of-another-project"
NAMED: dict[str, tuple[str, str]] = {
    "a placeholder": ("endpoints: [{name: iris, description: '${file:NAME}'}]\n", "description"),
    "requirements": ("environments: [{name: env, requirements_file: NAME}]\n", "requirements_file"),
    "a conda file": ("environments: [{name: env, conda_file: NAME}]\n", "conda_file"),
    "a provider's keys": (
        "workspaces:\n  - name: lab\n    identity_provider:\n"
        "      {issuer: 'https://login.example.org', audience: chat, jwks_file: NAME}\n",
        "identity_provider.jwks_file",
    ),
}


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("way", ["a file", "a folder", "a file that is not there"])
def test_a_link_that_leads_out_of_the_stacks_folder_is_refused_unread(
    folder, tmp_path_factory, named, way
):
    text, field = NAMED[named]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    if way != "a file that is not there":
        (elsewhere / "f.txt").write_text(OUTSIDE)
    (folder / "link").symlink_to(elsewhere if way == "a folder" else elsewhere / "f.txt")
    written = "link/f.txt" if way == "a folder" else "link"
    found = faults(folder, f"name: demo\n{text.replace('NAME', written)}")
    told = (
        f"{field}: '{written}' leads by a link out of the folder of the stack; write the path that"
        " the link leads to, or put the file there"
    )
    assert [told in one for one in found] == [True]
    assert "hunter2" not in found[0]


@pytest.mark.parametrize("way", ["a way back", "a full path"])
def test_a_name_that_comes_back_into_the_stacks_folder_says_nothing_of_a_link(
    folder, tmp_path_factory, way
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "f.txt").write_text(OUTSIDE)
    (folder / "link").symlink_to(elsewhere / "f.txt")
    (folder / "real.txt").write_text("one\n")
    back = f"../{folder.name}" if way == "a way back" else str(folder)
    text = "name: demo\nendpoints: [{name: iris, description: '${file:BACK/NAME}'}]\n"
    named = text.replace("BACK", back)
    [found] = faults(folder, named.replace("NAME", "link"))
    assert f"'{back}/link' leads by a link out of the folder of the stack" in found
    assert load(folder, named.replace("NAME", "real.txt")).endpoints[0].description == "one"


def test_a_link_inside_and_a_path_that_says_where_it_leads_are_read(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "f.txt").write_text("one\n")
    (folder / "data").mkdir()
    (folder / "data" / "f.txt").write_text("two\n")
    (folder / "link").symlink_to("data/f.txt")
    up = f"../{elsewhere.name}/f.txt"
    for written, text in ((elsewhere / "f.txt", "one"), (up, "one"), ("link", "two")):
        named = f"name: demo\nendpoints: [{{name: iris, description: '${{file:{written}}}'}}]\n"
        assert load(folder, named).endpoints[0].description == text
