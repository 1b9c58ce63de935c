"""Where settings are written: one YAML file, above it the environment, above that `--set`.

Owns the reading of those three into one tree, and the memory of where each value was written.
Must never know which settings there are.

YAML is read strictly: no key twice, no aliases, and only true/false, plain whole numbers and
plain decimals are anything but text. So `on`, `0660`, `22:30` and `1e3` stay text, and the
setting they are meant for says what it wants instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Key = tuple[str | int, ...]
    Where = Callable[[yaml.Mark | None], str]

ENVIRONMENT = "LAYBY__"


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that guesses less."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not taken", problem_mark=mark)
        return super().compose_node(parent, index)


_PLAIN = {
    "bool": (r"true|false", "tf"),
    "int": (r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    "float": (r"-?[0-9]+\.[0-9]+", "-0123456789"),
    "null": (r"", [""]),
}
for _name, (_pattern, _first) in _PLAIN.items():
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list(_first)
    )


class Source:
    """The tree as far as it has been read: `values` nested, `places` by key, `problems` so far."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.places: dict[Key, str] = {}
        self.problems: list[str] = []

    def place(self, key: Key) -> str:
        """Where this key was written: itself, or the nearest above it, or one below it."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.places:
                return self.places[key[:end]]
        below = (place for other, place in self.places.items() if other[: len(key)] == key)
        return next(below, "settings")

    def add_file(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            self.problems.append(f"{path}: {(error.strerror or str(error)).lower()}")
        except UnicodeDecodeError:
            self.problems.append(f"{path}: the file is not UTF-8 text")
        else:
            self._add_text(text, str(path))

    def add_environment(self, env: Mapping[str, str]) -> None:
        """`LAYBY__STORE__MAX_BYTES=1GiB` sets store.max_bytes."""
        for name in sorted(env):
            if name.startswith(ENVIRONMENT):
                key = tuple(name.removeprefix(ENVIRONMENT).lower().split("__"))
                self._add_written(key, env[name], f"environment {name}")

    def add_sets(self, sets: Sequence[str]) -> None:
        for text in sets:
            name, equals, value = text.partition("=")
            if not (name.strip() and equals):
                self.problems.append(f"--set {text}: write it as KEY=VALUE, as in log.level=debug")
                continue
            self._add_written(tuple(name.strip().split(".")), value, f"--set {name.strip()}")

    def add_values(self, values: Mapping[str, object], place: str) -> None:
        """Dotted names with ready values."""
        for name, value in values.items():
            self._put(tuple(name.split(".")), value, place)

    def _add_text(self, text: str, name: str) -> None:
        try:
            tree = self._read(text, (), lambda mark: f"{name}:{_line(mark)}")
        except yaml.MarkedYAMLError as error:
            self.problems.append(f"{name}:{_line(error.problem_mark)}: {error.problem}")
        except yaml.YAMLError as error:
            self.problems.append(f"{name}: {error}")
        else:
            if isinstance(tree, dict):
                self.values = tree
            elif tree is not None:
                self.problems.append(f"{name}:1: the file must hold keys and values")

    def _add_written(self, key: tuple[str, ...], text: str, place: str) -> None:
        try:
            self._put(key, self._read(text, key, lambda _: place), place)
        except yaml.YAMLError:
            self.problems.append(f"{place}: this is not a value as YAML writes it")

    def _put(self, key: tuple[str, ...], value: object, place: str) -> None:
        here = self.values
        for part in key[:-1]:
            below = here.get(part)
            if below is None:
                below = here[part] = {}
            if not isinstance(below, dict):
                return  # the level above is wrong and is reported as such
            here = below
        here[key[-1]] = value
        for old in [k for k in self.places if k[: len(key)] == key]:
            del self.places[old]
        self.places[key] = place

    def _read(self, text: str, key: Key, where: Where) -> object:
        """The text as YAML, None when there is nothing in it."""
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else self._convert(loader, node, key, where)
        finally:
            loader.dispose()

    def _convert(self, loader: _StrictLoader, node: yaml.Node, key: Key, where: Where) -> object:
        self.places.setdefault(key, where(node.start_mark))
        if isinstance(node, yaml.MappingNode):
            return self._convert_mapping(loader, node, key, where)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._convert(loader, item, (*key, at), where) for at, item in items]
        return loader.construct_object(node)

    def _convert_mapping(
        self, loader: _StrictLoader, node: yaml.MappingNode, key: Key, where: Where
    ) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            place = where(key_node.start_mark)
            part = key_node.value
            below = (*key, part)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"{place}: a key must be a word")
            elif part in result:
                first, name = self.places[below], ".".join(map(str, below))
                self.problems.append(f"{place}: {name} is set twice, first at {first}")
            else:
                self.places[below] = place
                result[part] = self._convert(loader, value_node, below, where)
        return result


def _line(mark: yaml.Mark | None) -> int:
    return 1 if mark is None else mark.line + 1
