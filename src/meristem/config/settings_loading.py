"""Puts the settings of a service together, each field from the first place that has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meristem.config.conversion import bare, describe, example, from_text, from_value, secret
from meristem.config.setting_sources import Setting, Sources, variable
from meristem.hints import meant
from meristem.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class _Layer(msgspec.Struct):
    """What one source has to say at the current depth."""

    origin: str
    values: Mapping[str, Any]
    section: str


class SettingsLoading:
    """One pass over the settings of a service; collects problems instead of stopping at the first."""

    def __init__(self, system: str, service: str, sources: Sources) -> None:
        self.system = system
        self.service = service
        self.sources = sources
        self.problems: list[str] = []
        self.found: list[Setting] = []

    def settings(self, cls: type[msgspec.Struct]) -> Any:
        """The settings of a class, or msgspec.NODEFAULT where there is a problem."""
        section = f"[settings.{self.service}]"
        # The first that knows a value has it: so the order of the sources' files is their rank.
        layers = [_Layer(file.origin, file.settings.get(self.service, {}), section) for file in self.sources.files]
        overrides = _Layer("an override", self.sources.overrides.get(self.service, {}), "overrides")
        return self._struct(cls, (), overrides, layers, None)

    def _struct(
        self, cls: Any, path: tuple[str, ...], overrides: _Layer, files: list[_Layer], base: msgspec.Struct | None
    ) -> Any:
        """Make a settings class, or a message nested in one; `base` holds defaults given by the outer class."""
        values: dict[str, Any] = {}
        before = len(self.problems)
        fields = msgspec.structs.fields(cls)
        names = {field.name for field in fields}
        for field in fields:
            default = _default(field) if base is None else getattr(base, field.name)
            value = self._field(field, (*path, field.name), default, overrides, files, names)
            if value is not msgspec.NODEFAULT:
                values[field.name] = value
        # Not made of the fields that went well: its own check would complain of what is told already.
        if len(self.problems) > before:
            return msgspec.NODEFAULT
        try:
            return cls(**values)
        except ValueError as error:  # raised by the class's own __post_init__
            self.problems.append(f"{'.'.join(path) or cls.__name__}: {error}")
            return msgspec.NODEFAULT

    def _field(
        self,
        field: msgspec.structs.FieldInfo,
        path: tuple[str, ...],
        default: Any,
        overrides: _Layer,
        files: list[_Layer],
        siblings: set[str],
    ) -> Any:
        name, dotted, type_ = field.name, ".".join(path), field.type
        if name in overrides.values and not _nested(type_, overrides.values[name]):
            return self._convert(overrides.values[name], type_, dotted, f"an override of {self.service!r}", default)
        try:
            text, origin = self._environment(path, siblings)
        except OSError as error:
            # Noted, not raised: whoever sets up a system is told all that is wrong at once.
            self.problems.append(f"{dotted}: the file {error.filename} cannot be read: {error.strerror}")
            return default
        if text is not None:
            return self._convert(text, type_, dotted, origin, default, text=True)
        # One part of a nested message may come from each place, so it is put together field by field.
        if _is_struct(bare(type_)) and self._set_below(path, [overrides, *files], name):
            below = [_below(layer, name) for layer in files]
            base = default if isinstance(default, msgspec.Struct) else None
            return self._struct(bare(type_), path, _below(overrides, name), below, base)
        return self._from_files(field, path, default, files)

    def _from_files(
        self, field: msgspec.structs.FieldInfo, path: tuple[str, ...], default: Any, files: list[_Layer]
    ) -> Any:
        dotted = ".".join(path)
        for layer in files:
            if field.name in layer.values:
                origin = f"{layer.section} in {layer.origin}"
                return self._convert(layer.values[field.name], field.type, dotted, origin, default)
        if default is msgspec.NODEFAULT:
            self._missing(dotted, field.type, path)
        else:
            self._note(dotted, field.type, default, "default", path)
        return default

    def _environment(self, path: tuple[str, ...], siblings: set[str]) -> tuple[str | None, str]:
        """The text of a setting's variable, of the file that `…_FILE` names, or of the variable's second name."""
        name = variable(self.system, self.service, *path)
        by_file = f"{name}_FILE"
        direct = self.sources.environment.get(name)
        # A class may have a field of that very name: then the variable is that field's, and names no file.
        file = self.sources.environment.get(by_file) if f"{path[-1]}_file" not in siblings else None
        if direct is not None and file is not None:
            self.problems.append(f"{'.'.join(path)}: both {name} and {by_file} are set; unset one of them")
        if direct is None and file is not None:
            # Editors and tools end a file with a line break; a blank there may be a part of the password.
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n"), f"the file {file} ({by_file})"
        alias = self.sources.aliases.get(name, "")
        if not direct and self.sources.environment.get(alias):
            return self.sources.environment[alias], f"the environment variable {alias}"
        return direct, f"the environment variable {name}"

    def _set_below(self, path: tuple[str, ...], layers: list[_Layer], name: str) -> bool:
        prefix = variable(self.system, self.service, *path) + "__"
        # Whether the rest of such a name is a field's is of no matter here: each field looks for its own.
        in_environment = any(each.startswith(prefix) for each in self.sources.environment)
        return in_environment or any(isinstance(layer.values.get(name), Mapping) for layer in layers)

    def _convert(self, value: Any, type_: Any, dotted: str, origin: str, default: Any, *, text: bool = False) -> Any:
        path = tuple(dotted.split("."))
        try:
            made = from_text(value, type_) if text else from_value(value, type_)
        except msgspec.ValidationError as error:
            # The problem is printed and logged, a secret's value never is.
            shown = "its secret value" if secret(type_) else repr(value)
            hint = f"{variable(self.system, self.service, *path)}={example(type_, default)}"
            self.problems.append(
                f"{dotted}: {shown} from {origin} is not {describe(type_)} ({_reason(error)}); write e.g. {hint}"
            )
            return default
        self._note(dotted, type_, made, origin, path)
        return made

    def _note(self, dotted: str, type_: Any, value: Any, origin: str, path: tuple[str, ...]) -> None:
        shown = "***" if secret(type_) else redact(repr(value))
        self.found.append(Setting(dotted, shown, origin, variable(self.system, self.service, *path)))

    def _missing(self, dotted: str, type_: Any, path: tuple[str, ...]) -> None:
        hint = f"{variable(self.system, self.service, *path)}={example(type_, msgspec.NODEFAULT)}"
        place = f"[settings.{self.service}] of a placement"
        self.problems.append(
            f"{dotted}: nothing sets it ({describe(type_)}); write e.g. {hint}, or put it into {place}"
        )

    def refuse_unknown(self, classes: Sequence[type[msgspec.Struct]]) -> None:
        """Refuse keys of files and overrides that no class of the service has."""
        section = f"[settings.{self.service}]"
        for file in self.sources.files:
            self._unknown(classes, file.settings.get(self.service, {}), f"{section} in {file.origin}", "")
        self._unknown(classes, self.sources.overrides.get(self.service, {}), f"the overrides of {self.service!r}", "")

    def _unknown(
        self, classes: Sequence[type[msgspec.Struct]], values: Mapping[str, Any], where: str, prefix: str
    ) -> None:
        fields = {field.name: field.type for cls in classes for field in msgspec.structs.fields(cls)}
        for key, value in values.items():
            if key not in fields:
                self.problems.append(f"{where} has an unknown key {prefix + key!r}; {_meant(key, fields)}")
            elif _nested(fields[key], value):
                self._unknown([bare(fields[key])], value, where, f"{prefix}{key}.")


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _nested(type_: Any, value: Any) -> bool:
    return _is_struct(bare(type_)) and isinstance(value, Mapping)


def _below(layer: _Layer, name: str) -> _Layer:
    values = layer.values.get(name)
    return _Layer(layer.origin, values if isinstance(values, Mapping) else {}, layer.section)


def _reason(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]


def _meant(key: str, known: Iterable[str]) -> str:
    return meant(key, known, f"known are {', '.join(sorted(known)) or 'none'}")
