"""What becomes of each field of a chat completion's request, and of each part of its messages.

Docs and refusals are made of this.
"""

from lastcall_sidecar.wire.translation import FieldRule, FieldTable, Handling

_TRANSLATE, _DROP, _REFUSE = Handling.TRANSLATE, Handling.DROP, Handling.REFUSE

_SAMPLING = "left out where the model takes none: while it thinks, and from Claude 4.7 on"
_ONE_ANSWER = "the Messages API gives one answer to a request"
_NO_LOGPROBS = "the Messages API tells no probabilities"
_NO_PENALTIES = "the Messages API has no penalties"
_NO_AUDIO = "the Messages API knows no audio"
_LEGACY = "superseded: use `tools`, `tool_choice` and `tool_calls`"

FIELDS: FieldTable = {
    "model": FieldRule(_TRANSLATE, "`model`, mapped by configuration"),
    "messages": FieldRule(
        _TRANSLATE,
        "`system` (system and developer messages, wherever they stand, in order) and `messages` (neighbors of one role "
        "merged, tool results first, blank text left out)",
    ),
    "stream": FieldRule(_TRANSLATE, "`stream`"),
    "stream_options": FieldRule(_TRANSLATE, "`include_usage`: the chunk with the usage; the rest is dropped"),
    "max_completion_tokens": FieldRule(_TRANSLATE, "`max_tokens`; without any, `upstream.defaultMaxTokens`"),
    "max_tokens": FieldRule(_TRANSLATE, "`max_tokens`, unless there is `max_completion_tokens`"),
    "temperature": FieldRule(
        _TRANSLATE, f"`temperature`; 1 and more is left out, 1 being the most and the default there; {_SAMPLING}"
    ),
    "top_p": FieldRule(
        _TRANSLATE,
        f"`top_p`; left out beside a `temperature` from Claude 4.1 on, which take one of the two; {_SAMPLING}",
    ),
    "stop": FieldRule(
        _TRANSLATE, "`stop_sequences`; at a blank one, which the API refuses, the text is cut here, and a stream ends"
    ),
    "reasoning_effort": FieldRule(
        _TRANSLATE,
        "`thinking`, and `output_config.effort` from Claude 4.6 on (table below); dropped for models that do not think",
    ),
    "response_format": FieldRule(
        _TRANSLATE,
        "`json_schema`: `output_config.format`, its objects closed, and what of the schema it does not take told in "
        "descriptions; `text`: nothing; `json_object`: a 400",
    ),
    "tools": FieldRule(
        _TRANSLATE,
        "`tools`: functions, and Anthropic's own with an `input_schema`, which Cursor sends; a `strict` one's schema "
        "as for `response_format`; a name that the API refuses is another one there, and the client's own in the "
        "answer; a custom tool is a 400",
    ),
    "tool_choice": FieldRule(_TRANSLATE, "`tool_choice`: `none`, `auto`, `required` (`any`) or a function's name"),
    "parallel_tool_calls": FieldRule(_TRANSLATE, "`tool_choice.disable_parallel_tool_use`"),
    "safety_identifier": FieldRule(
        _TRANSLATE, "`metadata.user_id`: its SHA-256 where it has an `@`, which the API refuses, or over 256 characters"
    ),
    "user": FieldRule(_TRANSLATE, "likewise, unless there is `safety_identifier`"),
    "metadata": FieldRule(_DROP, "for OpenAI's own storage of answers"),
    "store": FieldRule(_DROP, "for OpenAI's own storage of answers"),
    "prediction": FieldRule(_DROP, "a hint: only the speed depends on it"),
    "prompt_cache_key": FieldRule(_DROP, "a hint: only the speed depends on it"),
    "prompt_cache_options": FieldRule(
        _DROP, "a hint; an Anthropic `cache_control` on messages, parts and tools is passed on"
    ),
    "prompt_cache_retention": FieldRule(_DROP, "a hint: only the speed depends on it"),
    "seed": FieldRule(_DROP, "a hint: no vendor promises the same answer twice"),
    "service_tier": FieldRule(_DROP, "a hint: the two vendors' tiers are not the same"),
    "verbosity": FieldRule(_DROP, "a hint; the Messages API has none like it"),
    "n": FieldRule(_REFUSE, _ONE_ANSWER, neutral=(1,)),
    "logprobs": FieldRule(_REFUSE, _NO_LOGPROBS, neutral=(False,)),
    "top_logprobs": FieldRule(_REFUSE, _NO_LOGPROBS, neutral=(0,)),
    "logit_bias": FieldRule(_REFUSE, "the Messages API has no biases", neutral=({},)),
    "frequency_penalty": FieldRule(_REFUSE, _NO_PENALTIES, neutral=(0,)),
    "presence_penalty": FieldRule(_REFUSE, _NO_PENALTIES, neutral=(0,)),
    "modalities": FieldRule(_REFUSE, _NO_AUDIO, neutral=(["text"], [])),
    "audio": FieldRule(_REFUSE, _NO_AUDIO),
    "moderation": FieldRule(_REFUSE, "the Messages API does not moderate"),
    "web_search_options": FieldRule(_REFUSE, "there is no search without a tool in the Messages API"),
    "functions": FieldRule(_REFUSE, _LEGACY, neutral=([],)),
    "function_call": FieldRule(_REFUSE, _LEGACY, neutral=("none", "auto")),
}

#: By a part's `type`; one that is in no table is a 400.
PARTS: FieldTable = {
    "text": FieldRule(_TRANSLATE, "a `text` block; a blank one, which the API refuses, is left out"),
    "refusal": FieldRule(_TRANSLATE, "a `text` block of the assistant's"),
    "image_url": FieldRule(
        _TRANSLATE, "an `image` block: by URL, or in base64 from a data URL (JPEG, PNG, GIF, WebP; a PDF: `document`)"
    ),
    "file": FieldRule(_TRANSLATE, "a `document` block: a PDF in `file_data`; a `file_id` alone is a 400"),
    "image": FieldRule(_TRANSLATE, "Anthropic's own block, as it is"),
    "document": FieldRule(_TRANSLATE, "Anthropic's own block, as it is"),
    "tool_use": FieldRule(_TRANSLATE, "Anthropic's own block of the assistant's, as it is; Cursor sends it"),
    "tool_result": FieldRule(_TRANSLATE, "Anthropic's own block of the user's, as it is; Cursor sends it"),
    "input_audio": FieldRule(_REFUSE, _NO_AUDIO),
}
