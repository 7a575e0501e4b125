"""What clients and upstreams say is logged so that no terminal obeys it."""

import json

import httpx
import pytest
from tests.support.sidecar_process import SidecarProcess

from lastcall_sidecar.printable import printable

MODEL = "\x1b]0;pwn\x07 \x9b31m \u202e"


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_a_model_with_escapes_is_written_out_in_the_log(fmt):
    settings = {"upstream": {"url": "http://127.0.0.1:1"}, "logs": {"format": fmt}}
    with SidecarProcess(settings) as sidecar:
        body = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{sidecar.url}/v1/messages", content=json.dumps(body).encode(), timeout=30)
        assert answer.status_code == 502
    output = sidecar.output()
    assert "request failed" in output
    assert printable(MODEL) in output.replace("\\\\", "\\")
    assert all(line.isprintable() for line in output.splitlines())
