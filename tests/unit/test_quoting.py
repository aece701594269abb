"""What an error quotes of a log: no secret that we know, whole or in part."""

import pytest
from pydantic import SecretStr
from tests.growth import EIGHT_TIMES, growth

from inference_provider.errors import TargetError
from inference_provider.quoting import without_secrets
from inference_provider.serving.environments import build_environment
from inference_provider.spec import EnvironmentSpec


def quoted(text, *values):
    return without_secrets(text, tuple(SecretStr(value) for value in values))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("key hunter2-4711 no", "key [secret] no", id="whole"),
        pytest.param("hunter2-4711hunter2-4711", "[secret]", id="twice in a row"),
        pytest.param(
            "begins hunter2... and ends ...2-4711",
            "begins [secret]... and ends ...[secret]",
            id="parts of 7 and 6",
        ),
        pytest.param("hunte 4711", "hunte 4711", id="parts of 5 and 4"),
        pytest.param("'hunter2-4711'\\n", "'[secret]'\\n", id="quoted"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_secret_is_cut_whole_and_in_part_of_6_or_more_characters(text, shown):
    assert quoted(text, "hunter2-4711") == shown


def test_a_log_without_a_secret_in_it_is_as_it_was():
    text = 'File "/srv/score.py", line 2, in init\n    raise RuntimeError("no model")\n'
    assert quoted(text, "hunter2-4711", "2", "true", "INFO", "", "   ") == text


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        pytest.param("blue", "a blue bluebird", "a [secret] bluebird", id="4 as a word"),
        pytest.param("p-w.d", "(p-w.d) xp-w.dy", "([secret]) xp-w.dy", id="5 as a word"),
        pytest.param("2", "line 2", "line 2", id="under 4"),
        pytest.param("False", "is False", "is False", id="ordinary"),
        pytest.param("000000", "at 000000, 0000000", "at [secret], 0000000", id="one character"),
        pytest.param("a      b", "  def f():\n      x", "  def f():\n      x", id="blanks in it"),
        pytest.param("production", "mode=production", "mode=[secret]", id="a plain word of 6"),
    ],
)
def test_what_is_short_or_trivial_mangles_no_log(value, text, shown):
    assert quoted(text, value) == shown


def test_parts_of_two_secrets_side_by_side_are_one_cut():
    assert quoted("x abcdef123456 y", "abcdef", "123456") == "x [secret] y"


def test_a_secret_of_several_lines_is_cut_out_of_each():
    pem = "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n"
    log = "E  MIIEvQIBADAN\nE  BgkqhkiG9w0B"
    assert quoted(log, pem) == "E  [secret]\nE  [secret]"


def test_userinfo_of_any_url_is_cut_and_a_cut_is_not_cut_again():
    assert quoted("GET http://ana:pw@feed.test/ secret") == "GET http://[secret]@feed.test/ secret"
    assert (
        quoted("http://ana:pw-4711@feed.test", "pw-4711", "secret") == "http://[secret]@feed.test"
    )


def test_the_time_grows_with_the_length_of_logs_and_secrets():
    def read(count: int) -> None:
        secrets = [f"{i}-" + "abcdefghij" * 40 * count for i in range(8)]
        log = "\n".join(["klmnopqrst" * 30] * count)
        assert quoted(log, *secrets) == log

    assert growth(read, 80) < EIGHT_TIMES


def test_what_uv_says_holds_no_placeholders_value_and_no_part_of_userinfo(tmp_path):
    spec = EnvironmentSpec(
        name="plain",
        dependencies=("six @ file:///nowhere/tok-4711/six-1.0-py3-none-any.whl",),
    )
    with pytest.raises(TargetError) as caught:
        build_environment(spec, tmp_path, lambda _: None, (SecretStr("tok-4711"),))
    assert "/nowhere/[secret]/six-1.0" in str(caught.value)
    assert "4711" not in str(caught.value)
