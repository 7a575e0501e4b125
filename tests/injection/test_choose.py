"""Whose a pod is."""

import pytest
from tests.injection.pods import proxy

from lastcall_operator.injection import InjectionDefaults, InjectionError, choose_proxy, never_injected, require_proxy

OLD = proxy(name="z-old", created="2026-11-22T10:00:00Z")
NEW = proxy(name="new", created="2026-11-22T10:00:01Z")
TWIN = proxy(name="a-twin", created="2026-11-22T10:00:01Z")
OTHER = proxy(name="other", selector={"matchLabels": {"app": "other"}})


def test_the_oldest_that_selects_the_pod_wins_and_then_the_name():
    chosen, losers = choose_proxy({"app": "chat", "more": "x"}, [NEW, OTHER, TWIN, OLD])
    assert chosen is OLD
    assert losers == (TWIN, NEW)


def test_nobody_is_nobody():
    assert choose_proxy({"app": "mail"}, [OLD, OTHER]) == (None, ())
    with pytest.raises(InjectionError, match="no StreamProxy"):
        require_proxy({"app": "mail"}, [OLD])
    assert require_proxy({"app": "chat"}, [OLD]) is OLD


@pytest.mark.parametrize(
    ("namespace", "words"),
    [("kube-system", "in kube-system nothing"), ("lastcall", "the namespace of Lastcall itself"), ("llm", None)],
)
def test_where_nothing_is_injected_is_said(namespace: str, words: str | None) -> None:
    why = never_injected(namespace, InjectionDefaults(image="any", own_namespace="lastcall"))
    assert (why is None) if words is None else (why is not None and words in why)
