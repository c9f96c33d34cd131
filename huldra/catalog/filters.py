"""The language of config filters: `lr<1e-3 and (opt.name=adam or seed in 1,2,3)`.

A comparison is `field op value`. `field` is a dotted path into the config (`opt.name`,
`parts[0].size`, `by_name['a b'].size`); it goes on into a nested artifact's config. Operators:
`=` (or `==`) `!=` `<` `<=` `>` `>=`, `~` (contains, case ignored) and `in` (`seed in 1,2,3`). A
value is a number, `true`, `false`, `null`, or text, in quotes where it has spaces, commas or
brackets. Comparisons are joined by `and` (also by nothing but space) and `or`, with round
brackets. An artifact that lacks the field matches no comparison on it, `!=` included. Numbers
compare as numbers, text as text: `lr<abc` matches nothing with a number in `lr`. A nested artifact
compares by its key: `data = 0123abcd…` (a hash or its beginning), `data ~ Dataset`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from huldra.errors import HuldraQueryError

Config = Mapping[str, Any]
Lookup = Callable[[str], Config | None]  # key of a nested artifact → its config
Predicate = Callable[[Any, Any], bool]  # (config, lookup), or what a `Reader` takes
Step = str | int
Reader = Callable[[str], Callable[[Any, Any], Any]]
"""How a field is read, given its path: by default from a config and a lookup."""

MISSING_FIELD: Final = object()
_MAX_LENGTH = 4000
_MAX_NESTING = 50
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<op><=|>=|!=|==|=|<|>|~)
      | (?P<mark>[(),])
      | (?P<word>(?:\[\s*(?:"[^"]*"|'[^']*'|-?\d+)\s*\]|[^\s()<>=!~,"'])+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\.?([^.\[\]]+)|\[\s*(?:"([^"]*)"|'([^']*)'|(-?\d+))\s*\]""")
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf|nan", re.IGNORECASE)
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it was written, and what it means; quoted text means only itself."""

    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_filter(text: str, reader: Reader | None = None) -> Predicate:
    """Compile `text`; blank matches all. With a `reader` fields are read by it.

    Raises:
        HuldraQueryError: `text` is not of the language; says where.
    """
    if not text.strip():
        return lambda _config, _lookup: True
    if len(text) > _MAX_LENGTH:
        raise _refusal(text[:40] + "…", 0, f"it is longer than {_MAX_LENGTH} characters")
    return _Parser(text, reader).parse()


def fields_of(text: str) -> tuple[str, ...]:
    """The fields that a filter asks for, as they are written there.

    Raises `HuldraQueryError` as `parse_filter`.
    """
    if not text.strip():
        return ()
    parser = _Parser(text)
    parser.parse()
    return tuple(dict.fromkeys(parser.fields))


def parse_path(path: str) -> tuple[Step, ...]:
    """The steps of a dotted path: names, and numbers for places in lists."""
    steps: list[Step] = []
    for match in _STEP.finditer(path):
        name, double, single, index = match.groups()
        quoted = double if double is not None else single
        steps.append(int(index) if index is not None else name if quoted is None else quoted)
    return tuple(steps)


def value_at(config: Config, steps: tuple[Step, ...], lookup: Lookup) -> Any:
    """The value at the end of `steps`, or `MISSING_FIELD`; enters nested artifacts."""
    value: Any = config
    for step in steps:
        if isinstance(value, dict):
            key = value.get("$ref")
            if key is not None and step != "$ref":
                value = (lookup(key) if isinstance(key, str) else None) or {}
            value = value.get(step if isinstance(step, str) else str(step), MISSING_FIELD)
        else:
            value = step_into(value, step)
        if value is MISSING_FIELD:
            return value
    return value


def step_into(value: Any, step: Step) -> Any:
    """What one step leads to within a value, or `MISSING_FIELD`; enters no other artifact."""
    if isinstance(value, Mapping):
        return value.get(str(step), MISSING_FIELD)
    if isinstance(value, list):
        index = step if isinstance(step, int) else int(step) if _is_index(step) else None
        if index is not None and -len(value) <= index < len(value):
            return value[index]
    return MISSING_FIELD


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def literal(text: str, *, quoted: bool = False) -> Literal:
    """What `text` means as a value."""
    if quoted:
        return Literal(text, text)
    if text.lower() in _CONSTANTS:
        return Literal(text, _CONSTANTS[text.lower()])
    if _NUMBER.fullmatch(text):
        try:
            return Literal(text, int(text))
        except ValueError:
            return Literal(text, float(text))
    return Literal(text, text)


def _refusal(text: str, at: int, why: str) -> HuldraQueryError:
    return HuldraQueryError(
        f"config filter {text!r}: {why} (at character {at + 1}); expected comparisons such as"
        " lr<1e-3, opt.name=adam or seed in 1,2,3, joined by and/or",
        field="config",
        value=text,
    )


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str, reader: Reader | None = None) -> None:
        self.text = text
        self.reader = reader or _reads_config
        self.tokens = self._split()
        self.next = 0
        self.nesting = 0
        self.fields: list[str] = []

    def _split(self) -> list[_Token]:
        tokens, at, text = [], 0, self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise _refusal(self.text, at, f"cannot read {text[at : at + 20]!r}")
            kind = match.lastgroup
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return tokens

    def parse(self) -> Predicate:
        """The predicate of the whole text."""
        predicate = self._either()
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            raise _refusal(self.text, token.at, f"unexpected {token.text!r}")
        return predicate

    def _peek(self) -> _Token | None:
        return self.tokens[self.next] if self.next < len(self.tokens) else None

    def _is_word(self, word: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "word" and token.text.lower() == word

    def _take(self, wanted: str, *kinds: str) -> _Token:
        token = self._peek()
        if token is None:
            raise _refusal(self.text, len(self.text), f"{wanted} is missing")
        if token.kind not in kinds:
            raise _refusal(self.text, token.at, f"expected {wanted}, found {token.text!r}")
        self.next += 1
        return token

    def _accept(self, mark: str) -> bool:
        token = self._peek()
        if token is None or token.kind != "mark" or token.text != mark:
            return False
        self.next += 1
        return True

    def _either(self) -> Predicate:
        choices = [self._all()]
        while self._is_word("or"):
            self.next += 1
            choices.append(self._all())
        return choices[0] if len(choices) == 1 else _any_of(choices)

    def _all(self) -> Predicate:
        terms = [self._term()]
        while (token := self._peek()) is not None and not self._is_word("or"):
            if token.kind == "mark" and token.text == ")":
                break
            if self._is_word("and"):
                self.next += 1
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else _all_of(terms)

    def _term(self) -> Predicate:
        if not self._accept("("):
            return self._comparison()
        self.nesting += 1
        if self.nesting > _MAX_NESTING:
            raise _refusal(self.text, 0, f"more than {_MAX_NESTING} nested brackets")
        predicate = self._either()
        if not self._accept(")"):
            raise _refusal(self.text, len(self.text), "a closing bracket is missing")
        self.nesting -= 1
        return predicate

    def _comparison(self) -> Predicate:
        field = self._take("a field", "word", "quoted")
        self.fields.append(_unquote(field) if field.kind == "quoted" else field.text)
        read = self.reader(self.fields[-1])
        if self._is_word("in"):
            self.next += 1
            return _test(read, _one_of(self._values()))
        op = self._take("one of = != < <= > >= ~ in", "op").text
        return _test(read, _compare(op, self._value()))

    def _value(self) -> Literal:
        token = self._take("a value", "word", "quoted")
        if token.kind == "quoted":
            return literal(_unquote(token), quoted=True)
        return literal(token.text)

    def _values(self) -> list[Literal]:
        bracket = self._accept("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        if bracket and not self._accept(")"):
            raise _refusal(self.text, len(self.text), "a closing bracket is missing")
        return values


def _unquote(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1])


def _any_of(choices: list[Predicate]) -> Predicate:
    return lambda config, lookup: any(choice(config, lookup) for choice in choices)


def _all_of(terms: list[Predicate]) -> Predicate:
    return lambda config, lookup: all(term(config, lookup) for term in terms)


def _reads_config(path: str) -> Callable[[Any, Any], Any]:
    steps = parse_path(path)
    return lambda config, lookup: value_at(config, steps, lookup)


def _test(read: Callable[[Any, Any], Any], accepts: Callable[[Any], bool]) -> Predicate:
    def test(subject: Any, lookup: Any) -> bool:
        value = read(subject, lookup)
        return value is not MISSING_FIELD and accepts(value)

    return test


def _compare(op: str, wanted: Literal) -> Callable[[Any], bool]:
    if op in ("=", "=="):
        return lambda value: equals(value, wanted)
    if op == "!=":
        return lambda value: not equals(value, wanted)
    if op == "~":
        needle = wanted.text.lower()
        return lambda value: _contains(value, needle)
    return _ordered(_ORDER[op], wanted)


def _one_of(wanted: list[Literal]) -> Callable[[Any], bool]:
    return lambda value: any(equals(value, one) for one in wanted)


def equals(value: Any, wanted: Literal) -> bool:
    """Return True if a config value is what was written: 1 = 1.0, true is not 1, text is text."""
    if isinstance(value, str):
        return value == wanted.text
    if isinstance(value, dict):
        key = value.get("$ref")
        return isinstance(key, str) and _names(wanted.text, key)
    if value is None or isinstance(value, bool):
        return value is wanted.value
    if not _is_number(value) or not _is_number(wanted.value):
        return False
    return bool(value == wanted.value) or (_is_nan(value) and _is_nan(wanted.value))


def _names(text: str, key: str) -> bool:
    digest = key.rpartition("/")[2]
    return text in (key, digest) or (len(text) >= 4 and digest.startswith(text))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def contains_value(value: Any, needle: str) -> bool:
    """Return True if the text, in lower case, is in a config value, or in one within it."""
    if isinstance(value, dict):
        return any(contains_value(item, needle) for item in value.values())
    if isinstance(value, list):
        return any(contains_value(item, needle) for item in value)
    return _contains(value, needle)


def _contains(value: Any, needle: str) -> bool:
    if isinstance(value, str):
        return needle in value.lower()
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            return needle in value["$ref"].lower()
        return any(needle in str(key).lower() for key in value)
    if isinstance(value, list):
        return any(_contains(item, needle) for item in value)
    if isinstance(value, bool) or value is None:
        return needle == str(value).lower()
    return needle in repr(value)


def _ordered(compare: Callable[[Any, Any], bool], wanted: Literal) -> Callable[[Any], bool]:
    if _is_number(wanted.value):
        return lambda value: _is_number(value) and compare(value, wanted.value)
    return lambda value: isinstance(value, str) and compare(value, wanted.text)
