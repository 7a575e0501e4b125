"""The description as a page for people."""

import html
from typing import Any


def docs_page(described: dict[str, Any]) -> str:
    """The description as a page without scripts or anything from elsewhere."""
    info = described["info"]
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation['summary'])}</td>"
        f"<td>{', '.join(html.escape(status) for status in operation['responses'])}</td></tr>"
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    )
    told = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in info["description"].split("\n\n"))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Lastcall sidecar</title><style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 "
        "1rem;color-scheme:light dark}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}</style>"
        f"<h1>Lastcall sidecar {html.escape(info['version'])}</h1>{told}"
        "<p>The whole description: <a href=/openapi.json>openapi.json</a>, <a href=/openapi.yaml>openapi.yaml</a>.</p>"
        f"<table><tr><th>Method<th>Path<th>What<th>Answers</tr>{rows}</table></html>"
    )
