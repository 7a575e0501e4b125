"""JSON that was cut short, made whole: a tool's input, when the model ran out of tokens within it.

Called by `blocks.py`, and by `chat_on_messages/` for what a client sends back. What is whole of the text stays as it
is, to the last digit; what the cut went through is left out; what is open is closed. The judge is the partial mode of
`jiter`, with which Anthropic's SDK reads such an input; like it, this ends a list or an object where a comma is
missing, too.
"""

import re

#: Deeper nesting is refused, as jiter does.
MAX_DEPTH = 200

_SPACE = re.compile(rb"[ \t\n\r]*+")
_HALF = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_OTHER_HALF = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SINGLE = rb"\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
#: The inside of a string, as far as it is good.
_INSIDE = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|' + _SINGLE + rb"|" + _HALF + _OTHER_HALF + rb")*+")
#: What may stand behind that where the text was cut within an escape, or between the two of a pair.
_CUT_ESCAPE = re.compile(rb"(?:" + _HALF + rb")?(?:\\(?:u.{0,3})?)?", re.DOTALL)
_NUMBER = re.compile(rb"-?+(?:0(?![0-9])|[1-9][0-9]*+)(?:\.[0-9]++|(?!\.))(?:[eE][+-]?+[0-9]++|(?![eE]))")
_CUT_NUMBER = re.compile(rb"-?+(?:(?:0|[1-9][0-9]*+)(?:(?:\.[0-9]++)?+[eE][+-]?+|\.))?+")
#: By how they begin: the word, and what is written for it. JSON has no NaN; the SDK writes null for it, too.
_WORDS = {
    b"t": (b"true", b"true"),
    b"f": (b"false", b"false"),
    b"n": (b"null", b"null"),
    b"N": (b"NaN", b"null"),
    b"I": (b"Infinity", b"null"),
    b"-I": (b"-Infinity", b"null"),
}


def completed(text: bytes, *, keep_cut_strings: bool = False) -> bytes:
    """Return the value that `text` begins with, as JSON, in time that is linear in its length.

    With `keep_cut_strings` what there is of a cut string stays (jiter's "trailing-strings"); keys never do.
    Errors: ValueError where the text is no JSON, or has nothing of a value.
    """
    return _Completion(text, keep_cut_strings=keep_cut_strings).run()


class _CutError(ValueError):
    """The text ends within a value of which nothing can be used."""


class _Completion:
    """One pass over one text."""

    def __init__(self, text: bytes, *, keep_cut_strings: bool) -> None:
        self._text = text
        self._keep_cut_strings = keep_cut_strings
        self._position = 0
        self._out: list[bytes] = []
        #: What closes each container that is open, the innermost last.
        self._closers: list[bytes] = []
        #: The innermost container has no member yet.
        self._empty = True

    def run(self) -> bytes:
        self._take_value(b"")
        while self._closers:
            try:
                more = self._take_member()
            except _CutError:
                more = False
            if not more:
                self._out.append(self._closers.pop())
                self._empty = False
        return b"".join(self._out)

    def _peek(self) -> bytes:
        """Pass white space; return the byte behind it, empty at the end."""
        space = _SPACE.match(self._text, self._position)
        self._position = space.end() if space else self._position
        return self._text[self._position : self._position + 1]

    def _take_member(self) -> bool:
        """Take the next member of the innermost container. False where it closes, or must."""
        closer = self._closers[-1]
        mark = self._peek()
        if mark == closer:
            self._position += 1
            return False
        before = b""
        if not self._empty:
            if mark != b",":
                return False
            self._position += 1
            before = b","
        self._take_value(before + self._take_key() if closer == b"}" else before)
        return True

    def _take_key(self) -> bytes:
        if self._peek() not in {b'"', b""}:
            raise ValueError("a key must be a string")
        key = self._take_string(keep_cut=False)
        if self._peek() not in {b":", b""}:
            raise ValueError("a key without a colon")
        self._position += 1
        return key + b":"

    def _take_value(self, before: bytes) -> None:
        """Take a value, of a list or an object only the begin, and write it behind `before`."""
        mark = self._peek()
        word = _WORDS.get(mark) or _WORDS.get(self._text[self._position : self._position + 2])
        if mark in {b"[", b"{"}:
            if len(self._closers) == MAX_DEPTH:
                raise ValueError("nested too deeply")
            self._position += 1
            self._closers.append(b"]" if mark == b"[" else b"}")
            value = mark
        elif mark == b'"':
            value = self._take_string(keep_cut=self._keep_cut_strings)
        elif word:
            value = self._take_word(*word)
        elif mark:
            value = self._take_number()
        else:
            raise _CutError("nothing of a value")
        self._out += before, value
        self._empty = mark in {b"[", b"{"}

    def _take_string(self, *, keep_cut: bool) -> bytes:
        begin = self._position
        inside = _INSIDE.match(self._text, begin + 1)
        end = inside.end() if inside else begin
        if self._text.startswith(b'"', end):
            self._position = end + 1
            return self._text[begin : end + 1]
        if not _CUT_ESCAPE.fullmatch(self._text, end):
            raise ValueError("a character that no string may have")
        if not keep_cut:
            raise _CutError("a string without its end")
        return self._text[begin:end] + b'"'

    def _take_word(self, word: bytes, value: bytes) -> bytes:
        found = self._text[self._position : self._position + len(word)]
        if found == word:
            self._position += len(word)
            return value
        if word.startswith(found):
            raise _CutError("a word without its end")
        raise ValueError("an unknown word")

    def _take_number(self) -> bytes:
        number = _NUMBER.match(self._text, self._position)
        if number:
            self._position = number.end()
            return number[0]
        if _CUT_NUMBER.fullmatch(self._text, self._position):
            raise _CutError("a number without its end")
        raise ValueError("no value")
