"""To whom the workspace service gives tokens and keys of endpoints."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import jwt
import pytest
from pydantic import SecretStr
from tests.memory import ANN

from inference_provider.access import Principal
from inference_provider.apply import apply
from inference_provider.desired import resolve
from inference_provider.errors import SpecError, TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.plan import plan
from inference_provider.spec import StackSpec
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.bearer import Unproven
from inference_provider.workspace.desk import NotAllowed
from inference_provider.workspace.tokens import new_signing_key

HOUR = timedelta(hours=1)
BEN = Principal("user", "ben")
ROBOT = Principal("identity", "robot")
GIVES_TOKENS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/token/action"


def spec(*assignments, service=True, **more):
    space = {"name": "lab", "target": "memory", "roles": {"Caller": {"actions": [GIVES_TOKENS]}}}
    fields = dict(
        name="demo",
        workspaces=[{**space, **({"service": {"port": 18443}} if service else {}), **more}],
        identities=[{"workspace": "lab", "name": "robot"}],
        endpoints=[
            {"workspace": "lab", "name": "iris", "auth_mode": "aml_token"},
            {"workspace": "lab", "name": "rose", "auth_mode": "key"},
        ],
        role_assignments=[{"workspace": "lab", **one} for one in assignments],
    )
    return StackSpec.model_validate(fields)


def up(target, *assignments, **more):
    desired = resolve(spec(*assignments, **more))
    apply(plan(desired, target.observe(["lab"]), "demo"), target, ANN)


BEN_CALLS = {
    "name": "ben-calls",
    "principal": "ben",
    "principal_type": "user",
    "role": "Caller",
    "scope": "endpoints/iris",
}


@pytest.fixture
def target():
    made = MemoryTarget()
    up(made, BEN_CALLS)
    return made


def issued(target, who=BEN, groups=(), lifetime=HOUR):
    return target.desk("lab").issue(who, groups, lifetime, ANN)


def caller(target, token):
    return target.desk("lab").caller(token.value.get_secret_value(), lambda _uri: "")


def journal(target):
    return [(one.actor.user, one.action, one.id.name, one.why) for one in target.journal("lab")]


def test_a_token_of_the_workspace_gets_a_token_of_the_endpoint(target):
    who = caller(target, issued(target))
    given = target.desk("lab").token(who, "iris")
    claims = jwt.decode(given.value.get_secret_value(), options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == ("ben", "urn:inference:lab:endpoints:iris")
    assert given.answer["tokenType"] == "Bearer"
    assert given.answer["expiryTimeUtc"] - given.answer["refreshAfterTimeUtc"] == 600
    assert journal(target)[-1] == ("ben", "issue token", "iris", "")


def test_who_has_no_role_is_told_the_same_of_what_is_there_and_of_what_is_not(target):
    who = caller(target, issued(target, Principal("user", "eve")))
    for name in ("iris", "nothing"):
        with pytest.raises(NotAllowed):
            target.desk("lab").token(who, name)
    assert not [one for one in journal(target) if one[1] == "issue token"]


def test_a_group_an_identity_and_a_wider_scope_count(target):
    group = {"name": "ops", "principal": "ops", "principal_type": "group", "role": "Caller"}
    robot = {"name": "robot-calls", "principal": "robot", "role": "Caller"}
    up(target, group, robot)
    of_ops = caller(target, issued(target, Principal("user", "eve"), ("ops",)))
    assert target.desk("lab").token(of_ops, "iris")
    given = target.desk("lab").token(caller(target, issued(target, ROBOT)), "iris")
    claims = jwt.decode(given.value.get_secret_value(), options={"verify_signature": False})
    assert claims["sub"] == "identity:robot"


def test_a_user_of_an_identitys_name_is_another(target):
    up(target, {"name": "robot-calls", "principal": "robot", "role": "Caller"})
    who = caller(target, issued(target, Principal("user", "robot")))
    with pytest.raises(NotAllowed):
        target.desk("lab").token(who, "iris")


def test_a_role_that_is_taken_away_is_refused_at_once(target):
    who = caller(target, issued(target))
    assert target.desk("lab").token(who, "iris")
    up(target)
    with pytest.raises(NotAllowed):
        target.desk("lab").token(who, "iris")


def test_who_may_is_told_what_is_wrong(target):
    up(target, {**BEN_CALLS, "scope": ""})
    who = caller(target, issued(target))
    with pytest.raises(TargetError, match="it is not there"):
        target.desk("lab").token(who, "nothing")
    with pytest.raises(TargetError, match="its auth_mode is key"):
        target.desk("lab").token(who, "rose")
    with pytest.raises(SpecError, match="61 minutes; expected 1 to 60"):
        target.desk("lab").token(who, "iris", timedelta(minutes=61))


def test_keys_are_given_by_an_action_of_their_own(target):
    up(target, {**BEN_CALLS, "scope": ""})
    who = caller(target, issued(target))
    with pytest.raises(NotAllowed):
        target.desk("lab").keys(who, "rose")
    up(target, {"name": "ben-owns", "principal": "ben", "principal_type": "user", "role": "Owner"})
    primary, secondary = target.desk("lab").keys(who, "rose")
    assert primary.get_secret_value() != secondary.get_secret_value()
    assert journal(target)[-1] == ("ben", "read keys", "rose", "")
    with pytest.raises(TargetError, match="it has none"):
        target.desk("lab").keys(who, "iris")


def test_a_caller_sees_the_endpoints_that_a_role_shows(target):
    assert list(target.desk("lab").endpoints(caller(target, issued(target)))) == []
    up(
        target,
        {
            "name": "ben-reads",
            "principal": "ben",
            "principal_type": "user",
            "role": "Reader",
            "scope": "endpoints/rose",
        },
    )
    seen = target.desk("lab").endpoints(caller(target, issued(target)))
    assert [one.id.name for one in seen] == ["rose"]


def test_a_token_of_an_endpoint_proves_nothing_to_the_workspace(target):
    of_endpoint = target.token(
        ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris"), HOUR, ANN
    )
    issued(target)  # so that there are keys
    with pytest.raises(Unproven, match="no key that counts"):
        caller(target, of_endpoint)


def test_a_token_of_another_workspace_proves_nothing(target):
    other = MemoryTarget()
    up(other, BEN_CALLS)
    issued(target)
    with pytest.raises(Unproven, match="no key that counts"):
        caller(target, issued(other))


def test_rotated_keys_overlap_and_then_end(target):
    first = issued(target)
    target.desk("lab").rotate(ANN)
    assert caller(target, first).principal == BEN
    second = issued(target)
    target.desk("lab").rotate(ANN)
    assert caller(target, second).principal == BEN
    with pytest.raises(Unproven):
        caller(target, first)
    assert ("ann", "rotate signing key", "lab", "") in journal(target)


def test_one_token_can_be_revoked_and_the_others_stay(target):
    first, second = issued(target), issued(target)
    assert ("ann", "issue workspace token") in {one[:2] for one in journal(target)}
    target.desk("lab").revoke(first.id, ANN)
    with pytest.raises(Unproven, match="it was revoked"):
        caller(target, first)
    assert caller(target, second).token == second.id
    assert journal(target)[-1] == ("ann", "revoke workspace token", "lab", first.id)


@pytest.mark.parametrize("id_", ["", "../../keys/iris", "x" * 32, "0" * 33])
def test_what_is_no_id_revokes_nothing(target, id_):
    issued(target)
    with pytest.raises(TargetError, match="is no id, which has 32 of the letters 0-9 and a-f"):
        target.desk("lab").revoke(id_, ANN)


def test_a_token_is_revoked_whether_or_not_the_journal_knows_it(target):
    known = issued(target)
    key = json.loads(target.memory.ports("lab").records.read("signing", "_workspace"))["newer"]
    claims = jwt.decode(known.value.get_secret_value(), options={"verify_signature": False})
    text = jwt.encode(
        {**claims, "jti": "a" * 32}, key["private"], "ES256", headers={"kid": key["id"]}
    )
    other = known.model_copy(update={"id": "a" * 32, "value": SecretStr(text)})
    for token, is_known in ((known, True), (other, False)):
        assert caller(target, token).principal == BEN
        assert target.desk("lab").revoke(token.id, ANN) == is_known
        with pytest.raises(Unproven, match="it was revoked"):
            caller(target, token)


def test_no_token_is_in_the_journal(target):
    token = issued(target).value.get_secret_value()
    given = target.desk("lab").token(caller(target, issued(target)), "iris")
    said = "".join(one.model_dump_json() for one in target.journal("lab"))
    assert token not in said
    assert given.value.get_secret_value() not in said


def test_a_workspace_without_a_service_has_no_tokens_of_its_own(target):
    token = issued(target)
    up(target, BEN_CALLS, service=False)
    with pytest.raises(Unproven):
        caller(target, token)
    with pytest.raises(TargetError, match="it has no service that would take one"):
        issued(target)
    with pytest.raises(TargetError, match="it has no service"):
        target.desk("lab").rotate(ANN)
    up(target, BEN_CALLS)
    with pytest.raises(Unproven):
        caller(target, token)


@pytest.mark.parametrize("lifetime", [timedelta(seconds=59), timedelta(days=91)])
def test_a_lifetime_is_between_a_minute_and_ninety_days(target, lifetime):
    with pytest.raises(SpecError, match="expected 1 to 129600"):
        issued(target, lifetime=lifetime)


def test_an_expired_token_proves_nothing(target):
    token = issued(target, lifetime=timedelta(minutes=1))
    target.platform.clock.sleep(66)
    with pytest.raises(Unproven, match="it has expired"):
        caller(target, token)


def test_who_asks_for_the_first_tokens_at_once_get_tokens_that_count(target):
    start = threading.Barrier(8)

    def one(_number):
        desk = target.desk("lab")
        start.wait(20)
        return desk.issue(BEN, (), HOUR, ANN)

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(one, range(8)))
    assert {caller(target, token).principal for token in tokens} == {BEN}


@pytest.mark.parametrize("text", ["half", "{}", "swapped"])
def test_a_key_that_cannot_be_read_is_told_and_never_replaced(target, text):
    token, records = issued(target), target.memory.ports("lab").records
    kept = records.read("signing", "_workspace").decode()
    if text == "swapped":  # the public key is of another pair
        other = new_signing_key()
        text = json.dumps({"newer": {**json.loads(kept)["newer"], "public": other.public}})
    records.put("signing", "_workspace", text)
    for asked in (lambda: issued(target), lambda: target.desk("lab").rotate(ANN)):
        with pytest.raises(TargetError, match="its signing key in signing/_workspace"):
            asked()
    assert records.read("signing", "_workspace").decode() == text
    if "newer" in text:
        with pytest.raises(Unproven):
            caller(target, token)
    else:
        with pytest.raises(TargetError, match="check a token of Workspace 'lab'"):
            caller(target, token)
    records.put("signing", "_workspace", kept)
    assert caller(target, token).principal == BEN
    records.drop("signing", "_workspace")
    assert caller(target, issued(target)).principal == BEN


OF_IRIS = Principal("identity", "endpoints/iris")


@pytest.mark.parametrize("who", [ROBOT, OF_IRIS])
def test_a_token_ends_with_its_identity_and_one_of_the_same_name_is_another(target, who):
    there = spec(BEN_CALLS)
    none = {"identities": [], "endpoints": [], "role_assignments": []}
    before = issued(target, who)
    assert caller(target, before).principal == who
    assert caller(target, issued(target, who)).principal == who  # and does not end the one before
    assert caller(target, before).principal == who
    for wanted in (there.model_copy(update=none), there):
        desired = resolve(wanted)
        apply(plan(desired, target.observe(["lab"]), "demo"), target, ANN)
        with pytest.raises(Unproven, match="of that time was deleted"):
            caller(target, before)
    assert caller(target, issued(target, who)).principal == who


def test_an_identity_that_is_applied_again_keeps_its_tokens(target):
    before = issued(target, ROBOT)
    up(target, BEN_CALLS, {"name": "robot-calls", "principal": "robot", "role": "Caller"})
    assert target.desk("lab").token(caller(target, before), "iris")


@pytest.mark.parametrize("name", ["", "b" * 201, "ben\n"])
def test_a_name_that_no_caller_can_have_gets_no_token(target, name):
    with pytest.raises(SpecError, match="a name has 1 to 200 letters"):
        issued(target, Principal("user", name))


@pytest.mark.parametrize("name", ["nobody", "endpoints/nope", "endpoints/"])
def test_an_identity_that_is_not_there_gets_no_token(target, name):
    with pytest.raises(TargetError, match="it is not there"):
        issued(target, Principal("identity", name))


def test_a_note_of_an_identity_that_cannot_be_read_is_told(target):
    before, records = issued(target, ROBOT), target.memory.ports("lab").records
    records.put("subjects", "Identity.robot", "half")
    for asked in (lambda: caller(target, before), lambda: issued(target, ROBOT)):
        with pytest.raises(TargetError, match="no token counts that was made for this identity"):
            asked()
