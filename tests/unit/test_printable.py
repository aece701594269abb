"""Text from outside that a terminal only shows, from every command and in every error."""

import json
import unicodedata
from xml.etree import ElementTree

import httpx
import pytest
from tests.memory import write_record

from inference_provider.errors import Fault, RouterRejected, SpecError, TargetError
from inference_provider.observed import Actor, JournalEntry, Kind, ResourceId
from inference_provider.printable import coloured, one_line, printable
from inference_provider.targets.memory import MemoryTarget

CLEAR = "\x1b[2J\x1b]0;title\x07"
EVIL = f"{CLEAR}\x7f\x9b31m\u202egnp\u2066\r\u2028"
SHOWN = r"\x1b[2J\x1b]0;title\x07\x7f\x9b31m\u202egnp\u2066\r\u2028"


def controls(text):
    """Return what of a text is obeyed rather than shown; a newline is ours."""
    return sorted(
        {
            char
            for char in text
            if (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char != "\n")
            or unicodedata.bidirectional(char) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI")
        }
    )


def test_control_characters_are_written_and_not_obeyed():
    assert printable(EVIL) == SHOWN
    assert one_line(EVIL) == SHOWN
    assert printable("\ud800\ufffe") == r"\ud800\ufffe"


def test_every_control_character_there_is_is_written():
    every = "".join(map(chr, range(0x30000)))
    assert controls(printable(every).replace("\t", "")) == []


def test_other_writing_is_left():
    text = "Grüße, 東京, שלום, 👩‍🔬 \t tab\nline"
    assert printable(text) == text
    assert one_line("a\tb\nc") == r"a\tb\nc"
    assert printable("a\r\nb") == "a\nb"


def test_a_log_line_keeps_its_colours_to_its_end_and_loses_the_rest():
    assert coloured("\x1b[1;31mERROR\x1b[0m a\tb\x1b[2K\x1b]0;t\x07") == (
        "\x1b[1;31mERROR\x1b[0m a\tb\\x1b[2K\\x1b]0;t\\x07\x1b[0m"
    )
    assert coloured("plain") == "plain"


@pytest.mark.parametrize(
    "error",
    [
        SpecError((Fault(f"a.{EVIL}", EVIL, f"{EVIL}\nline 1: b: forged"),), source=EVIL),
        TargetError(EVIL, EVIL, f"{EVIL}\n  {EVIL}", EVIL, EVIL),
        RouterRejected(EVIL),
    ],
)
def test_an_error_of_ours_holds_none(error):
    assert controls(str(error)) == []
    assert "\nline 1: b: forged" not in str(error)


@pytest.fixture
def evil(cli):
    """The command line over a stack, a record and a journal with control characters in them."""
    document = {
        "name": "demo",
        "workspaces": [{"target": "memory"}],
        "endpoints": [
            {"name": "iris", "description": EVIL, "tags": {f"k{EVIL}\nk": f"v{EVIL}\nforged"}},
        ],
    }
    cli.file.write_text(json.dumps(document))
    return cli


def test_a_stack_file_controls_no_terminal(evil):
    assert evil("up").exit_code == 0
    evil.file.write_text(evil.file.read_text().replace("forged", "else"))
    for args in (["plan"], ["drift"], ["drift", "--format", "markdown"], ["up"], ["status"]):
        output = evil(*args).output
        assert controls(output) == []
        assert "forged" not in output.split("\n")
    evil("up")
    evil.file.write_text(evil.file.read_text().replace('"description"', f'"{SHOWN}"'))
    assert controls(evil("plan").output) == []


class Odd(MemoryTarget):
    """Says of one endpoint what no text of ours would be."""

    def observe(self, workspaces):
        state = super().observe(workspaces)
        said = {"outputs": {"scoring_uri": EVIL}, "status": EVIL}
        found = {
            address: there.model_copy(update=said) if EVIL in address else there
            for address, there in state.resources.items()
        }
        return state.model_copy(update={"resources": found})


def test_what_a_record_and_a_journal_hold_controls_no_terminal(evil):
    evil.target = Odd()
    evil("up")
    iris = ResourceId(kind=Kind.ENDPOINT, workspace="default", name="iris")
    odd = iris.model_copy(update={"name": f"odd{EVIL}"})
    record = evil.target.record(iris).model_copy(update={"id": odd})
    write_record(evil.target, record)
    actor = Actor(user=EVIL, ci_job=f"{EVIL}\nforged", command=EVIL)
    records = evil.target.memory.ports("default").records
    records.note(JournalEntry(time=record.time, actor=actor, action="update", id=odd))
    for args in (["plan"], ["status"], ["outputs"], ["drift"], ["drift", "--format", "markdown"]):
        assert controls(evil(*args).output) == []
    suite = evil("drift", "--format", "junit").output
    assert controls(suite) == []
    ElementTree.fromstring(suite)
    found = json.loads(evil("status", "--json").stdout)
    assert found[-1]["name"] == f"odd{EVIL}"


def test_a_stack_file_with_faults_controls_no_terminal(cli):
    cli.file.write_text(
        json.dumps({"name": EVIL, EVIL: [], "models": [{"name": "m", "path": EVIL}]})
    )
    result = cli("plan")
    assert result.exit_code == 1
    assert controls(result.output) == []


def test_the_answer_in_an_error_of_score_controls_no_terminal(served):
    def answer(_request):
        return httpx.Response(424, content=EVIL.encode(), headers={"x-request-id": "r"})

    result = served("score", "iris", said="[1]", transport=httpx.MockTransport(answer))
    assert "answered 424" in result.stderr
    assert controls(result.stderr) == []


def test_the_answer_of_score_is_as_the_model_gave_it(served):
    def answer(_request):
        return httpx.Response(200, content=CLEAR.encode(), headers={"content-type": "image/png"})

    result = served("score", "iris", said="[1]", transport=httpx.MockTransport(answer))
    assert result.stdout_bytes == CLEAR.encode()


def test_logs_show_colours_and_obey_nothing_else(served):
    served.target.lines = ["\x1b[31mred", f"a\tb{EVIL}"]
    name = "iris.blue.1a2b.0"
    shown = f"{name}: \x1b[31mred\x1b[0m\n{name}: a\tb{SHOWN}\n"
    assert served("logs", "iris/blue").stdout == shown
    [_, line] = served("logs", "iris/blue", "--json").stdout.splitlines()
    assert json.loads(line) == {"instance": name, "line": f"a\tb{EVIL}"}
