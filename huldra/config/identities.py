"""Names that a class declares for the hash: its own, and those of its renamed parts.

A class that moves keeps its artifacts because it declares the name that it had. The declared name
stands in hashes and directories; documents, workers and `to_python` use the name that can be
imported. docs/identity.md has the rules.
"""

from __future__ import annotations

import enum
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from huldra.config.import_paths import (
    UnhashableValue,
    import_name,
    is_at_its_name,
    is_in_source,
    on_missing,
    public_module,
    resolve_loaded,
)
from huldra.errors import HuldraClassError

C = TypeVar("C", bound=type)

IDENTITY: Final = "__huldra_identity__"
_RENAMED: Final = "__huldra_renamed__"
_ABSENT: Final = "__huldra_absent__"

# By the declared name; weak, so that a class that was replaced holds no name.
_claimed: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()


def identity(
    name: str | None = None,
    *,
    renamed_from: Mapping[str, str] | None = None,
    absent: Mapping[str, Any] | None = None,
) -> Callable[[C], C]:
    """Let a plain class keep the hashes that it had before it was changed.

    For dataclasses, plain chz classes, named tuples, pydantic models and enums, which have no class
    keywords: `@identity("old.module/Optim")` stands above their own decorators. A `Huldra` class
    has the class keywords `identity=` and `moved_from=` instead.

    `name` stands for the class's module and name in every hash. `renamed_from` maps new names of
    fields (of an enum: of members) to those that the hash has. `absent` maps fields to the value
    at which the hash is as if they did not exist. A subclass inherits the last two.

    Raises `HuldraClassError` if `name` is not of the form `module/Class`, or another class has it;
    and for an enum of which two members would have one name in the hash.
    """

    def declare(cls: C) -> C:
        if getattr(cls, "__huldra_class__", False):
            raise HuldraClassError(
                f"{full_name(cls)} is a Huldra class: write identity= or moved_from= in its class"
                " line, and renamed_from= or absent= in huldra.field"
            )
        renamed = {**renamed_parts(cls), **(renamed_from or {})}
        if issubclass(cls, enum.Enum) and (why := why_members_refused(cls, renamed)):
            raise HuldraClassError(why)
        if name is not None:
            claim(cls, name)
            setattr(cls, IDENTITY, name)
        setattr(cls, _RENAMED, renamed)
        setattr(cls, _ABSENT, {**absent_parts(cls), **(absent or {})})
        return cls

    return declare


def why_members_refused(cls: type[enum.Enum], renamed: Mapping[str, str]) -> str:
    """What is wrong with the names that members of `cls` have in the hash; "" if nothing is."""
    if not renamed:
        return ""
    if issubclass(cls, enum.Flag):
        return (
            f"{full_name(cls)} is a flag, whose members stand in the hash by their bits:"
            " renamed_from changes nothing there, so remove it"
        )
    taken: dict[str, str] = {}
    for member in cls:
        old = renamed.get(member.name, member.name)
        other = taken.setdefault(old, member.name)
        if other != member.name:
            return (
                f"{full_name(cls)}: the members {other!r} and {member.name!r} would both be"
                f" {old!r} in the hash: remove renamed_from from one of them"
            )
    return ""


def renamed_parts(cls: type) -> Mapping[str, str]:
    """The names of fields or members that have another name in the hash: new name → old name."""
    found: Mapping[str, str] = getattr(cls, _RENAMED, {})
    return found


def absent_parts(cls: type) -> Mapping[str, Any]:
    """The values at which fields count as not there, as `@identity(absent=...)` gives them."""
    found: Mapping[str, Any] = getattr(cls, _ABSENT, {})
    return found


def declared(cls: type) -> str | None:
    """The `module/Class` that the class itself declares, not a base of it; else None."""
    found: str | None = vars(cls).get(IDENTITY)
    return found


def full_name(cls: type) -> str:
    """`module.Class`, for messages."""
    return f"{public_module(cls.__module__)}.{cls.__qualname__}"


def claim(cls: type, name: str) -> None:
    """Note that `cls` stands for `name`, which is `module/Class`.

    Raises `HuldraClassError` if the name has another form or another class has it. A class of the
    same module and name is the same class, loaded again.
    """
    _check_form(cls, name)
    module, qualname = name.split("/")
    standing = resolve_loaded(module, qualname)
    for other in (standing, claimant(name)):
        if not isinstance(other, type) or declared(other) not in (None, name):
            continue
        if other is standing and _key(other) != (module, qualname):
            continue  # imported there from its own module
        if _key(other) != _key(cls) and is_in_source(*_key(other)):
            raise _two_claim(name, cls, other)
    _claimed[name] = cls


def refuse_claimed(cls: type) -> None:
    """Refuse a class without a declaration whose own name another class has declared."""
    module, qualname = _key(cls)
    other = claimant(f"{module}/{qualname}")
    is_other = other is not None and _key(other) != (module, qualname)
    if other is not None and is_other and is_in_source(*_key(other)):
        raise _two_claim(f"{module}/{qualname}", cls, other)


def claimant(name: str) -> type | None:
    """The class that declares `module/Class`, if one is loaded and still stands at its place."""
    found = _claimed.get(name)
    if found is None or not is_at_its_name(found):
        return None
    return found


def hashed_name(cls: type) -> str:
    """The name of a class in the hash, as `module:Class`: the declared one, else its own.

    Raises `UnhashableValue` if no other process can import the class, and if another class has
    declared its name.
    """
    own = import_name(cls)
    name = declared(cls)
    if name is not None:
        return name.replace("/", ":")
    try:
        refuse_claimed(cls)
    except HuldraClassError as error:
        raise UnhashableValue(str(error)) from None
    return own


def _key(cls: type) -> tuple[str, str]:
    return public_module(cls.__module__), cls.__qualname__


def _check_form(cls: type, name: str) -> None:
    given: object = name  # callers without a type checker pass anything
    parts = given.split("/") if isinstance(given, str) else []
    if (
        len(parts) == 2
        and all(all(part.split(".")) for part in parts)
        and not set(name) & set("\\\0:")
    ):
        return
    raise HuldraClassError(
        f"{full_name(cls)}: expected an identity of the form 'package.module/Class', found {name!r}"
    )


def _two_claim(name: str, cls: type, other: type) -> HuldraClassError:
    return HuldraClassError(
        f"two classes claim the identity {name!r}: {full_name(other)} and {full_name(cls)}; their"
        " artifacts would share directories. Remove identity= or moved_from= from one of them, or"
        " rename the other; if one of them is gone from its file, restart Python"
    )


def _claimant_of(module: str, qualname: str) -> type | None:
    return claimant(f"{module}/{qualname}")


on_missing(_claimant_of)
