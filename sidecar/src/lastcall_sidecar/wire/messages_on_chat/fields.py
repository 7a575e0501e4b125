"""What becomes of each field of a Messages request, and of each content block, on a chat upstream.

Fields are those of https://docs.claude.com/en/api/messages and of its betas, as the vendor's SDK (2.12) names them.
Claude Code sends several hints with every request: none of those is ever refused.
"""

from lastcall_sidecar.wire.translation import FieldRule, FieldTable, Handling


def _translate(note: str) -> FieldRule:
    return FieldRule(Handling.TRANSLATE, note)


def _drop(note: str) -> FieldRule:
    return FieldRule(Handling.DROP, note)


def _refuse(note: str, *neutral: object) -> FieldRule:
    return FieldRule(Handling.REFUSE, note, neutral)


#: By the name at the top level.
FIELDS: FieldTable = {
    "model": _translate("`model`, mapped by configuration"),
    "messages": _translate(
        "`messages`, block by block (below); an assistant's message at the end (prefill) is sent as just that"
    ),
    "system": _translate("one system message at the beginning; Claude Code's billing header is left out"),
    "max_tokens": _translate("`max_tokens`; for OpenAI's models from o1 and GPT-5 on, `max_completion_tokens`"),
    "temperature": _translate("`temperature`; left out for OpenAI's reasoning models and Kimi's, which take none"),
    "top_p": _translate("`top_p`; left out for OpenAI's reasoning models and Kimi's, which take none"),
    "top_k": _translate("`top_k`, which vLLM takes; left out for OpenAI's own models, which refuse it"),
    "stop_sequences": _translate(
        "`stop`, as many as the model takes; where there are more, the answer's text is cut here at the first that is "
        "complete, and a stream ends there"
    ),
    "stream": _translate("`stream`, with `stream_options.include_usage`"),
    "tools": _translate(
        "functions; patterns with `\\p{…}`, which OpenAI refuses, are left out of a schema, and it is `strict` only if "
        "each object in it wants all of its properties; a name that the vendor refuses is another one there, and the "
        "client's own in the answer; server tools and toolsets are refused"
    ),
    "tool_choice": _translate(
        "`tool_choice`, and `parallel_tool_calls` for `disable_parallel_tool_use`; what the model refuses (below) is "
        "`auto`, or left out"
    ),
    "metadata": _translate("`user` for `user_id`: its SHA-256 where it has more than 64 characters"),
    "thinking": _translate(
        "`reasoning_effort` for a budget: `low` up to 4096 tokens, `medium` up to 16384, else `high`; "
        "left out for OpenAI's models that do not reason, and where thinking is adaptive or disabled; beside tools as "
        "the model takes it (below)"
    ),
    "output_config": _translate(
        "`reasoning_effort` for `effort` (`high` for all above it), unless thinking is disabled; `response_format` for "
        "`format`, its schema as with tools"
    ),
    "output_format": _translate("`response_format`, unless `output_config.format` is there"),
    "betas": _drop("the SDK's name for a header, and that is not passed on either"),
    "billing_policy": _drop("about the vendor's bill"),
    "cache_control": _drop("a hint; the upstream caches as it can"),
    "context_management": _drop("a hint: what of a long conversation may be left out; all of it is sent"),
    "diagnostics": _drop("asks why the vendor's cache missed"),
    "fallback_credit_token": _drop("about the vendor's bill"),
    "fallbacks": _drop("other models of the vendor's, for when it refuses"),
    "inference_geo": _drop("where the vendor computes; here the upstream's place is the operator's choice"),
    "service_tier": _drop("a hint about the vendor's capacity"),
    "speed": _drop("a hint about the vendor's capacity"),
    "user_profile_id": _drop("about the vendor's accounts"),
    "workspace_id": _drop("about the vendor's accounts"),
    "compaction": _refuse("asks for a summary that only the vendor signs"),
    "container": _refuse("a container and its skills are the vendor's", {}),
    "mcp_servers": _refuse("the upstream calls no MCP servers", []),
    "thread": _refuse("the conversation is kept at the vendor's"),
}

#: By the block's `type`. One that is in no table is dropped.
BLOCKS: FieldTable = {
    "text": _translate("text; those of one turn are joined by an empty line, an assistant's by nothing"),
    "image": _translate("an `image_url` part, base64 as a data URL; a source of the vendor's files is refused"),
    "document": _translate("a PDF as a `file` part, text as text; a source by URL or of the vendor's files is refused"),
    "search_result": _translate("text: title, source and content"),
    "tool_use": _translate("an entry of `tool_calls`, with the id that its upstream gave it (below)"),
    "tool_result": _translate(
        "a `tool` message; images and PDFs in it go into the user's message behind it; an error begins with `Error: `"
    ),
    "tool_reference": _translate("the tool's name as text: the tool itself is always there"),
    "compaction": _translate("its summary as text"),
    "container_upload": _refuse("the file is in a container at the vendor's"),
    "thinking": _translate(
        "what the upstream wants back of it (below); what Anthropic signed is left out: nobody else can use it"
    ),
    "redacted_thinking": _drop("only the model that thought it can use it again"),
    "server_tool_use": _drop("what the vendor's tools did is told in the text behind it"),
    "web_search_tool_result": _drop("what the vendor's tools did is told in the text behind it"),
    "web_fetch_tool_result": _drop("what the vendor's tools did is told in the text behind it"),
}
