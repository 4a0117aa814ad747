"""Which kinds of source and which formats of file there are: the classes in ``kinds`` and ``formats``."""

import functools
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

from pipelines.sources.config import Source
from pipelines.sources.formats import Format

_T = TypeVar("_T")


@functools.cache
def kinds() -> dict[str, type[Source]]:
    """Value of ``kind`` → class of the source; a module in ``kinds`` that defines one makes it known."""
    from pipelines.sources import kinds as package

    return {cls.model_fields["kind"].default: cls for cls in _classes(package, Source)}


@functools.cache
def formats() -> dict[str, type[Format]]:
    """Value of ``format`` → class of the reader; a module in ``formats`` that defines one makes it known."""
    from pipelines.sources import formats as package

    return {cls.name: cls for cls in _classes(package, Format)}


def _classes(package: ModuleType, base: type[_T]) -> list[type[_T]]:
    modules = [importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    return [
        member
        for module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, base) and member is not base and member.__module__ == module.__name__
    ]
