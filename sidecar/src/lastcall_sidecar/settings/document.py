"""A configuration file's text as plain values: YAML's core, and nothing that surprises.

Duplicate keys are problems (YAML leaves it open which one wins), `yes` and `on` are words, `1:30` is no number, and
there are no anchors, tags or second documents. Called by `load.py`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .problems import Problem

#: Far more than any configuration; reading YAML takes 20 µs a byte.
MAX_BYTES = 64 * 1024
#: Keys stand in messages; those of `upstream.models` are models' names, which may be that long.
MAX_KEY_CHARS = 512


def _integer(text: str) -> int | str:
    # Past this many digits Python itself refuses; as text it fails the check of its type, with a sentence.
    if len(text) > 40:
        return text
    return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


#: Where a problem is that concerns all of it.
WHOLE = "the file"

_TAG = "tag:yaml.org,2002:"
#: Plain scalars by YAML 1.2's core schema, tried in this order.
_SCALARS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    (_TAG + "null", re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (_TAG + "bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (_TAG + "int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), _integer),
    (_TAG + "float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
)


@dataclass(slots=True)
class Document:
    """What a file says: `value` (None when it is empty), the line of each path in it, and what is wrong with it."""

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse(text: bytes, name: str) -> Document:
    """Read a file's bytes; `name` stands in problems that concern all of it. Never raises for what the bytes hold."""
    document = Document()
    if len(text) > MAX_BYTES:
        document.problems.append(Problem(name, f"larger than {MAX_BYTES} bytes"))
        return document
    try:
        node = yaml.compose(text.decode("utf-8"), Loader=_Loader)
        if node is not None:
            document.value = _value(node, "", document)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        document.problems.append(Problem(name, f"not UTF-8 text: byte {error.start} cannot be decoded", line))
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax(name, error))
    except yaml.YAMLError as error:
        document.problems.append(Problem(name, f"not YAML: {str(error).splitlines()[0]}"))
    except RecursionError:
        document.problems.append(Problem(name, "nested too deeply"))
    return document


def join(path: str, key: str) -> str:
    """The path of a key within the mapping at `path`."""
    return f"{path}.{key}" if path else key


class _Loader(yaml.SafeLoader):
    """PyYAML's loader without its YAML 1.1 scalars and without anchors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own interface

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_mark()
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not understood", mark)
        return super().compose_node(parent, index)


def _value(node: Node, path: str, document: Document) -> Any:
    document.lines[path or WHOLE] = node.start_mark.line + 1
    if isinstance(node, MappingNode) and node.tag == _TAG + "map":
        return dict(_pairs(node, path, document))
    if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item, f"{path}[{index}]", document) for index, item in enumerate(node.value)]
    if isinstance(node, ScalarNode) and node.tag == _TAG + "str":
        return _scalar(node)
    document.problems.append(Problem(path or WHOLE, f"the tag {node.tag} is not understood", _line(node)))
    return None


def _pairs(node: MappingNode, path: str, document: Document) -> Iterator[tuple[str, Any]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node) if isinstance(key_node, ScalarNode) else None
        if not isinstance(key, str) or not key.isprintable() or len(key) > MAX_KEY_CHARS:
            document.problems.append(Problem(path or WHOLE, "a key must be short text", _line(key_node)))
            continue
        place = join(path, key)
        if key in seen:
            what = f"given twice; the first time in line {seen[key]}"
            document.problems.append(Problem(place, what, _line(key_node)))
            continue
        seen[key] = _line(key_node)
        value = _value(value_node, place, document)
        document.lines[place] = seen[key]
        yield key, value


def _scalar(node: ScalarNode) -> Any:
    text = cast("str", node.value)
    if node.style is not None:  # quoted or a block: text, whatever it looks like
        return text
    for _, pattern, make in _SCALARS:
        if pattern.fullmatch(text):
            return make(text)
    return text


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _syntax(name: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "not YAML"
    if error.context == "expected a single document in the stream":
        what = "a second document; there must be one"
    elif "'\\t'" in what:
        what = "a tab; YAML is indented with spaces"
    return Problem(name, what, None if mark is None else mark.line + 1)
