"""What a field of a config may say beyond chz, and the value that stands for "not given yet"."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

import chz
from chz.util import MISSING as _UNSET

if TYPE_CHECKING:
    from chz.factories import MetaFactory
    from chz.field import Field
    from chz.mungers import Munger
    from chz.tiepin import TypeForm
    from chz.util import MISSING_TYPE

UNSET_TYPE: Final = type(_UNSET)
_METADATA_KEY: Final = "__huldra__"


@final
class MissingType:
    """The type of `MISSING`; it has one instance, in every process."""

    __slots__ = ()

    def __new__(cls) -> MissingType:
        """Return the one instance."""
        instance: MissingType | None = globals().get("_THE_MISSING")
        return object.__new__(cls) if instance is None else instance

    def __repr__(self) -> str:
        return "huldra.MISSING"

    def __reduce__(self) -> str:
        # A string makes pickle and copy go by reference: the same object comes back.
        return "_THE_MISSING"

    def __bool__(self) -> bool:
        raise TypeError("huldra.MISSING has no truth value; use `value is huldra.MISSING`")


_THE_MISSING = MissingType()

MISSING: Any = _THE_MISSING
"""A value that must be replaced before the hash is asked for.

Usable as the default of a field of any type: the object can be made without the value, shown
and passed on, and its hash, its directory and its written form are a `HuldraIdentityError` that
names the field, until `chz.replace` or the constructor gives the value.
"""


def field(
    *,
    default: Any | MISSING_TYPE = _UNSET,
    default_factory: Callable[[], Any] | MISSING_TYPE = _UNSET,
    munger: Munger | Callable[[Any, Any], Any] | None = None,
    x_type: TypeForm | MISSING_TYPE = _UNSET,
    converter: Callable[..., Any] | None = None,
    meta_factory: MetaFactory | MISSING_TYPE | None = _UNSET,
    blueprint_unspecified: Callable[..., Any] | MISSING_TYPE = _UNSET,
    blueprint_cast: Callable[[str], object] | None = None,
    validator: Callable[[Any, str], None] | list[Callable[[Any, str], None]] | None = None,
    repr: bool | Callable[[Any], str] = True,  # noqa: A002  # chz's name for it
    doc: str = "",
    metadata: dict[str, Any] | None = None,
    hashed: bool = True,
    absent: Any = _UNSET,
    renamed_from: str | None = None,
) -> Any:
    """Describe a field: all that `chz.field` takes, and three words about the hash.

    `hashed=False` says that the value does not affect the result (a number of workers, a device):
    it takes no part in the hash. It still travels with the config; when two requests for one
    artifact differ in it, the first one wins.

    `absent` is the value at which the hash is as if the field did not exist. Give a new field
    `default=V, absent=V` with the value that the code had in mind before, and no existing
    artifact is lost. It is compared as the hash compares: types count.

    `renamed_from` is the name that the field had before. The hash keeps that name, so that no
    existing artifact is lost; a field that is renamed again keeps the first one.

    Raises:
        TypeError: `hashed` is not a bool, `renamed_from` is no field's name, or `absent` or
            `renamed_from` is given for a field that is not hashed.
    """
    if not isinstance(hashed, bool):
        raise TypeError(f"field(hashed=...) must be True or False, not {hashed!r}")
    if absent is not _UNSET and not hashed:
        raise TypeError("field(absent=...) has no effect with hashed=False: remove one of them")
    if renamed_from is not None:
        _check_renamed_from(renamed_from, hashed)
    merged = dict(metadata or {})
    if not hashed or absent is not _UNSET or renamed_from is not None:
        said = {"hashed": hashed, "absent": absent, "renamed_from": renamed_from}
        merged[_METADATA_KEY] = types.MappingProxyType(said)
    return chz.field(
        default=default,
        default_factory=default_factory,
        munger=munger,
        x_type=x_type,
        converter=converter,
        meta_factory=meta_factory,
        blueprint_unspecified=blueprint_unspecified,
        blueprint_cast=blueprint_cast,
        validator=validator,
        repr=repr,
        doc=doc,
        metadata=merged or None,
    )


def _check_renamed_from(name: object, hashed: bool) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"field(renamed_from=...) must be the name of a field, not {name!r}")
    if not hashed:
        raise TypeError("field(renamed_from=...) has no effect with hashed=False: remove it")


def is_hashed(spec: Field) -> bool:
    """Return True if the field `spec` of a chz class takes part in the hash."""
    if spec.logical_name.startswith("_"):
        return False
    return bool((spec.metadata or {}).get(_METADATA_KEY, {}).get("hashed", True))


def absent_value(spec: Field) -> tuple[Any, ...]:
    """The value at which the field `spec` counts as not there: a tuple of one, or of none."""
    absent = (spec.metadata or {}).get(_METADATA_KEY, {}).get("absent", _UNSET)
    return () if absent is _UNSET else (absent,)


def renamed_from(spec: Field) -> str | None:
    """The name of the field `spec` in the hash, where it is not its own."""
    name: str | None = (spec.metadata or {}).get(_METADATA_KEY, {}).get("renamed_from")
    return name
