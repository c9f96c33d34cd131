"""Command lines without their secrets, to be recorded or shown.

Hidden are the values of options, fields, headers and URL parameters whose names say that they are
secret, users and passwords in URLs, and tokens that tell by their form what they are. A secret that
has neither such a name nor such a form is not known as one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"

# Names of secret values. These count anywhere at the end of a name (`dbPassword`, `my_api_key`) …
_LONG_NAMES = (
    r"password|passwd|passphrase|passcode|secret|apikey|authtoken|accesstoken"
    r"|(?:access|account|api|app|auth|client|encryption|license|master|private|secret|service|shared"
    r"|signing|ssh|storage|subscription|anthropic|aws|azure|gcp|google|hf|huggingface|mistral"
    r"|openai|wandb)[-_]?key"
)
# … and these as a word of their own (`hf_token`, `auth.token`, but neither `tokenizer` nor `path`).
_SHORT_NAMES = (
    r"token|jwt|pat|bearer|secrets|otp|pwd|pw|creds|credentials?|cookies?|auth(?:[-_]?header)?"
    r"|(?:proxy-)?authorization"
)
_NAME = rf"(?:{_LONG_NAMES}|(?<![A-Za-z0-9])(?:{_SHORT_NAMES}))"
_SECRET_NAME = re.compile(rf"(?i){_NAME}$|^--?(?:key|pass)$")
_SECRET_VARIABLE = re.compile(r"^[A-Z0-9_]+_(?:KEY|PASS)$")
_PLAIN_NAME = re.compile(r"[-+~\w./\[\]]+")  # of an option or a field: no URL, no piece of code
# Tokens of text and of limits, which are no secrets: `pad_token`, `max_token`.
_TEXT_TOKEN = re.compile(
    r"(?i)(?:additional|bos|class|cls|end|eos|image|mask|max|min|new|next|num|pad|per|prompt|sep"
    r"|special|start|stop|unk)[-_]?token$"
)

_QUOTED = r"\\\"(?:(?!\\\").)*\\\"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_BETWEEN = r"\\?[\"']?[ \t]{0,4}[:=][ \t]{0,4}"
_HEADER = re.compile(
    r"(?i)(?:(?<![A-Za-z0-9])|(?<=-H))((?:proxy-)?authorization|(?:set-)?cookie"
    r"|x-[a-z0-9-]{0,40}(?:key|token|secret|auth|credential|signature))"
    rf"(\\?[\"']?[ \t]{{0,4}}:[ \t]{{0,4}})({_QUOTED}|[^\r\n]+)"
)
_ASSIGNED = re.compile(rf"(?i)({_NAME})({_BETWEEN})({_QUOTED}|[^\s;&\"']+)")
_PARAMETER = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.-]{0,40}[-_.])?(?:key|sig|signature|code|credential|security-token)=)"
    r"[^&#\s\"';]+"
)
_BEARER = re.compile(r"(?i)(?<![A-Za-z0-9])(bearer[ \t]+)[^\s\"',;]{6,}")
# A password may hold any character, but digits and a slash after the colon are a port.
_USERINFO = re.compile(
    r"(?<=://)(?:[^/@\s:?#\"']{0,200}:(?!\d*(?:[/?#]|$))[^@\s\"']{0,200}|[^/@\s]{0,400})"
    r"(?:@[^/@\s]{0,200}){0,5}@"
)
_FORMS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|agent|soat)-|hf_|npm_|pypi-|dop_v1_"
    r"|xox[a-z]-|xapp-|sk-|[sr]k_(?:live|test)_|gsk_|r8_|nvapi-|shp(?:at|ca|pa|ss)_)[\w-]{12,}"
    r"|A(?:KIA|SIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{12,}|SG\.[\w-]{12,}\.[\w-]{12,}"
    r"|eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*)"
)
_WEBHOOK = re.compile(r"(?<=hooks\.slack\.com/services/)[^\s\"']+")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL
)

_USER_OPTIONS = ("--user", "--proxy-user", "--userpwd")


def command_line(arguments: Sequence[str]) -> str:
    """Return the command as one would type it, with the values of secrets replaced by `***`.

    Hidden are `--token=x`, `--api-key x`, `model.password=x`, `HF_TOKEN=x`, `-H 'Authorization: x'`
    and the like, credentials and secret parameters of URLs, passwords in connection strings and in
    JSON, and what has the form of a token of a well-known service.
    """
    shown: list[str] = []
    before = ""
    for argument in arguments:
        text = _after(before, argument)
        shown.append(text.encode("utf-8", "backslashreplace").decode())
        before = argument
    return shlex.join(shown)


def without_secrets(text: str) -> str:
    """Return `text` with the same hidden where it stands in the text itself."""
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = _USERINFO.sub("", text)
    text = _WEBHOOK.sub(HIDDEN, text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(_hide_value, text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return _FORMS.sub(HIDDEN, text)


def recorded_command(line: str) -> str:
    """Return a recorded command line as it may be shown: older versions recorded more."""
    try:
        return command_line(shlex.split(line))
    except ValueError:  # cut, or of another system's shell
        return without_secrets(line)


def shown_metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the content of a `metadata.json` with its command line as it may be shown."""
    if metadata is None or not isinstance(metadata.get("command"), str):
        return metadata
    return {**metadata, "command": recorded_command(metadata["command"])}


def _after(before: str, argument: str) -> str:
    """One argument, with the secret hidden that it is, or that it carries."""
    if _takes_secret(before) and not re.match(r"--|-[A-Za-z]$", argument):
        return HIDDEN
    if before in _USER_OPTIONS and ":" in argument:
        return f"{argument.partition(':')[0]}:{HIDDEN}"
    name, equals, _ = argument.partition("=")
    if equals and _is_secret_name(name):
        return f"{name}={HIDDEN}"
    return without_secrets(argument)


def _takes_secret(option: str) -> bool:
    return option.startswith("-") and "=" not in option and _is_secret_name(option)


def _is_secret_name(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # `authToken` is `auth_Token`
    if not _PLAIN_NAME.fullmatch(name) or _TEXT_TOKEN.search(words):
        return False
    return bool(_SECRET_NAME.search(words) or _SECRET_VARIABLE.search(name))


def _hide_value(match: re.Match[str]) -> str:
    if _TEXT_TOKEN.search(match.string[max(0, match.start() - 12) : match.end(1)]):
        return match[0]
    quote = match[3][:1] if match[3][:1] in "\"'" else ""
    return f"{match[1]}{match[2]}{quote}{HIDDEN}{quote}"
