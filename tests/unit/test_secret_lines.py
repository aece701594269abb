"""Lines of a stack file in which a secret stands in clear."""

from inference_provider.files.secret_lines import secret_lines

TEXT = """\
name: demo
connections:
  - name: store
    category: ApiKey
    target: https://store.test    # 4
    credentials:
      key: abcdefgh               # 6
  - {name: b, target: "https://ann:pw@store.test", credentials: {key: "${env:K}"}}
endpoints:
  - name: iris
    keys:
      primary: abcdefgh           # 11
      secondary: "${env:SECOND}"
    tags: {team: ml}
deployments:
  - &blue
    endpoint: iris
    environment_variables: &more
      DEBUG: "true"
      CERTIFICATE: |              # 19
        first
        second
      AT: ${{azureml://connections/store/credentials/key}}
  - <<: *blue
    name: green
    environment_variables: {<<: *more, LEVEL: high}    # 25
    description: hunter2
"""


def test_lines_of_values_in_clear_and_of_a_userinfo():
    assert sorted(secret_lines(TEXT)) == [6, 7, 11, 19, 20, 21, 25]


def test_a_text_without_secrets_has_none():
    assert secret_lines("name: demo\nendpoints: [{name: iris, keys: null}]\n") == frozenset()


def test_only_a_newline_ends_a_line():
    """As in a patch; YAML knows other ends of lines."""
    text = "name: 'a\u2028b'\ndeployments:\n- environment_variables: {A: hunter2}\n"
    assert secret_lines(text) == {2}
