"""The file that a StreamProxy's sidecars read, and the hash by which they say that they have it.

Pure. Called by the controller, which puts the text into a ConfigMap and compares the hash with `/livez` `config.hash`.
The file holds no secret, only the names of the files in which pods have them. What differs from pod to pod (addresses)
and what no running sidecar can change (the log's level) is in the pods' environment, put there by the injection.

A field with its default is left out: the sidecars have the same ones, and those that run an older image would refuse
a file with a field that came after them, whatever it says.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from lastcall_operator.api.schema import SpecError
from lastcall_operator.api.streamproxy import NamedUpstream, StreamProxy
from lastcall_operator.configuration.paths import API_KEY_PATH, API_KEYS_PATH, named_api_key_path

#: The largest file that a sidecar reads.
MAX_BYTES = 64 * 1024

#: Fields of a StreamProxy that are the operator's business.
_OPERATORS = {
    "upstream": {"apiKeySecretRef"},
    "upstreams": {"apiKeySecretRef"},
    "drain": {"preStopPolicy", "egressWait"},
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """The file's text (YAML), and the hash that a sidecar with this file reports."""

    text: str
    hash: str


def render(proxy: StreamProxy, public_key: str | None) -> Rendered:
    """The configuration of a StreamProxy. `public_key` (PEM) is that of the operator's leases; None: there are none.

    Errors: SpecError when it is larger than what a sidecar reads.
    """
    spec = proxy.spec
    upstream = _section("upstream", spec.upstream)
    if spec.upstream.api_key_secret_ref is not None:
        upstream["apiKeyFile"] = API_KEY_PATH
    drain = _section("drain", spec.drain)
    if public_key is not None:
        drain["publicKey"] = public_key
    values = {
        "mode": spec.mode.value,
        "generation": proxy.generation,
        "upstream": upstream,
        "upstreams": [_named(it) for it in spec.upstreams],
        "limits": _section("limits", spec.limits),
        "streaming": _section("streaming", spec.streaming),
        "drain": drain,
        "listen": _section("listen", spec.listen),
    }
    if spec.auth.api_keys_secret_ref is not None:
        values["auth"] = {"apiKeysFile": API_KEYS_PATH}
    values = {key: value for key, value in values.items() if value not in ({}, [])}
    text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise SpecError(f"spec: the sidecars' file would have {size} bytes; name fewer models, {MAX_BYTES} is the most")
    return Rendered(text, _hash(values))


def _named(upstream: NamedUpstream) -> dict[str, Any]:
    values = _section("upstreams", upstream)
    if upstream.api_key_secret_ref is not None:
        values["apiKeyFile"] = named_api_key_path(upstream.name)
    return values


def _section(name: str, section: Any) -> dict[str, Any]:
    """A section as in the file: without defaults, and without what is the operator's."""
    values: dict[str, Any] = msgspec.to_builtins(section)
    left_out = _OPERATORS.get(name, set()) | {
        field.encode_name
        for field in msgspec.structs.fields(section)
        if getattr(section, field.name) == _default(field)
    }
    return {key: value for key, value in values.items() if key not in left_out}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default; NODEFAULT, which nothing equals, where it has none."""
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _hash(values: Mapping[str, Any]) -> str:
    """As the sidecar computes it: of sorted compact JSON, without the generation."""
    canonical = json.dumps(
        {**values, "generation": 0}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper; text is always in quotes, or a block, so that no reader takes it for something else."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else '"')


def _key(dumper: yaml.SafeDumper, values: dict[str, Any]) -> yaml.MappingNode:
    # A model's name may look like anything, and be read as something else by another version of YAML.
    pairs = [
        (
            yaml.ScalarNode("tag:yaml.org,2002:str", key, style=None if key.isidentifier() else '"'),
            dumper.represent_data(value),
        )
        for key, value in values.items()
    ]
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=False)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _key)
