"""Settings as Spark ML knows them: each declared once, as a field of a frozen dataclass, and a Param from there on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pyspark.ml.param import Param, Params, TypeConverters

from brightspark.core.errors import SettingError, did_you_mean

S = TypeVar("S")


class Configured(Params, Generic[S]):
    """Spark Params made of a settings dataclass, which a subclass names as `Settings`.

    The dataclass declares name, type, default and, by `Annotated`, the documentation of each setting. The instance
    takes them as keyword arguments and gives them back, checked, as `settings`.
    """

    Settings: ClassVar[type[Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "Settings" in cls.__dict__:
            hints = get_type_hints(cls.Settings, include_extras=True)
            for declared in fields(cls.Settings):
                setattr(cls, declared.name, _param(declared.name, hints[declared.name]))

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        known = {declared.name: _default(declared) for declared in fields(self.Settings)}
        for name in settings:
            if name not in known:
                raise SettingError(f"{type(self).__name__} has no setting {name!r}; {did_you_mean(name, known)}")
        self._setDefault(**known)
        self._set(**settings)
        _ = self.settings  # a bad value is refused here, not in a job an hour later

    @property
    def settings(self) -> S:
        """The settings as they stand, checked.

        Raises SettingError for a value that cannot work.
        """
        values = {}
        for declared in fields(self.Settings):
            param = self.getParam(declared.name)
            value = _converted(param, self.getOrDefault(param))
            values[param.name] = tuple(value) if isinstance(value, list) else value
        made: S = self.Settings(**values)
        return made

    def _set(self, **kwargs: Any) -> Any:
        """Spark's own, which lets None pass and raises TypeError for a value of another type."""
        return super()._set(**{name: _converted(self.getParam(name), value) for name, value in kwargs.items()})


def parsed(settings: type[Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Settings from texts like `hflip=0`, as a command line has them; values are JSON, or else texts.

    Raises SettingError for a text of another form, and for a setting that there is not.

    >>> from brightspark.core.training_settings import TrainingSettings
    >>> parsed(TrainingSettings, ["ema_decay=0.99", "optimizer=sgd", "clip_norm=null"])
    {'ema_decay': 0.99, 'optimizer': 'sgd', 'clip_norm': None}
    """
    known = [declared.name for declared in fields(settings)]
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise SettingError(f"{pair!r} sets nothing: write NAME=VALUE, such as {known[0]}=…")
        if name not in known:
            raise SettingError(f"there is no setting {name!r}; {did_you_mean(name, known)}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _converted(param: Param[Any], value: Any) -> Any:
    try:
        return param.typeConverter(value)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{param.name}={value!r} cannot be: {error}. It is: {param.doc}") from error


def _param(name: str, hint: Any) -> Param[Any]:
    doc = ""
    if get_origin(hint) is Annotated:
        hint, doc = get_args(hint)[0], get_args(hint)[1]
    return Param(Params._dummy(), name, doc, typeConverter=_converter(hint))


def _converter(hint: Any) -> Any:
    """Spark's converter for a type: it refuses a value of another one when a Param is set."""
    options = [option for option in get_args(hint) if option is not NoneType]
    if get_origin(hint) in (Union, UnionType):
        inner = _converter(options[0])
        return lambda value: None if value is None else inner(value)
    if hint is bool:
        return TypeConverters.toBoolean
    if hint is int:
        return TypeConverters.toInt
    if hint is float:
        return TypeConverters.toFloat
    if hint is str:
        return TypeConverters.toString
    if get_origin(hint) is tuple:
        inner = TypeConverters.toListString if options[0] is str else TypeConverters.toListFloat
        return lambda value: inner(list(value) if isinstance(value, tuple) else value)
    return _to_dict


def _to_dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"Could not convert {type(value)} to a mapping")
    return dict(value)


def _default(declared: Field[Any]) -> Any:
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return list(declared.default) if isinstance(declared.default, tuple) else declared.default
