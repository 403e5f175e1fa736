"""Classes that values of the tests are made of; the tests look them up by name, so they stand in a module."""

import enum
from collections import namedtuple
from dataclasses import dataclass, field
from typing import NamedTuple

import attrs
import pydantic


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796  an alias
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: float
    y: float = 0.0


Old = namedtuple("Old", "a b")  # noqa: PYI024  agents have them


class Id(str):
    """Text with an attribute."""

    __slots__ = ("kind",)


class Bag(dict):
    pass


class Row(list):
    pass


@dataclass
class Order:
    number: int
    lines: list = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    at: object
    also: object = None

    def __post_init__(self):
        raise AssertionError("reading must not run this")


@attrs.define
class Defined:
    a: object
    _b: object = 2


class Model(pydantic.BaseModel):
    name: str
    inner: "Model | None" = None
    _secret: object = pydantic.PrivateAttr(default=None)


class Extra(pydantic.BaseModel, extra="allow"):
    n: int = 1


class Plain:
    """No record: nothing says that it is its attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Refused(ValueError):
    def __init__(self, order, *, reason):
        super().__init__(f"{order}: {reason}")
        self.reason = reason


class Group(ExceptionGroup):
    pass


class Hidden(Exception):
    """Says what only its own code knows."""

    def __init__(self):
        super().__init__()
        self.box = Plain(text="from a box")

    def __str__(self):
        return self.box.text
