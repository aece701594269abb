"""An endpoint -> programs that call it, in four languages. Pure; no secret is in one."""

import json
from typing import NamedTuple

VARIABLE = "INFERENCE_KEY"
"""Of the environment; a key in a program's text is soon everybody's."""


class Sample(NamedTuple):
    """One program."""

    language: str
    text: str


def samples(url: str, trusted: str = "") -> tuple[Sample, ...]:
    """Return a program a language.

    Args:
        url: The scoring address.
        trusted: File with the authority that signed its certificate; empty where none is needed.
    """
    found = {"curl": _curl, "Python": _python, "JavaScript": _javascript, "C#": _csharp}
    return tuple(Sample(name, make(url, trusted)) for name, make in found.items())


def _curl(url: str, trusted: str) -> str:
    trust = f" --cacert {trusted}" if trusted else ""
    return f"""\
curl{trust} '{url}' \\
  -H "Authorization: Bearer ${VARIABLE}" \\
  -H 'Content-Type: application/json' \\
  --data @request.json
"""


def _python(url: str, trusted: str) -> str:
    imports = "import ssl\n" if trusted else ""
    trust = f"ssl.create_default_context(cafile={json.dumps(trusted)})" if trusted else ""
    verify = f", context={trust}" if trusted else ""
    return f"""\
import json
import os
{imports}import urllib.request

request = urllib.request.Request(
    {json.dumps(url)},
    data=json.dumps({{"data": []}}).encode(),
    headers={{
        "Authorization": f"Bearer {{os.environ['{VARIABLE}']}}",
        "Content-Type": "application/json",
    }},
)
with urllib.request.urlopen(request{verify}) as answer:
    print(json.load(answer))
"""


def _javascript(url: str, trusted: str) -> str:
    trust = f"// run with NODE_EXTRA_CA_CERTS={trusted}\n" if trusted else ""
    return f"""\
{trust}const answer = await fetch({json.dumps(url)}, {{
  method: "POST",
  headers: {{
    Authorization: `Bearer ${{process.env.{VARIABLE}}}`,
    "Content-Type": "application/json",
  }},
  body: JSON.stringify({{ data: [] }}),
}});
if (!answer.ok) throw new Error(`${{answer.status}} ${{await answer.text()}}`);
console.log(await answer.json());
"""


def _csharp(url: str, trusted: str) -> str:
    trust = f"// run with SSL_CERT_FILE={trusted}\n" if trusted else ""
    return f"""\
{trust}using System.Net.Http.Headers;
using System.Text;

using var client = new HttpClient();
client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
    "Bearer", Environment.GetEnvironmentVariable("{VARIABLE}"));
using var body = new StringContent("{{\\"data\\": []}}", Encoding.UTF8, "application/json");
using var answer = await client.PostAsync({json.dumps(url)}, body);
answer.EnsureSuccessStatusCode();
Console.WriteLine(await answer.Content.ReadAsStringAsync());
"""
