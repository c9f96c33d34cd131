"""Command lines without their secrets."""

from __future__ import annotations

import time

import pytest

from huldra.provenance.command import (
    command_line,
    recorded_command,
    shown_metadata,
    without_secrets,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"

TABLE: list[tuple[list[str], str]] = [
    (["train.py", "--token=abc"], "train.py '--token=***'"),
    (["train.py", "--api-key", "abc", "x"], "train.py --api-key '***' x"),
    (["train.py", "model.password=abc"], "train.py 'model.password=***'"),
    (["env", "HF_TOKEN=abc", "p"], "env 'HF_TOKEN=***' p"),
    (["p", "https://me:pw@host/x"], "p https://host/x"),
    (["p", "--url=https://me:pw@host/x"], "p --url=https://host/x"),
    (["p", "ghp_" + "a" * 36], "p '***'"),
    (["p", "max_tokens=100", "tokenizer=gpt2"], "p max_tokens=100 tokenizer=gpt2"),
    (["p", "two words", "odd\udcff"], r"p 'two words' 'odd\udcff'"),
    # options that take a value
    (["p", "--password", "x"], "p --password '***'"),
    (["p", "--password", "-x1"], "p --password '***'"),
    (["p", "--use-auth", "--password", "x"], "p --use-auth --password '***'"),
    (["p", "--bearer", "x"], "p --bearer '***'"),
    (["p", "--jwt", "x", "--pat", "y"], "p --jwt '***' --pat '***'"),
    (["p", "--cookie", "a=b"], "p --cookie '***'"),
    (["p", "--key", "x", "--openai-key", "y"], "p --key '***' --openai-key '***'"),
    (["p", "--auth-header", "x", "--login-pw", "y"], "p --auth-header '***' --login-pw '***'"),
    (["p", "--clientSecret", "x", "--dbPassword=y"], "p --clientSecret '***' '--dbPassword=***'"),
    (["p", "--user", "me:pw"], "p --user 'me:***'"),
    (["env", "MY_LICENSE_KEY=x", "FOO_KEY=y"], "env 'MY_LICENSE_KEY=***' 'FOO_KEY=***'"),
    # headers
    (["p", "-H", "Authorization: Bearer abc"], "p -H 'Authorization: ***'"),
    (["p", "-HAuthorization: Basic YTpi"], "p '-HAuthorization: ***'"),
    (["p", "--header", "X-Api-Key: x y"], "p --header 'X-Api-Key: ***'"),
    (["p", "--header=PRIVATE-TOKEN: x"], "p '--header=PRIVATE-TOKEN: ***'"),
    (["p", "-H", "Cookie: a=1; b=2"], "p -H 'Cookie: ***'"),
    (["p", "-H", "Accept: text/html"], "p -H 'Accept: text/html'"),
    (["p", "send as Bearer abcdefgh"], "p 'send as Bearer ***'"),
    # URLs
    (["p", "https://h/a?x=1&token=abc&y=2"], "p 'https://h/a?x=1&token=***&y=2'"),
    (
        ["p", "https://b.s3/k?X-Amz-Credential=AKIA/1&X-Amz-Signature=ab12&X-Amz-Date=2"],
        "p 'https://b.s3/k?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=2'",
    ),
    (["p", "https://h/b?sv=1&sig=a%2Fb#top"], "p 'https://h/b?sv=1&sig=***#top'"),
    (["p", "https://maps/x?key=abc"], "p 'https://maps/x?key=***'"),
    (["p", "postgres://u:p/w@h:5432/db"], "p postgres://h:5432/db"),
    (["p", "redis://:pw@h:6379/0"], "p redis://h:6379/0"),
    (["p", "https://h:8080/@scope/x"], "p https://h:8080/@scope/x"),
    (
        ["p", "https://hooks.slack.com/services/T0/B0/xyz"],
        "p 'https://hooks.slack.com/services/***'",
    ),
    # connection strings, JSON, code
    (["p", "--dsn", "Server=h;Password=x(,y;Db=z"], "p --dsn 'Server=h;Password=***;Db=z'"),
    (["p", "host=h password='a b' dbname=d"], "p 'host=h password='\"'\"'***'\"'\"' dbname=d'"),
    (["p", "AccountName=a;AccountKey=ab/c==;E=1"], "p 'AccountName=a;AccountKey=***;E=1'"),
    (["p", '{"lr": 1, "api_key": "a b", "n": 2}'], """p '{"lr": 1, "api_key": "***", "n": 2}'"""),
    (["p", '{"authToken": "x"}'], """p '{"authToken": "***"}'"""),
    (["p", "-c", "login(token='x y')"], "p -c 'login(token='\"'\"'***'\"'\"')'"),
    # tokens by their form
    *(
        (["p", f"--name={token}"], "p '--name=***'")
        for token in (
            "hf_" + "a" * 34,
            "sk-proj-" + "a" * 40,
            "AKIA" + "A" * 16,
            "ASIA" + "A" * 16,
            "AIza" + "a" * 35,
            "xoxb-123456789012-abcdef",
            "xapp-1-A0123456789-abc",
            "npm_" + "a" * 36,
            "pypi-" + "a" * 40,
            "glpat-" + "a" * 20,
            "github_pat_" + "a" * 30,
            JWT,
        )
    ),
    (["p", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"], "p '***'"),
    # what is no secret
    (
        ["p", "tokenizer.pad_token=<pad>", "eos_token: </s>"],
        "p 'tokenizer.pad_token=<pad>' 'eos_token: </s>'",
    ),
    (["p", "--tokenizer", "bert", "--path", "x"], "p --tokenizer bert --path x"),
    (["p", "key=3", "sort_key=lr", "metric-key=acc"], "p key=3 sort_key=lr metric-key=acc"),
    (["p", "--author", "me", "--passes", "3"], "p --author me --passes 3"),
    (
        ["p", "task-specific", "risk-averse-agents-of-doom"],
        "p task-specific risk-averse-agents-of-doom",
    ),
    (["python", "-m", "proj.train", "lr=1e-3"], "python -m proj.train lr=1e-3"),
]


@pytest.mark.parametrize(("arguments", "shown"), TABLE)
def test_command_without_secrets(arguments: list[str], shown: str) -> None:
    """The command is recorded as typed, with the values of secrets hidden."""
    assert command_line(arguments) == shown


@pytest.mark.parametrize("shown", [shown for _, shown in TABLE])
def test_what_is_hidden_stays_hidden(shown: str) -> None:
    """A command that was recorded without its secrets is shown as it is."""
    assert recorded_command(shown) == shown


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("curl -H 'Authorization: Bearer abc' x", "curl -H 'Authorization: ***' x"),
        ("p 'cut in the middle --password=x", "p 'cut in the middle --password=***"),
        ("", ""),
    ],
)
def test_commands_of_older_versions_are_shown_without_secrets(recorded: str, shown: str) -> None:
    """What an older version recorded with a secret, or what was cut, is shown without it."""
    assert recorded_command(recorded) == shown


def test_metadata_is_shown_without_secrets() -> None:
    """Of a `metadata.json` only the command is changed, and none stays none."""
    assert shown_metadata({"command": "p --token x", "pid": 3}) == {
        "command": "p --token '***'",
        "pid": 3,
    }
    assert shown_metadata({"command": None}) == {"command": None}
    assert shown_metadata(None) is None


@pytest.mark.parametrize(
    "piece", ["a-", '"', "://", "://a:", "?a-", "token=", "x-", "eyJaaaaaaaa."]
)
def test_long_arguments_take_no_long_time(piece: str) -> None:
    """What repeats a hundred thousand times is read in time that grows with its length alone."""
    began = time.process_time()
    without_secrets(piece * 20_000)
    assert time.process_time() - began < 5
