"""Raw requests for a parser: those that it must refuse, with their statuses, and those that it must understand."""

HOST = b"Host: h\r\n"


def get(*lines, version=b"1.1", host=HOST):
    return b"GET /v1/x HTTP/" + version + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines, body=b""):
    return b"POST /v1/x HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def many(fields):
    return [b"X-%d: 1" % number for number in range(fields)]


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body=body)


REFUSED = {
    # Framing.
    "a length twice": (post(b"Content-Length: 5", b"Content-Length: 5"), 400),
    "two lengths": (post(b"Content-Length: 5", b"Content-Length: 6"), 400),
    "a list of lengths": (post(b"Content-Length: 5, 5"), 400),
    "a length and chunks": (post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "chunks and a length": (post(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    "chunks twice and a length": (post(*[b"Transfer-Encoding: chunked"] * 2, b"Content-Length: 5"), 400),
    "a signed length": (post(b"Content-Length: +5"), 400),
    "a negative length": (post(b"Content-Length: -5"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x5"), 400),
    "an underscore in a length": (post(b"Content-Length: 1_0"), 400),
    "an empty length": (post(b"Content-Length:"), 400),
    "a length of 20 digits": (post(b"Content-Length: " + b"1" * 20), 400),
    "a superscript length": (post(b"Content-Length: \xb2"), 400),
    "chunks of HTTP/1.0": (get(b"Transfer-Encoding: chunked", version=b"1.0"), 400),
    "chunked twice": (post(*[b"Transfer-Encoding: chunked"] * 2), 501),
    "two codings": (post(b"Transfer-Encoding: gzip, chunked"), 501),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked"), 501),
    "no coding": (post(b"Transfer-Encoding:"), 501),
    "a vertical tab before a coding": (post(b"Transfer-Encoding: \x0bchunked"), 400),
    # The request line.
    "a line end before it": (b"\r\n" + get(), 400),
    "a blank before it": (b" " + get(), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "an empty target": (b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two blanks": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a blank behind it": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a control character in the target": (b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target that is not ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a bad method": (b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method with a colon": (b"GET: / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no method": (b" / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "lower-case http": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "another protocol": (b"GET / HTTQ/1.1\r\n" + HOST + b"\r\n", 400),
    "a version of two digits": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "a version without a dot": (b"GET / HTTP/11\r\n" + HOST + b"\r\n", 400),
    "an answer": (b"HTTP/1.1 200 OK\r\n" + HOST + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": (get(version=b"1.2"), 505),
    "CONNECT": (b"CONNECT h:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    # Headers.
    "no host": (get(host=b""), 400),
    "two hosts": (get(HOST.strip()), 400),
    "a folded line": (get(b"X-A: 1", b" 2"), 400),
    "a line folded with a tab": (get(b"X-A: 1", b"\t2"), 400),
    "a blank before the first name": (get(b" X-A: 1", host=b""), 400),
    "a blank before the colon": (post(b"Content-Length : 5"), 400),
    "a tab before the colon": (post(b"Content-Length\t: 5"), 400),
    "a blank in a name": (get(b"X A: 1"), 400),
    "a name that is not ASCII": (get(b"X-\xe9: 1"), 400),
    "a NUL in a name": (get(b"X\0A: 1"), 400),
    "no name": (get(b": 1"), 400),
    "201 fields": (get(*many(200)), 431),
    "no colon": (get(b"X-A"), 400),
    "a NUL in a value": (get(b"X-A: a\0"), 400),
    "a backspace in a value": (get(b"X-A: a\x08"), 400),
    "a form feed in a value": (get(b"X-A: \x0ca"), 400),
    "a DEL in a value": (get(b"X-A: a\x7f"), 400),
    "a bare CR in a value": (get(b"X-A: a\rX-B: b"), 400),
    "a CR before a line end": (get(b"X-A: a\r"), 400),
    "a bare LF between headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\nX-B: b\r\n\r\n", 400),
    "bare LFs only": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "a bare LF at the end": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", 400),
    "a bare LF at the beginning": (b"\n" + get(), 400),
    # Chunks.
    "no number": (chunked(b"zz\r\n"), 400),
    "a negative size": (chunked(b"-1\r\n"), 400),
    "a size with a prefix": (chunked(b"0x5\r\nabcde\r\n"), 400),
    "an underscore in a size": (chunked(b"1_0\r\n"), 400),
    "an empty size": (chunked(b"\r\n"), 400),
    "only an extension": (chunked(b";a=b\r\n"), 400),
    "a blank before a size": (chunked(b" 5\r\nabcde\r\n"), 400),
    "a control character behind a size": (chunked(b"5 \0\r\nabcde\r\n"), 400),
    "a control character in an extension": (chunked(b"5;\x01\r\nabcde\r\n"), 400),
    "a bare CR in an extension": (chunked(b"5;a\rb\r\nabcde\r\n"), 400),
    "a bare LF behind a size": (chunked(b"5\nabcde\r\n"), 400),
    "a size of 16 digits": (chunked(b"F" * 16 + b"\r\n"), 400),
    "a chunk longer than it says": (chunked(b"5\r\nabcdefg"), 400),
    "a chunk without its line end": (chunked(b"5\r\nabcde0\r\n\r\n"), 400),
    "a chunk with a bare LF": (chunked(b"5\r\nabcde\n0\r\n\r\n"), 400),
    "a chunk with half a line end": (chunked(b"5\r\nabcde\r0\r\n\r\n"), 400),
    "an endless extension": (chunked(b"5;" + b"a" * 5000), 400),
    "a long extension": (chunked(b"5;" + b"a" * 4200 + b"\r\nabcde\r\n0\r\n\r\n"), 400),
    "a bare LF behind a size and no other": (chunked(b"5\nabcde"), 400),
    "201 trailers": (chunked(b"0\r\n" + b"".join(line + b"\r\n" for line in many(201)) + b"\r\n"), 431),
    "a trailer that is none": (chunked(b"0\r\nX A: 1\r\n\r\n"), 400),
    "a bare LF at the end of the trailers": (chunked(b"0\r\nX-A: 1\r\n\n"), 400),
    "bare LFs in the trailers": (chunked(b"0\r\nX-A: 1\n\n"), 400),
    "a bare LF for trailers": (chunked(b"0\r\n\n"), 400),
    "a control character in a trailer": (chunked(b"0\r\nX-A: \0\r\n\r\n"), 400),
}

#: Request, (method, target, version), body, whether the connection goes on.
UNDERSTOOD = {
    "nothing special": (get(), ("GET", b"/v1/x", "1.1"), b"", True),
    "an absolute target": (
        b"GET http://h/a?b HTTP/1.1\r\n" + HOST + b"\r\n",
        ("GET", b"http://h/a?b", "1.1"),
        b"",
        True,
    ),
    "a method of its own": (b"X-!#$ * HTTP/1.1\r\n" + HOST + b"\r\n", ("X-!#$", b"*", "1.1"), b"", True),
    "HTTP/1.0": (get(version=b"1.0", host=b""), ("GET", b"/v1/x", "1.0"), b"", False),
    "HTTP/1.0 that would go on": (get(b"Connection: keep-alive", version=b"1.0"), ("GET", b"/v1/x", "1.0"), b"", False),
    "the connection's end": (get(b"Connection: x, Close"), ("GET", b"/v1/x", "1.1"), b"", False),
    "an offer of h2c": (get(b"Connection: Upgrade", b"Upgrade: h2c"), ("GET", b"/v1/x", "1.1"), b"", True),
    "tabs, empty values, bytes above 127": (get(b"X-A:\t a\tb \t", b"X-B:", b"X-C: \xff"), None, b"", True),
    "a length": (post(b"Content-Length: 5", body=b"abcde"), ("POST", b"/v1/x", "1.1"), b"abcde", True),
    "a length with zeros": (post(b"content-LENGTH:005", body=b"ab\r\nc"), None, b"ab\r\nc", True),
    "a length of nothing": (post(b"Content-Length: 0"), None, b"", True),
    "a chunk": (chunked(b"5\r\nabcde\r\n0\r\n\r\n"), None, b"abcde", True),
    "chunks in capitals": (
        post(b"TRANSFER-ENCODING: Chunked", body=b"A\r\n0123456789\r\n0\r\n\r\n"),
        None,
        b"0123456789",
        True,
    ),
    "chunks that hold line ends": (chunked(b"4\r\n\r\n\r\n\r\n1\r\n\r\r\n0\r\n\r\n"), None, b"\r\n\r\n\r", True),
    "extensions, zeros and blanks": (chunked(b"0002;x=y;z\r\nab\r\n1 \t\r\nc\r\n000;e\r\n\r\n"), None, b"abc", True),
    "trailers": (chunked(b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-B:\r\n\r\n"), None, b"a", True),
    "200 fields": (get(*many(199)), ("GET", b"/v1/x", "1.1"), b"", True),
    "200 trailers": (chunked(b"0\r\n" + b"".join(line + b"\r\n" for line in many(200)) + b"\r\n"), None, b"", True),
    "chunks of nothing": (chunked(b"0\r\n\r\n"), None, b"", True),
}
