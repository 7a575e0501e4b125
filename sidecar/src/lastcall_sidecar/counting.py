"""Token counts for Anthropic's clients on an upstream that has no such route: by its tokenizer, or roughly.

Called by `pipeline.py`. The header `x-lastcall-token-count` says which of the two an answer is: `exact` or `rough`.
"""

from dataclasses import replace

from .auth import Caller
from .bodies import Body
from .calling import ask
from .destinations import Way
from .exchange import Exchange
from .intake import own_request
from .translating import pass_error
from .upstream import PooledTransport
from .wire.messages_on_chat import tokens

MARK = b"x-lastcall-token-count"
#: How an API says that it has no tokenizer, or none for this.
NO_TOKENIZER = frozenset({400, 404, 405, 422, 501})


async def count_tokens(
    exchange: Exchange, way: Way, transport: PooledTransport, caller: Caller, about: int, question: Body
) -> None:
    """Answer with the tokens of a request: those that a tokenizer counts of `question`, or `about` so many.

    Errors: UpstreamFailure.
    """
    head = own_request(exchange, b"", caller, way.destination, method="POST")
    head = replace(head, target=way.destination.root + tokens.TOKENIZE_PATH.encode("ascii"))
    head.headers.append((b"content-length", b"%d" % (question.length or 0)))
    answer = await ask(exchange, transport, way.destination, head, question)
    if answer.status not in {200, *NO_TOKENIZER}:
        await pass_error(exchange, answer)
        return
    # llama.cpp answers 200 to this question, too, and LM Studio to any: that alone is no count.
    count = tokens.tokenize_answer(answer.body)
    mark = b"rough" if count is None else b"exact"
    await exchange.send_json(200, tokens.counted(about if count is None else count), [(MARK, mark)])
