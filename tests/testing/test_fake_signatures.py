"""The fake knows its own signatures, and nobody else's."""

import pytest

from lastcall_sidecar.testing.signing import is_signed, sign


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_a_signature_holds_for_its_text_alone(seed):
    signature = sign(seed, "Let me think – 灯")
    assert is_signed("Let me think – 灯", signature)
    assert not is_signed("Let me think", signature)
    assert len(signature) > 100


@pytest.mark.parametrize(
    "signature",
    ["", "EqQBCgIYAhIM", "not base64!", "灯", sign(1, "a")[:-4], sign(1, "a") + "AAAA"],
    ids=["empty", "another's", "not base64", "not ASCII", "cut short", "with more behind it"],
)
def test_no_other_signature_holds(signature):
    assert not is_signed("a", signature)
