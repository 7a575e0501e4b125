"""The CustomResourceDefinitions, made from the types: structural schemas, rules with sentences, columns for people."""

from typing import Any

import msgspec

from . import names
from .drainpolicy import WRONG_TARGET, DrainPolicySpec
from .selector import LABEL_KEY, VALUES
from .streamproxy import StreamProxySpec

Schema = dict[str, Any]

#: What a rule costs the API server is bounded by these.
MAX_CONDITIONS = 20
MAX_PODS = 100

_STREAM_PROXY_RULES = (
    (("has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0 || "
     "has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0"),
     "spec.selector must name a label: an empty one would mean every pod"),
    # A pattern is for values alone: OpenAPI has none for the keys of a map.
    (f"!has(self.selector.matchLabels) || self.selector.matchLabels.all(key, key.matches('{LABEL_KEY}'))",
     "spec.selector.matchLabels: a key must be a label's: a name, with a domain and / before it or without"),
    (("!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(each, "
      "(each.operator in ['In', 'NotIn']) == (has(each.values) && size(each.values) > 0))"),
     f"spec.selector.matchExpressions[]: {VALUES}"),
    ("self.mode != 'Ingress' || has(self.appPort)",
     "spec.appPort is required in mode Ingress: the port that is taken over"),
    ("self.mode == 'Ingress' || !has(self.appPort)",
     "spec.appPort is for mode Ingress: only there is a port taken over"),
    (("!has(self.appPort) || (type(self.appPort) == int ? self.appPort >= 1 && self.appPort <= 65535 : "
     "string(self.appPort).matches('^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$'))"),
     "spec.appPort must be a port from 1 to 65535 or a port's name"),
    ("self.mode != 'Ingress' || !has(self.upstream.url)",
     "spec.upstream.url must not be set in mode Ingress: it is the app's port"),
    ("self.mode != 'Ingress' || !has(self.upstream.provider) || self.upstream.provider == 'Any'",
     "spec.upstream.provider must be Any in mode Ingress: the app's routes are its own"),
    (("self.mode == 'Ingress' || !has(self.upstream.provider) || self.upstream.provider != 'Any' || "
     "has(self.upstream.url)"),
     "spec.upstream.url is required with provider Any"),
    ("self.mode == 'Egress' || !has(self.drain.egressWait) || self.drain.egressWait == 'None'",
     "spec.drain.egressWait is for mode Egress"),
    ("self.limits.maxBodyBytes <= self.limits.maxBufferedBytes",
     "spec.limits.maxBodyBytes must not be above spec.limits.maxBufferedBytes: one body must fit"),
    ("self.mode != 'Ingress' || size(self.upstreams) == 0",
     "spec.upstreams must not be set in mode Ingress: every path is the app's"),
    (("!has(self.upstream.provider) || self.upstream.provider != 'Any' || size(self.upstreams) == 0"),
     "spec.upstreams must not be set with spec.upstream.provider Any: a pure relay knows no models"),
    (("size(self.upstream.models) == 0 || "
      "self.mode != 'Ingress' && (!has(self.upstream.provider) || self.upstream.provider != 'Any')"),
     "spec.upstream.models must not be set with provider Any: a pure relay knows no models"),
    ("self.upstream.models.all(name, name.matches('^[^*]*[*]?$') && size(name) > 0 && size(name) <= 512)",
     "spec.upstream.models: a name has 1 to 512 characters, and * only at its end, for the beginning of names"),
    ("self.upstream.models.all(name, !self.upstream.models[name].contains('*'))",
     "spec.upstream.models: what a name stands for must be one model's name, without *"),
    ("self.upstreams.all(it, it.models.all(model, model.matches('^[^*]*[*]?$')))",
     "spec.upstreams[].models: * may only stand at the end, for the beginning of names"),
)  # fmt: skip

_DRAIN_POLICY_RULES = (
    (("(!has(self.targetRef.apiVersion) || self.targetRef.apiVersion == 'apps/v1') == "
      "(self.targetRef.kind in ['Deployment', 'StatefulSet', 'ReplicaSet'])"),
     WRONG_TARGET),
    (("!has(self.maxDraining) || (type(self.maxDraining) == int ? self.maxDraining >= 1 : "
     "string(self.maxDraining).matches('^([1-9][0-9]?|100)%$'))"),
     "spec.maxDraining must be a number of at least 1 or a percentage from 1% to 100%"),
    ("self.targetRef == oldSelf.targetRef",
     "spec.targetRef cannot be changed: make another DrainPolicy for another workload"),
)  # fmt: skip

_INTEGER: Schema = {"type": "integer", "format": "int64", "minimum": 0}
_CONDITION: Schema = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": {"type": "string", "maxLength": 316, "description": "What it is about."},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
        "reason": {"type": "string", "maxLength": 1024, "description": "One word for programs."},
        "message": {"type": "string", "maxLength": 32768, "description": "A sentence for people."},
        "observedGeneration": {**_INTEGER, "description": "The generation of the spec that it was seen with."},
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When its status changed."},
    },
}


def _counted(description: str) -> Schema:
    return {**_INTEGER, "description": description}


def _common() -> Schema:
    return {
        "observedGeneration": _counted("The generation of the spec that the controller has seen."),
        "conditions": {
            "type": "array",
            "maxItems": MAX_CONDITIONS,
            "description": "What is so, and why.",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "inFlight": _counted("Requests in flight over all pods, as last polled."),
    }


def _object(description: str, properties: Schema) -> Schema:
    return {"type": "object", "description": description, "properties": properties}


_STREAM_PROXY_STATUS = _object(
    "What the controller sees.",
    {
        **_common(),
        "configHash": {"type": "string", "description": "The hash of the configuration that sidecars should report."},
        "pods": _object(
            "How many pods are how far.",
            {
                "matched": _counted("Selected, and labelled for injection."),
                "injected": _counted("Of these, with a sidecar."),
                "ready": _counted("Of these, Ready."),
                "configured": _counted("Of these, reporting this configuration."),
                "draining": _counted("Of these, on their way out."),
            },
        ),
    },
)

_DRAIN_POLICY_STATUS = _object(
    "What the controller sees.",
    {
        **_common(),
        "pods": {
            "type": "array",
            "maxItems": MAX_PODS,
            "description": f"The {MAX_PODS} busiest pods, busiest first.",
            "items": _object(
                "A pod.",
                {
                    "name": {"type": "string", "description": "Its name."},
                    "revision": {"type": "string", "description": "Its revision."},
                    "inFlight": _counted("What it carries; absent when it does not say."),
                    "state": {"type": "string", "description": "serving, draining, drained, expired or silent."},
                    "oldestRequestSeconds": {
                        "type": "number", "minimum": 0, "description": "The age of its oldest request.",
                    },
                },
            ),
        },
        "rollout": _object(
            "The rollout that is on, or the last one.",
            {
                "revision": {"type": "string", "description": "The revision that is wanted."},
                "total": _counted("Pods that there shall be."),
                "updated": _counted("Of these, of the wanted revision."),
                "draining": _counted("Pods that finish their streams."),
                "waiting": _counted("Outdated pods whose turn has not come."),
                "startedAt": {"type": "string", "format": "date-time", "description": "When it was first seen."},
                "finishedAt": {"type": "string", "format": "date-time", "description": "When it was over."},
                "streamsFinished": _counted("Requests that leaving pods have finished since it began."),
                "dropped": _counted("Requests that leaving pods have dropped since it began."),
            },
        ),
    },
)  # fmt: skip


def definitions() -> list[dict[str, Any]]:
    """Both CustomResourceDefinitions, without the chart's own labels."""
    return [
        _definition(
            "StreamProxy", names.STREAM_PROXIES, ("sp", "sproxy"), StreamProxySpec,
            _STREAM_PROXY_RULES, _STREAM_PROXY_STATUS,
            "How the sidecars of some pods are made and configured.",
            [
                _column("Mode", "string", ".spec.mode"),
                _column("Matched", "integer", ".status.pods.matched"),
                _column("Ready", "integer", ".status.pods.ready"),
                _column("Configured", "string", _condition_path("Configured")),
                _column("In flight", "integer", ".status.inFlight"),
                _column("Draining", "integer", ".status.pods.draining"),
                _column("Age", "date", ".metadata.creationTimestamp"),
            ],
        ),
        _definition(
            "DrainPolicy", names.DRAIN_POLICIES, ("dp", "dpol"), DrainPolicySpec,
            _DRAIN_POLICY_RULES, _DRAIN_POLICY_STATUS,
            "How a workload may lose pods.",
            [
                _column("Kind", "string", ".spec.targetRef.kind"),
                _column("Target", "string", ".spec.targetRef.name"),
                _column("In flight", "integer", ".status.inFlight"),
                _column("Draining", "integer", ".status.rollout.draining"),
                _column("Updated", "integer", ".status.rollout.updated"),
                _column("Total", "integer", ".status.rollout.total"),
                _column("Dropped", "integer", ".status.rollout.dropped"),
                _column("Accepted", "string", _condition_path("Accepted"), wide=True),
                _column("Age", "date", ".metadata.creationTimestamp"),
            ],
        ),
    ]  # fmt: skip


def _condition_path(kind: str) -> str:
    return f".status.conditions[?(@.type=='{kind}')].status"


def _column(name: str, kind: str, path: str, *, wide: bool = False) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path, **({"priority": 1} if wide else {})}


def _definition(
    kind: str,
    plural: str,
    short: tuple[str, ...],
    spec: type[msgspec.Struct],
    rules: tuple[tuple[str, str], ...],
    status: Schema,
    description: str,
    columns: list[Schema],
) -> dict[str, Any]:
    made = structural(spec)
    made["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower(),
                "shortNames": list(short), "categories": ["lastcall"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": description,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string", "description": "lastcall.dev/v1alpha1."},
                                "kind": {"type": "string", "description": f"{kind}."},
                                "metadata": {
                                    "type": "object",
                                    "properties": {"name": {"type": "string", "maxLength": names.MAX_NAME_CHARS}},
                                },
                                "spec": made,
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }  # fmt: skip


def structural(kind: type[msgspec.Struct]) -> Schema:
    """A type as a structural schema: no references, no nulls, nothing beside what Kubernetes knows."""
    whole = msgspec.json.schema(kind)
    return _plain(whole, whole["$defs"])


def _plain(schema: Schema, named: Schema) -> Schema:
    said = {key: schema[key] for key in ("description",) if key in schema}
    default = {"default": _listed(schema["default"])} if schema.get("default") is not None else {}
    if "$ref" in schema:
        inner = _plain(named[schema["$ref"].rpartition("/")[2]], named)
        return {**inner, **said, **default}
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        if {choice.get("type") for choice in choices} == {"integer", "string"}:
            text = next(choice for choice in choices if choice["type"] == "string")
            pattern = {key: text[key] for key in ("pattern",) if key in text}  # only texts are held to it
            return {"x-kubernetes-int-or-string": True, **pattern, **said, **default}
        (only,) = choices
        return {**_plain(only, named), **said, **default}
    made = {key: value for key, value in schema.items() if key in _KEPT and value != []}
    if "enum" in schema:
        made["type"] = "string"
    if schema.get("type") == "integer":
        made["format"] = "int64"
    if "properties" in schema:
        required = schema.get("required", [])
        made["properties"] = {
            name: _filled(_plain(field, named), field, required=name in required)
            for name, field in schema["properties"].items()
        }
    elif schema.get("type") == "object":
        made["additionalProperties"] = _plain(schema["additionalProperties"], named)
    if "items" in schema:
        made["items"] = _plain(schema["items"], named)
        if "name" in made["items"].get("required", []):  # the API server refuses a name that is there twice
            made |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    return {**made, **default}


def _listed(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


def _filled(made: Schema, field: Schema, *, required: bool) -> Schema:
    """A part that may be left out is filled in, so that its own fields get their defaults and rules may read them."""
    is_part = "$ref" in field and made.get("type") == "object"
    return {**made, "default": {}} if is_part and not required else made


#: What both kinds of schemas mean by the same word.
_KEPT = frozenset(
    {
        "type", "description", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength",
        "minItems", "maxItems", "maxProperties",
    }
)  # fmt: skip
