"""A conda file becomes a version of Python and requirements of pip; what is conda's is refused."""

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import SourceFolder, file_faults, load_stack, with_content_hash
from inference_provider.observed import ResourceId
from inference_provider.spec import EnvironmentSpec

AZURE = """\
name: model-env
channels:
  - conda-forge
dependencies:
  - python=3.10.12
  - conda-forge::pip=21.2.4
  - pip:
    - numpy==1.21.2 # arrays
    - pandas==1.1.5
"""
PIP = {"dependencies": [{"pip": ["six==1.17.0"]}]}


def read(tmp_path, text, **fields):
    (tmp_path / "conda.yaml").write_text(text)
    spec = EnvironmentSpec(name="env", conda_file="conda.yaml", **fields)
    return with_content_hash(spec, SourceFolder(tmp_path))


def faults(tmp_path, **fields):
    spec = EnvironmentSpec.model_validate({"name": "env", **fields})
    return [str(fault) for fault in file_faults(spec, SourceFolder(tmp_path))]


def test_python_and_the_packages_of_pip_are_taken(tmp_path):
    found = read(tmp_path, AZURE, dependencies=("six",))
    assert found.python_version == "3.10"
    assert found.dependencies == ("six", "numpy==1.21.2", "pandas==1.1.5")
    assert with_content_hash(found, SourceFolder(tmp_path)) == found


def test_the_same_written_in_place_or_as_dependencies_is_the_same_content(tmp_path):
    in_file = read(tmp_path, "dependencies: [python=3.12, {pip: [six==1.17.0]}]")
    inline = EnvironmentSpec.model_validate(
        {"name": "env", "conda_file": {"dependencies": ["python=3.12", *PIP["dependencies"]]}}
    )
    plain = EnvironmentSpec(name="env", python_version="3.12", dependencies=("six==1.17.0",))
    hashes = {
        with_content_hash(spec, SourceFolder(tmp_path)).content_hash
        for spec in (in_file, inline, plain)
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("python", None),
        ("python=3.12", "3.12"),
        ("python==3.12.4", "3.12"),
        ("python = 3.8.*", "3.8"),
        ("conda-forge::python=3.9", "3.9"),
    ],
)
def test_a_pin_of_python_names_its_minor_version(tmp_path, package, version):
    text = f"dependencies: ['{package}', {{pip: [six]}}]"
    assert read(tmp_path, text).python_version == version


@pytest.mark.parametrize(
    ("package", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.21", "numpy==1.21.*"),
        ("scikit-learn=1.7.0", "scikit-learn==1.7.0.*"),
        ("conda-forge::scipy==1.16.0", "scipy==1.16.0"),
        ("pandas 2.3.*", "pandas==2.3.*"),
        ("xgboost >=1.3, <2", "xgboost>=1.3,<2"),
    ],
)
def test_a_package_of_the_same_name_on_pypi_is_installed_by_pip(tmp_path, package, requirement):
    text = f"dependencies: ['{package}', {{pip: [six]}}]"
    assert read(tmp_path, text).dependencies == (requirement, "six")


@pytest.mark.parametrize("pin", ["=1.21=py310_0", "=1.21|1.22"])
def test_a_pin_that_only_conda_knows_is_refused(tmp_path, pin):
    assert faults(tmp_path, conda_file={"dependencies": [f"numpy{pin}"]}) == [
        f"conda_file.dependencies.0: 'numpy{pin}' is pinned in a way that pip does not know;"
        " write it like numpy=1.2.3 or numpy>=1.2,<2"
    ]


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        pytest.param(
            ["r-base=4.3"],
            "conda_file.dependencies.0: there is no conda here to install 'r-base'; list it under"
            " `- pip:`, by its name on PyPI",
            id="a package of conda",
        ),
        pytest.param(
            ["python>=3.8,<3.11"],
            "conda_file.dependencies.0: 'python>=3.8,<3.11' names no single version of Python;"
            " write it like python=3.12",
            id="a range of Python",
        ),
        pytest.param(
            ["python=3.10", "pip", "python==3.11.2"],
            "conda_file.dependencies.2: 'python==3.11.2' is a second version of Python; leave one"
            " of them out",
            id="Python twice",
        ),
        pytest.param(
            [{"pip": ["-r requirements.txt"]}],
            "conda_file.dependencies.0.pip.0: the option '-r' is not supported; list requirements"
            " only; set the index with UV_INDEX_URL",
            id="an option of pip",
        ),
        pytest.param(
            [{"pip": "six"}],
            "conda_file.dependencies.0: neither a package nor a list of those of pip; list packages"
            " under `dependencies:`, and those of pip under `- pip:`",
            id="no list",
        ),
    ],
)
def test_what_only_conda_can_install_is_refused_by_name(tmp_path, listed, fault):
    assert faults(tmp_path, conda_file={"dependencies": listed}) == [fault]


def test_faults_in_a_file_say_where_in_it(tmp_path):
    text = "dependencies: [blas, {pip: [six]}]\nvariables: {A: b}\n"
    (tmp_path / "conda.yaml").write_text(text)
    assert faults(tmp_path, conda_file="conda.yaml") == [
        "conda_file: variables: unknown field 'variables'; known fields: name, channels,"
        " dependencies, prefix",
        "conda_file: dependencies.0: there is no conda here to install 'blas'; list it under"
        " `- pip:`, by its name on PyPI",
    ]
    with pytest.raises(SpecError, match="there is no conda here to install 'blas'"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- six", "conda_file: expected a mapping with `dependencies:` in 'conda.yaml'"),
        ("a: [", "conda_file: line 2: "),
        ("name: x", "conda_file: dependencies: not a list; list packages under"),
    ],
)
def test_what_is_no_conda_file_is_a_fault(tmp_path, text, fault):
    (tmp_path / "conda.yaml").write_text(text)
    [found] = faults(tmp_path, conda_file="conda.yaml")
    assert found.startswith(fault)


def test_a_version_of_python_that_differs_from_the_conda_files_is_a_fault(tmp_path):
    conda = {"dependencies": ["python=3.10", *PIP["dependencies"]]}
    assert faults(tmp_path, conda_file=conda, python_version="3.10") == []
    assert faults(tmp_path, conda_file=conda, python_version="3.11") == [
        "python_version: '3.11', and the conda file asks for 3.10; leave one of them out"
    ]


def test_anything_else_in_its_place_is_one_fault(tmp_path):
    (tmp_path / "stack.yaml").write_text("name: d\nenvironments: [{name: env, conda_file: [a]}]")
    with pytest.raises(SpecError) as caught:
        load_stack(tmp_path / "stack.yaml")
    assert str(caught.value).endswith(
        "environments.0.conda_file: expected a conda file; write its path, or its content"
    )


def test_a_secret_in_a_conda_file_that_is_written_in_place_is_known_as_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    (tmp_path / "stack.yaml").write_text(
        "name: d\nworkspaces: [{name: lab}]\nenvironments:\n- name: env\n  conda_file:\n"
        "    dependencies:\n    - pip: ['six @ https://ann:${env:TOKEN}@h/six-1.whl']\n"
    )
    stack = load_stack(tmp_path / "stack.yaml")
    assert "hunter2hunter2" in stack.environments[0].dependencies[0]
    [desired] = [one for one in _resolved(stack) if one.id == ENVIRONMENT]
    assert "hunter2hunter2" not in str(desired.properties)


ENVIRONMENT = ResourceId(kind="Environment", workspace="lab", name="env:1")


def _resolved(stack):
    from inference_provider.desired import resolve

    return resolve(stack)


@pytest.mark.parametrize(
    ("packages", "numpy"),
    [
        pytest.param(["scikit-learn=1.2.2", "numpy"], ("numpy", "numpy<2"), id="free"),
        pytest.param(["scikit-learn=1.2.2"], ("numpy<2",), id="not named"),
        pytest.param([{"pip": ["pandas==2.0.3"]}], ("numpy<2",), id="under pip"),
        pytest.param(["scikit-learn=1.2.2", "numpy=1.26"], ("numpy==1.26.*",), id="pinned"),
        pytest.param(["scikit-learn=1.7.0", "numpy"], ("numpy",), id="new enough"),
        pytest.param(["scikit-learn", "numpy"], ("numpy",), id="any"),
    ],
)
def test_what_was_built_for_numpy_1_gets_it_as_conda_would_solve(tmp_path, packages, numpy):
    spec = EnvironmentSpec.model_validate({"name": "env", "conda_file": {"dependencies": packages}})
    found = with_content_hash(spec, SourceFolder(tmp_path)).dependencies
    assert tuple(one for one in found if one.startswith("numpy")) == numpy


def test_what_was_built_for_numpy_1_beside_a_pin_of_numpy_2_is_refused(tmp_path):
    listed = ["numpy=2.3.1", "scikit-learn=1.2.2"]
    assert faults(tmp_path, conda_file={"dependencies": listed}) == [
        "conda_file.dependencies.1: 'scikit-learn==1.2.2.*' was built for numpy 1, and"
        " 'numpy==2.3.1.*' asks for numpy 2; take a newer scikit-learn, or leave out the pin of"
        " numpy"
    ]
