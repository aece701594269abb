"""`inferctl az` changes a part of a workspace as `up` would, and prints Azure's documents."""

import json

import pytest

from inference_provider.observed import Actor, Claim, Kind, ResourceId

ENDPOINT = "azure/endpoint.yml"
BLUE = "azure/blue-deployment.yml"


class Az:
    """The command line over the memory target; each line must end as it is said to."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def both(self, *words: str, code: int = 0):
        done = self.folder.run("az", *words)
        assert done.exit_code == code, done.output
        return done.stdout, done.stderr

    def __call__(self, *words: str):
        return json.loads(self.both(*words)[0])

    def error(self, *words: str, code: int = 1) -> str:
        return self.both(*words, code=code)[1]

    def record(self, kind, name):
        id_ = ResourceId(kind=kind, workspace="default", name=name)
        return self.folder.target.record(id_)


@pytest.fixture
def az(folder):
    return Az(folder)


@pytest.fixture
def served(az):
    """An endpoint `iris` with the deployment `blue`, which gets all requests."""
    az.both("online-endpoint", "create", "-f", ENDPOINT)
    az.both("online-deployment", "create", "-f", BLUE, "--all-traffic")
    return az


def with_green(az):
    az.both("online-deployment", "create", "-f", BLUE, "-n", "Green")
    return az


# -- what is made ----------------------------------------------------------------------------------


def test_a_name_of_the_command_line_goes_before_that_of_the_file(az):
    made = az("online-endpoint", "create", "--name", "Other", "-f", ENDPOINT)
    assert made["name"] == "other"
    assert (made["auth_mode"], made["provisioning_state"]) == ("aml_token", "Succeeded")


def test_an_endpoint_needs_no_file(az):
    made = az("online-endpoint", "create", "-n", "chat", "--auth-mode", "AMLToken")
    assert made["auth_mode"] == "aml_token"
    assert az.record(Kind.ENDPOINT, "chat").owner == "az"


def test_a_deployment_gets_all_requests_only_when_that_is_asked(served):
    with_green(served)
    shown = served("online-endpoint", "show", "-n", "IRIS", "--query", "traffic")
    assert shown == {"blue": 100}
    names = served("online-deployment", "list", "-e", "iris", "--query", "[].name")
    assert names == ["blue", "green"]


def test_a_beginning_of_an_option_is_enough_as_with_az(served):
    state = served(
        "online-deployment", "show", "--n", "blue", "--endpoint", "iris",
        "--query", "provisioning_state",
    )  # fmt: skip
    assert state == "Succeeded"


def test_pairs_of_set_come_several_to_one_option_and_by_several(served):
    made = served(
        "online-deployment", "create", "--f", BLUE, "--set", "name=green", "instance_count=2",
        "--set", "request_settings.request_timeout_ms=9000", "tags.a=1",
    )  # fmt: skip
    assert (made["name"], made["instance_count"], made["tags"]) == ("green", 2, {"a": "1"})
    assert made["request_settings"]["request_timeout_ms"] == 9000


def test_text_of_a_command_line_needs_no_quotes_of_yaml(served):
    update = ("online-deployment", "update", "-n", "blue", "-e", "iris", "--set")
    assert served(*update, "description=7")["description"] == "7"
    # which is what the target says of an amount, and not YAML
    assert "resources.requests.cpu: not supported yet" in served.error(
        *update, "resources.requests.cpu=0.5"
    )


def test_the_word_ml_may_stay(az):
    assert az("ml", "online-endpoint", "create", "-n", "iris")["name"] == "iris"


# -- what is changed -------------------------------------------------------------------------------


def test_an_update_leaves_all_that_it_does_not_name(served):
    before = served.record(Kind.DEPLOYMENT, "iris/blue")
    changed = served(
        "online-deployment", "update", "-n", "blue", "-e", "iris", "--set", "instance_count=2"
    )
    after = served.record(Kind.DEPLOYMENT, "iris/blue")
    assert changed["instance_count"] == 2
    assert after.properties == {**before.properties, "instance_count": 2}
    assert after.generation == before.generation


def test_an_update_of_a_variable_keeps_the_others_and_starts_new_instances(served):
    before = served.record(Kind.DEPLOYMENT, "iris/blue")
    served.both(
        "online-deployment", "update", "-n", "blue", "-e", "iris",
        "--set", "environment_variables.MORE=1",
    )  # fmt: skip
    after = served.record(Kind.DEPLOYMENT, "iris/blue")
    assert list(after.properties["environment_variables"]) == ["WORKER_COUNT", "MORE"]
    assert after.generation != before.generation


def test_new_code_is_read_from_where_the_command_runs(served):
    served.folder.write("new/score.py", "def init():\n    pass\n\n\ndef run(raw):\n    return 2\n")
    before = served.record(Kind.DEPLOYMENT, "iris/blue")
    served.both(
        "online-deployment", "update", "-n", "blue", "-e", "iris",
        "--set", "code_configuration.code=new",
    )  # fmt: skip
    after = served.record(Kind.DEPLOYMENT, "iris/blue")
    assert before.properties["code_configuration"] != after.properties["code_configuration"]


def test_a_split_and_a_mirror_change_alone(served):
    az = with_green(served)
    changed = az("online-endpoint", "update", "-n", "iris", "--mirror-traffic", "green=10")
    assert (changed["traffic"], changed["mirror_traffic"]) == ({"blue": 100}, {"green": 10})
    az.both("online-endpoint", "update", "-n", "iris", "--mirror-traffic", "green=0")
    changed = az("online-endpoint", "update", "-n", "iris", "--traffic", "Blue=90 Green=10")
    assert changed["traffic"] == {"blue": 90, "green": 10}


def test_an_endpoint_changes_by_set(served):
    changed = served(
        "online-endpoint", "update", "-n", "iris", "--set", "tags.team=iris", "description=a b"
    )
    assert (changed["tags"], changed["description"]) == ({"team": "iris"}, "a b")


# -- what is deleted -------------------------------------------------------------------------------


def test_an_endpoint_goes_with_all_that_was_made_for_it(served):
    with_green(served).both("online-endpoint", "delete", "-n", "iris", "-y")
    there = served.folder.target.observe(("default",)).resources
    assert list(there) == ["Workspace/default/default"]


def test_a_deletion_needs_a_person_or_yes(served):
    assert "cannot prompt: stdin is not a terminal; nothing was changed; pass -y to delete" in (
        served.error("online-endpoint", "delete", "-n", "iris")
    )
    assert served.record(Kind.ENDPOINT, "iris") is not None


def test_a_deployment_with_requests_is_not_deleted(served):
    assert served.error("online-deployment", "delete", "-n", "blue", "-e", "iris", "-y") == (
        "error: delete Deployment 'default/iris/blue': it gets 100 % of the requests; give them to"
        " another first, by `inferctl az online-endpoint update --traffic`\n"
    )


def test_a_deployment_goes_with_its_inline_assets_and_no_others(served):
    with_green(served).both("online-deployment", "delete", "-n", "green", "-e", "iris", "-y")
    assert served.record(Kind.MODEL, "iris-green:1") is None
    assert served.record(Kind.MODEL, "iris-blue:1") is not None


# -- other stacks, `up` and `drift` ----------------------------------------------------------------


def test_up_and_drift_agree_with_what_az_made(served):
    files = (ENDPOINT, BLUE, "--all-traffic", "--stack", "az")
    planned = served.folder.run("plan", *files)
    assert planned.stdout == "no changes; 6 unchanged\n"
    assert served.folder.run("drift", *files).exit_code == 0


def test_down_of_the_stack_deletes_what_az_made_and_its_workspace(served):
    assert served.folder.run("down", "azure", "--stack", "az", "--yes").exit_code == 0
    assert served.folder.target.workspaces() == ()


def test_another_stacks_endpoint_is_read_and_not_changed(az):
    az.folder.run("up", "azure", "--all-traffic")
    assert az("online-endpoint", "show", "-n", "iris", "--query", "name") == "iris"
    for line in (
        ("online-endpoint", "update", "-n", "iris", "--traffic", "blue=0"),
        ("online-deployment", "create", "-f", BLUE, "-n", "green"),
        ("online-deployment", "update", "-n", "blue", "-e", "iris", "--set", "instance_count=2"),
        ("online-endpoint", "delete", "-n", "iris", "-y"),
    ):
        assert "it belongs to stack 'azure', not to 'az'" in az.error(*line)


def test_a_stack_that_is_named_is_changed_and_its_drift_says_so(az, monkeypatch):
    az.folder.run("up", "azure", "--all-traffic")
    monkeypatch.setenv("INFERENCE_STACK", "azure")
    az.both("online-deployment", "update", "-n", "blue", "-e", "iris", "--set", "instance_count=2")
    found = az.folder.run("drift", "azure", "--all-traffic")
    assert found.exit_code == 2
    assert "instance_count" in found.stdout


def test_what_a_pulumi_stack_holds_is_changed_by_its_name_and_that_is_said(az):
    az.folder.run("up", "azure", "--all-traffic")
    split = ResourceId(kind=Kind.TRAFFIC, workspace="default", name="iris")
    claim = Claim(holder="Pulumi stack 'dev' of project 'azure'", entry="urn", incarnation="1")
    az.folder.target.transfer(split, "azure", Actor(user="ann"), claim)
    said = az.both(
        "online-endpoint", "update", "-n", "iris", "--traffic", "blue=0", "--stack", "azure"
    )[1]
    assert said.startswith(
        "note: 1 of these is held by Pulumi stack 'dev' of project 'azure'; its next refresh will"
        " show these changes\n"
    )
    assert az.record(Kind.TRAFFIC, "iris").claim == claim


def test_the_journal_names_the_verb(served):
    (*_, entry) = served.folder.target.journal("default")
    assert entry.actor.command == "inferctl az online-deployment create"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "online-endpoint show -n nosuch",
        "online-endpoint delete -n nosuch -y",
        "online-endpoint get-credentials -n nosuch",
        "online-deployment show -n green -e iris",
        "online-deployment get-logs -n green -e iris",
        "online-deployment update -n green -e iris --set instance_count=2",
        "online-deployment create -n green -e nosuch -f azure/blue-deployment.yml",
    ],
)
def test_what_is_not_there_exits_3(served, line):
    assert served.error(*line.split(), code=3).endswith(": not found\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "online-endpoint show -n iris --web",
            "--web is not supported: Azure ML studio is not part of this; run `inferctl console`",
        ),
        (
            "online-deployment create -f x.yml --package-model",
            "--package-model is not supported: model packages are not supported",
        ),
        ("online-endpoint show -n iris --nosuch", "unrecognized arguments: --nosuch"),
        ("online-endpoint show -n iris -o xml", "invalid choice: 'xml'"),
        ("batch-endpoint list", "invalid choice: 'batch-endpoint'"),
    ],
)
def test_a_wrong_command_line_exits_2(az, line, said):
    assert said in az.error(*line.split(), code=2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            f"online-endpoint create -f {BLUE}",
            f"--file: {BLUE} is a managed online deployment; name a file of a managed online",
        ),
        ("online-endpoint create -f nosuch.yml", "nosuch.yml"),
        (
            "online-endpoint update -n iris --traffic blue=90",
            "traffic: the shares sum to 90; make them 100, or 0",
        ),
        (
            "online-endpoint update -n iris --traffic green=100",
            "  traffic.green: no deployment 'green' behind endpoint 'iris'; declare the deployment",
        ),
        ("online-endpoint update -n iris", "nothing is to be changed"),
        (
            "online-deployment update -n blue -e iris --set nosuch=1",
            "no given file has a field 'nosuch'",
        ),
        (
            "online-deployment update -n blue -e iris --set instance_count=many",
            "instance_count (from the command line): expected a whole number, got text",
        ),
        (
            "online-deployment update -n blue -e iris --set endpoint_name=x",
            "endpoint_name stays as it is",
        ),
        ("online-endpoint show -n iris --query ]", "--query: ']' cannot be asked"),
        ("online-endpoint show", "--name: missing; pass --name NAME"),
    ],
)
def test_what_is_wrong_is_said_and_exits_1(served, line, said):
    assert said in served.error(*line.split())


def test_what_has_no_meaning_here_is_said_once(served):
    line = ("online-endpoint", "show", "-n", "iris", "-g", "rg", "--subscription", "s")
    assert served.both(*line)[1] == (
        "note: --resource-group and --subscription have no meaning here\n"
    )
    assert served.both(*line, "--only-show-errors")[1] == ""


def test_local_is_taken_where_the_workspace_is_on_this_machine(served):
    assert served("online-endpoint", "show", "-n", "iris", "--local", "--query", "name") == "iris"


def test_invoke_says_in_azures_words_which_deployment_is_not_there(served):
    served.folder.write("r.json", "[1]")
    asked = ("online-endpoint", "invoke", "-n", "iris", "-r", "r.json", "--deployment", "red")
    assert served.error(*asked) == (
        "error: invoke Endpoint 'default/iris': Deployment name red not found for this endpoint;"
        " it has blue\n"
    )
    served.both("online-endpoint", "create", "-n", "bare")
    bare = ("online-endpoint", "invoke", "-n", "bare", "-r", "r.json")
    assert "No deployment exists for this endpoint" in served.error(*bare)


# -- credentials -----------------------------------------------------------------------------------


def test_keys_and_tokens_have_azures_names(served):
    token = served("online-endpoint", "get-credentials", "-n", "iris")
    assert {"accessToken", "expiryTimeUtc", "refreshAfterTimeUtc"} <= token.keys()
    served.both("online-endpoint", "create", "-n", "keyed")
    before = served("online-endpoint", "get-credentials", "-n", "keyed")
    assert before.keys() == {"primaryKey", "secondaryKey"}
    served.both("online-endpoint", "regenerate-keys", "-n", "keyed", "--key-type", "secondary")
    after = served("online-endpoint", "get-credentials", "-n", "keyed")
    assert after["primaryKey"] == before["primaryKey"]
    assert after["secondaryKey"] != before["secondaryKey"]


def test_no_value_of_a_variable_is_shown(served):
    shown = served("online-deployment", "show", "-n", "blue", "-e", "iris")
    assert shown["environment_variables"] == {"WORKER_COUNT": "[secret]"}


def test_a_workspace_of_another_name_is_made_when_it_is_named(az):
    az.both("online-endpoint", "create", "-n", "iris", "-w", "Lab")
    assert az.folder.target.workspaces() == ("Lab",)
