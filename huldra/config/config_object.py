"""What the rooms above ask of a config object: the protocol that `Huldra` subclasses meet."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol


class ConfigObject(Protocol):
    """An object whose artifact can be found, planned and made.

    `huldra.Huldra` is the only class that declares it; tests may use smaller ones. Identity
    (`config.hashing`) and documents (`config.documents`) also take nested values of other classes,
    and ask for less.
    """

    __huldra_class__: ClassVar[bool]
    __huldra_version_controlled__: ClassVar[bool]
    __huldra_cache_version__: ClassVar[str | None]
    __huldra_identity__: ClassVar[str | None]
    __huldra_declares_dependencies__: ClassVar[bool]

    # Both may be a value or a method that returns one, and a subclass may change which.
    _resources: Any
    _dependencies: Any

    def _create(self) -> Any: ...

    def _load(self) -> Any: ...

    def _loaded(self, paths: Any) -> Any:  # the paths' class belongs to the store, above
        """Return what `_load` reads; its errors name the directory."""
        ...

    def _validate(self) -> bool: ...

    def _huldra_keep(self, value: Any) -> None:
        """Store what `_create` returned, where the class leaves that to huldra."""
        ...
