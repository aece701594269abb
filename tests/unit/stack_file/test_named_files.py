"""Faults in the files and folders that a stack file names."""

import pytest
from tests.stack_files import GOOD, faults


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
