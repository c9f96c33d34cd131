"""Configs of many shapes for the tests of identity and serialization.

`Config` is as little of a base class as those modules ask for.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import importlib.util
import math
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import chz

from huldra.config.fields import MISSING, field

if TYPE_CHECKING:
    from nowhere import Nothing  # a name that exists for type checkers alone

X = TypeVar("X")


def optional(name: str) -> Any:
    """A library that huldra understands and does not need: None where it is not installed."""
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


numpy = optional("numpy")
pydantic = optional("pydantic")


class Config:
    """Stands in for the base class: subclasses become chz classes that are artifacts."""

    __huldra_class__ = True
    __huldra_cache_version__: str | None = None
    __huldra_version_controlled__ = False

    def __init_subclass__(cls, cache_version: str | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__huldra_cache_version__ = cache_version
        chz.chz(cls)


class Train(Config):
    lr: float = 1e-3
    steps: int = 1000


class Scalars(Config):
    name: str
    lr: float = 0.1
    steps: int = 5
    fast: bool = True
    note: str | None = None


class Holder(Config):
    value: Any = None


class Pair(Config):
    a: Any
    b: Any


class Needs(Config):
    data: Any = MISSING
    more: list[Any] = field(default_factory=list)


class Grown(Config):
    """`Grown0` after a field was added with `absent`."""

    name: str = "a"
    added: float = field(default=7.0, absent=7)


class Versioned(Config, cache_version="2"):
    value: Any = None


class Marked(Config):
    value: Any = None
    workers: Any = field(default=1, hashed=False)
    _device: Any = "cpu"


Celsius = typing.NewType("Celsius", float)


class Declared(Config):
    number: float = 0.5
    whole: int = 1
    text: str = ""
    flag: bool = False
    maybe: float | None = None
    either: int | float = 0
    numbers: list[float] = field(default_factory=list)
    table: dict[str, list[float]] = field(default_factory=dict)
    pair: tuple[int, float] = (0, 0.5)
    many: tuple[float, ...] = ()
    group: frozenset[float] = frozenset()
    annotated: typing.Annotated[float, "metres"] = 0.5
    celsius: Celsius = Celsius(0.5)
    unknown: Nothing | float = 0.5
    sequence: typing.Sequence[float] = ()
    wave: complex = 0j
    two_shapes: list[int] | list[float] | None = None


class Model(Config, Generic[X]):
    size: X


class FloatModel(Model[float]):
    pass


class Munged(Config):
    name: str = chz.field(munger=lambda _self, value: value.upper())


class Positive(Config):
    value: int = chz.field(validator=chz.validators.gt(0))


class Outer:
    class Inner(Config):
        """A config in the body of another class."""

        value: Any = None


@chz.chz
class PlainChz:
    rate: float = 0.5
    data: Any = None


@chz.chz
class Watched:
    callback: Any = field(default=None, hashed=False)


@dataclasses.dataclass
class Point:
    x: float
    y: Any = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    y: tuple[float, ...] = ()


@dataclasses.dataclass
class Clever:
    """Changes its own fields, has one that the constructor does not take, and a cache."""

    text: str
    length: int = dataclasses.field(init=False)
    cache: Any = dataclasses.field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        self.text = self.text + "!"
        self.length = len(self.text)
        self.cache = lambda: None


class Size(NamedTuple):
    width: float
    height: float = 1.0


class Sized(Size):
    """A subclass has the fields of the named tuple, and their types."""


class HidesWidth(Size):
    """Hides a field of the named tuple."""

    width = 5.0


@dataclasses.dataclass
class ListWithName(list[int]):
    name: str = "a"


@dataclasses.dataclass
class DequeWithName(collections.deque[int]):
    name: str = "a"


@dataclasses.dataclass
class UserDictWithName(collections.UserDict[str, int]):
    name: str = "a"

    def __post_init__(self) -> None:
        self.data = {}


@dataclasses.dataclass
class TextWithName(str):
    name: str = "a"


@chz.chz
class DictWithName(dict[str, int]):
    name: str = "a"


@chz.chz
class Shadowed:
    width: int = 8


class Shadow:
    width = 1024


@chz.chz
class ShadowedBy(Shadow, Shadowed):
    """A mixin's attribute hides a field."""


OldSize = collections.namedtuple("OldSize", ["width", "height"])  # noqa: PYI024  # the old way counts, too


if pydantic is not None:

    class Person(pydantic.BaseModel):
        name: str
        age: float = 0
        tags: list[str] = []  # noqa: RUF012  # pydantic copies it

    class Event(pydantic.BaseModel):
        when: datetime.datetime
        where: pydantic.HttpUrl

    class Secretive(pydantic.BaseModel):
        token: pydantic.SecretStr

    class Aliased(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        inner: Person | None = pydantic.Field(default=None, alias="Inner")

    class Box(pydantic.BaseModel, Generic[X]):
        v: X | None = None

    class Shelf:
        class Person(pydantic.BaseModel):  # noqa: D106
            name: str


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Kind(enum.StrEnum):
    A = "a"


@dataclasses.dataclass(frozen=True)
class Params:
    x: int
    y: tuple[float, ...] = ()


class Preset(Params, enum.Enum):
    """Members that are dataclasses, as in the Enum HOWTO."""

    SMALL = 1
    ALSO_SMALL = 1, ()
    LARGE = 2, (1.0,)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


def double(x: float) -> float:
    return 2 * x


@functools.lru_cache
def cached(x: float) -> float:
    return x


class Tools:
    @staticmethod
    def half(x: float) -> float:
        return x / 2


class MyStr(str):
    pass


UTC = datetime.UTC
PARIS = zoneinfo.ZoneInfo("Europe/Paris")
NOON = datetime.datetime(2026, 1, 31, 12, 0, 0, 5)  # noqa: DTZ001  # naive on purpose

# No two of these are the same value; all of them hash and come back.
DISTINCT: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "one as float": 1.0,
    "one as text": "1",
    "one as complex": 1 + 0j,
    "one as bytes": b"1",
    "negative zero": -0.0,
    "zero as float": 0.0,
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "text nan": "nan",
    "large": 2**63,
    "larger": 10**6000 + 1,
    "very negative": -(10**6000),
    "empty text": "",
    "nul": "\0",
    "a": "a",
    "umlaut": "ü",
    "umlaut, decomposed": "u\u0308",
    "lone surrogate": "\ud800",
    "two lone surrogates": "\ud83d\ude00",
    "one emoji": "\U0001f600",
    "backslash text": "\\ud83d\\ude00",
    "bytes a": b"a",
    "bytearray a": bytearray(b"a"),
    "empty list": [],
    "empty tuple": (),
    "empty set": set(),
    "empty frozenset": frozenset(),
    "empty dict": {},
    "list": [1, 2],
    "tuple": (1, 2),
    "set": {1, 2},
    "frozenset": frozenset({1, 2}),
    "list other order": [2, 1],
    "list of lists": [[1], [2]],
    "list of lists, other": [[1, 2]],
    "list with empty": [[], [1]],
    "dict int key": {1: "x"},
    "dict text key": {"1": "x"},
    "dict float key": {1.0: "x"},
    "dict bool key": {True: "x"},
    "dict tuple key": {(1, "a"): 2, None: 3},
    "dict dollar key": {"$tuple": [1, 2]},
    "dict dollar list": {"$dict": [["a", 1]]},
    "dict huldra key": {"$huldra": "x"},
    "dict surrogate key": {"\ud800": 1},
    "dict of point": {"x": 1.0, "y": 0},
    "pairs": [("x", 1.0), ("y", 0)],
    "ordered dict": collections.OrderedDict(x=1, y=2),
    "ordered dict, other order": collections.OrderedDict(y=2, x=1),
    "mapping proxy": types.MappingProxyType({"x": 1}),
    "posix path": pathlib.PurePosixPath("a"),
    "windows path": pathlib.PureWindowsPath("a"),
    "path": pathlib.Path("a"),
    "decimal": decimal.Decimal(1),
    "decimal 1.0": decimal.Decimal("1.0"),
    "decimal 1.00": decimal.Decimal("1.00"),
    "decimal nan": decimal.Decimal("NaN"),
    "decimal snan": decimal.Decimal("-sNaN12"),
    "decimal infinity": decimal.Decimal("-Infinity"),
    "decimal zero": decimal.Decimal(0),
    "decimal negative zero": decimal.Decimal("-0"),
    "decimal large": decimal.Decimal("1E+9999"),
    "fraction": fractions.Fraction(1, 2),
    "date": datetime.date(2026, 1, 31),
    "naive": NOON,
    "aware": NOON.replace(tzinfo=UTC),
    "same instant": NOON.replace(tzinfo=UTC).astimezone(PARIS),
    "same instant, offset": NOON.replace(tzinfo=UTC).astimezone(
        datetime.timezone(datetime.timedelta(hours=1))
    ),
    "named offset": NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1), "CET")),
    "fold": NOON.replace(fold=1),
    "fold in zone": NOON.replace(tzinfo=PARIS, fold=1),
    "zone utc": NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")),
    "time": datetime.time(12),
    "time aware": datetime.time(12, 0, 0, 1, tzinfo=UTC, fold=1),
    "timedelta": datetime.timedelta(days=-1, microseconds=3),
    "utc": UTC,
    "paris": PARIS,
    "offset with seconds": datetime.timezone(datetime.timedelta(seconds=-5)),
    "uuid": uuid.UUID(int=5),
    "range": range(0, 3, 2),
    "slice": slice(0, 3, 2),
    "slice to the end": slice(0, None),
    "range, same items": range(0, 4, 2),
    "ellipsis": ...,
    "regex": re.compile("a+", re.IGNORECASE),
    "regex without flags": re.compile("a+"),
    "enum": Color.RED,
    "enum other": Color.BLUE,
    "int enum": Level.LOW,
    "text enum": Kind.A,
    "enum of dataclasses": Preset.SMALL,
    "enum of dataclasses, other": Preset.LARGE,
    "flag": Rights.READ,
    "flags": Rights.READ | Rights.WRITE,
    "dataclass": Point(1.0),
    "dataclass other": Point(1.0, {"z": 1}),
    "frozen dataclass": Frozen(1, (1.0,)),
    "clever dataclass": Clever("a"),
    "named tuple": Size(1.0, 0.5),
    "old named tuple": OldSize(1.0, 0.5),
    "plain tuple": (1.0, 0.5),
    "chz": PlainChz(),
    "chz other": PlainChz(data=(1,)),
    "config": Train(),
    "config other": Train(lr=0.5),
    "config in list": [Train()],
    "config in dict": {"x": Train(), "y": {"z": (Train(steps=3),)}},
    "config in frozenset": frozenset({Train(), Train(steps=2)}),
    "nested class": Outer.Inner(value=3),
    "type": int,
    "type of config": Train,
    "none type": type(None),
    "path type": pathlib.Path,
    "pure path type": pathlib.PurePosixPath,
    "function": double,
    "cached function": cached,
    "static method": Tools.half,
    "builtin": len,
    "math function": math.sqrt,
    "partial": functools.partial(double, x=2.0),
    "alias": list[int],
    "alias other": dict[str, list[int]],
    "optional": int | None,
    "literal": typing.Literal[1, "a"],
    "literal other": typing.Literal[True, "a"],
    "special form": typing.Any,
    "union form": typing.Union,
    "half": 0.5,
}

if numpy is not None:
    DISTINCT |= {
        "float64": numpy.float64(0.5),
        "float32": numpy.float32(0.5),
        "int64": numpy.int64(1),
        "uint8": numpy.uint8(1),
        "numpy bool": numpy.bool_(True),
        "numpy str": numpy.str_("a"),
        "numpy bytes": numpy.bytes_(b"a"),
        "numpy complex": numpy.complex64(1j),
        "numpy datetime": numpy.datetime64("2026-01-31T12:00", "ns"),
        "numpy datetime, other unit": numpy.datetime64("2026-01-31T12:00", "s"),
        "numpy timedelta": numpy.timedelta64(5, "D"),
        "ufunc": numpy.add,
        "array function": numpy.mean,
        "linalg function": numpy.linalg.norm,
        "partial of a ufunc": functools.partial(numpy.add, 1),
        "dtype": numpy.dtype("float64"),
        "dtype big-endian": numpy.dtype(">f8"),
        "dtype of times": numpy.dtype("M8[ns]"),
        "array": numpy.array([1.0, 2.0]),
        "array 2d": numpy.array([[1.0, 2.0]]),
        "array int": numpy.array([1, 2]),
        "array float32": numpy.array([1.0, 2.0], dtype="float32"),
    }

if pydantic is not None:
    DISTINCT |= {
        "pydantic": Person(name="x"),
        "pydantic with a time and a url": Event(
            when="2026-01-31T12:00:00+02:00", where="https://a.b/c?d=e"
        ),
        "pydantic with alias and extra": Aliased(Inner=Person(name="y"), other=[1]),
        "generic model": Box(v=1),
        "generic model of int": Box[int](v=1),
        "generic model of float": Box[float](v=1),
        "generic model of a model": Box[Person](v=Person(name="x")),
        "generic model of a model, empty": Box[Person](),
        "generic model of another model, empty": Box[Shelf.Person](),
        "generic model of a list": Box[list[Person]](v=[]),
        "generic model of another list": Box[list[Shelf.Person]](v=[]),
        "generic model of a union": Box[int | str](v=1),
        "generic model of a generic model": Box[Box[int]](v=Box[int](v=1)),
        "type of a generic model": Box[int],
        "type of a generic model of a model": Box[Person],
    }
