"""A configuration file: what it gives, what is wrong with bad ones (all of it, with its place), and its hash."""

import base64
import hashlib
import json
import shutil
import ssl

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lastcall_sidecar.settings import ConfigError, Mode, Provider, control_socket_candidates, load
from lastcall_sidecar.settings.problems import Problem


def pem(private) -> str:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


ED25519 = pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
X25519 = pem(x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))))


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


NEVER_HERE = "a secret is never written in this file: name a file in {} or set {}"
BAD = {
    "not a mapping": ("- a\n", ["the file (line 1): must be a mapping of settings, not a list"]),
    "a word": ("hello\n", ["the file (line 1): must be a mapping of settings, not 'hello'"]),
    "a section that is a number": ("limits: 5\n", ["limits (line 1): must be a mapping of settings, not 5"]),
    "unknown section": ("limit: {}\n", ["limit (line 1): unknown; did you mean limits?"]),
    "unknown field": (
        "limits:\n  maxConcurent: 1\n",
        ["limits.maxConcurent (line 2): unknown; did you mean maxConcurrent?"],
    ),
    "snake case": ("limits: {max_queued: 1}\n", ["limits.max_queued (line 1): unknown; did you mean maxQueued?"]),
    "nothing like it": (
        "streaming: {x: 1}\n",
        ["streaming.x (line 1): unknown; known are heartbeatSeconds, demoteNonStreaming"],
    ),
    "text for a number": (
        "limits: {maxQueued: '5'}\n",
        ["limits.maxQueued (line 1): must be a whole number from 0 to 1000000, not '5'"],
    ),
    "a fraction": (
        "drain: {settleSeconds: 0.5}\n",
        ["drain.settleSeconds (line 1): must be a whole number from 0 to 300, not 0.5"],
    ),
    "a boolean for a number": (
        "drain: {settleSeconds: true}\n",
        ["drain.settleSeconds (line 1): must be a whole number from 0 to 300, not true"],
    ),
    "below its bound": (
        "streaming: {heartbeatSeconds: 0}\n",
        ["streaming.heartbeatSeconds (line 1): must be a whole number from 1 to 300, not 0"],
    ),
    "above its bound": (
        "upstream: {connectTimeoutSeconds: 121}\n",
        ["upstream.connectTimeoutSeconds (line 1): must be a whole number from 1 to 120, not 121"],
    ),
    "a value left out": (
        "limits:\n  maxQueued:\n",
        ["limits.maxQueued (line 2): must be a whole number from 0 to 1000000, not empty"],
    ),
    "a word for a boolean": (
        "upstream: {trustEnv: yes}\n",
        ["upstream.trustEnv (line 1): must be true or false, not 'yes'"],
    ),
    "no such mode": (
        "mode: Gatewya\n",
        ["mode (line 1): must be one of Gateway, Egress, Ingress, not 'Gatewya'; did you mean Gateway?"],
    ),
    "mode in lower case": (
        "mode: egress\n",
        ["mode (line 1): must be one of Gateway, Egress, Ingress, not 'egress'; did you mean Egress?"],
    ),
    "mode that is a list": ("mode: [a]\n", ["mode (line 1): must be one of Gateway, Egress, Ingress, not a list"]),
    "mode that is a mapping": (
        "mode: {a: 1}\n",
        ["mode (line 1): must be one of Gateway, Egress, Ingress, not a mapping"],
    ),
    "AgentSDK": (
        "upstream: {provider: AgentSDK}\n",
        ["upstream.provider (line 1): AgentSDK is not in this version; use Anthropic, OpenAI or Any"],
    ),
    "half a surrogate pair": (
        'admin: {controlSocket: "/\\ud800"}\n',
        ["admin.controlSocket (line 1): must be Unicode text; it holds half a surrogate pair"],
    ),
    "a feature of later": ("recording: {enabled: true}\n", ["recording (line 1): not in this version; leave it out"]),
    "a field of later": (
        "logs: {directory: /x}\n",
        ["logs.directory (line 1): not in this version; leave it out"],
    ),
    "the operator's": (
        "drain: {preStopPolicy: Keep}\n",
        ["drain.preStopPolicy (line 1): the operator's business, not the sidecar's; leave it out"],
    ),
    "a secret": (
        "upstream: {apiKey: sk-1}\n",
        ["upstream.apiKey (line 1): " + NEVER_HERE.format("upstream.apiKeyFile", "LASTCALL_UPSTREAM__API_KEY")],
    ),
    "keys of clients": (
        "auth: {apiKeys: [a]}\n",
        ["auth.apiKeys (line 1): " + NEVER_HERE.format("auth.apiKeysFile", "LASTCALL_AUTH__API_KEYS")],
    ),
    "Any without a URL": ("upstream: {provider: Any}\n", ["upstream.url: required with provider Any"]),
    "Ingress without a URL": (
        "mode: Ingress\n",
        ["upstream.url: required in mode Ingress: the app's own address, as http://127.0.0.1:PORT"],
    ),
    "a body that does not fit": (
        "limits: {maxBodyBytes: 2048, maxBufferedBytes: 1024}\n",
        ["limits.maxBodyBytes (line 1): must not be above limits.maxBufferedBytes (1024): one body must fit"],
    ),
    "one port twice": (
        "listen: {traffic: '0.0.0.0:80', admin: '127.0.0.1:80'}\n",
        ["listen.admin (line 1): the port 80 is already taken by listen.traffic"],
    ),
    "one address twice": (
        "listen: {traffic: 'localhost:80', admin: 'localhost:80'}\n",
        ["listen.admin (line 1): the port 80 is already taken by listen.traffic"],
    ),
    "one port twice on all interfaces": (
        "listen: {traffic: '10.0.0.1:80', admin: '[::]:80'}\n",
        ["listen.admin (line 1): the port 80 is already taken by listen.traffic"],
    ),
    "an upstream that is ourselves": (
        "upstream: {url: 'http://localhost:8080'}\n",
        ["upstream.url (line 1): is our own address (listen.traffic): requests would go round in a circle"],
    ),
    "an upstream that is ourselves by default port": (
        "upstream: {url: 'http://10.0.0.1'}\nlisten: {admin: '10.0.0.1:80'}\n",
        ["upstream.url (line 1): is our own address (listen.admin): requests would go round in a circle"],
    ),
    "a socket that is no path": (
        "admin: {controlSocket: run/x}\n",
        ["admin.controlSocket (line 1): must be an absolute path"],
    ),
    "a socket's path with NUL": (
        'admin: {controlSocket: "/a\\0b"}\n',
        ["admin.controlSocket (line 1): must be an absolute path"],
    ),
    "a socket's path that is too long": (
        f"admin: {{controlSocket: /{'s' * 107}}}\n",
        ["admin.controlSocket (line 1): must be at most 107 bytes long: the kernel takes no longer path for a socket"],
    ),
    "too many origins": (
        f"listen: {{corsOrigins: [{', '.join(['http://a'] * 101)}]}}\n",
        ["listen.corsOrigins (line 1): must be a list of at most 100 entries, each text, not a list"],
    ),
    "an origin that is a number": (
        "listen: {corsOrigins: [1]}\n",
        ["listen.corsOrigins (line 1): must be a list of at most 100 entries, each text, not a list"],
    ),
    "any origin": (
        "listen:\n  corsOrigins:\n    - http://a\n    - '*'\n",
        ["listen.corsOrigins[1] (line 4): any origin is not allowed: name each one, as https://host[:port]"],
    ),
    "a file that is not there": (
        "upstream: {apiKeyFile: /nowhere/key}\n",
        ["upstream.apiKeyFile (line 1): cannot read /nowhere/key: No such file or directory"],
    ),
    "a file that is a folder": (
        "auth: {apiKeysFile: /}\n",
        ["auth.apiKeysFile (line 1): cannot read /: Is a directory"],
    ),
    "a file of endless zeros": (
        "upstream: {caFile: /dev/zero}\n",
        ["upstream.caFile (line 1): cannot read '/dev/zero': it is not a regular file"],
    ),
    "a file with NUL in its name": (
        'upstream: {caFile: "/\\0"}\n',
        ["upstream.caFile (line 1): cannot read '/\\x00': embedded null byte"],
    ),
}


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_told_with_its_place(problems_of, text, problems):
    assert problems_of(text) == problems


@pytest.mark.parametrize(
    "text",
    [
        "listen: {traffic: 'one:80', admin: 'two:80'}",
        "listen: {traffic: '10.0.0.1:80', admin: '10.0.0.2:80'}",
        "upstream: {url: 'http://10.0.0.1:8080'}",
        "upstream: {url: 'http://localhost:8080'}\nlisten: {traffic: '10.0.0.1:8080'}",
        "upstream: {url: 'http://127.0.0.1:9000'}",
        "limits: {maxBodyBytes: 1024, maxBufferedBytes: 1024}",
        f"admin: {{controlSocket: /{'s' * 106}}}",
    ],
)
def test_what_only_looks_like_a_conflict_is_none(write, text):
    assert load(write(text + "\n"), {}).warnings == ()


def test_all_problems_are_told_at_once(problems_of):
    text = """\
mode: Gatewya
upstream:
  provider: AgentSDK
  url: ftp://user:password@x
limits:
  maxQueued: lots
  maxQueued: 3
  maxBodyBytes: 999999999
recording: {}
listen: {traffic: "0.0.0.0:80801", admin: 8081}
"""
    environ = {"LASTCALL_DRAIN__SETTLE_SECONDS": "x", "LASTCALL_ADMIN__TOKEN": ""}
    assert [problem.partition(": ")[0] for problem in problems_of(text, environ)] == [
        "drain.settleSeconds (LASTCALL_DRAIN__SETTLE_SECONDS)",
        "admin.token (LASTCALL_ADMIN__TOKEN)",
        "mode (line 1)",
        "upstream.provider (line 3)",
        "upstream.url (line 4)",
        "limits.maxQueued (line 6)",
        "limits.maxQueued (line 7)",
        "limits.maxBodyBytes (line 8)",
        "recording (line 9)",
        "listen.admin (line 10)",
        "listen.traffic (line 10)",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("limits: {maxBodyBytes: 999999999, maxBufferedBytes: lots}\n", "limits.maxBufferedBytes"),
        ("limits: 5\n", "limits"),
        ("mode: Ingres\nupstream: {provider: Anthropic}\n", "mode"),
        ("upstream: {provider: any}\n", "upstream.provider"),
        ("listen: {traffic: 8081}\n", "listen.traffic"),
    ],
)
def test_what_only_follows_from_another_problem_is_not_told(problems_of, text, problem):
    assert [told.partition(" ")[0] for told in problems_of(text)] == [problem]


def test_the_text_of_an_error_is_bounded():
    error = ConfigError(Problem(f"a{number}", "wrong") for number in range(500))
    assert len(error.problems) == 500
    assert str(error).endswith("a9: wrong; and 490 more")


def test_a_file_that_is_missing_is_the_problem(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*lastcall\.yaml: No such file or directory") as caught:
        load(tmp_path / "lastcall.yaml", {})
    assert caught.value.files == {str(tmp_path / "lastcall.yaml"): None}


def test_a_huge_file_is_not_read_whole(tmp_path):
    file = tmp_path / "lastcall.yaml"
    with file.open("wb") as opened:
        opened.truncate(2**40)
    with pytest.raises(ConfigError, match="it is larger than 1048576 bytes"):
        load(file, {})


GOOD_URLS = [
    "http://up",
    "https://up.example:8443/base/",
    "http://10.0.0.1:1",
    "http://[::1]:9000",
    "http://my_up",
    "http://a.b.",
]
BAD_URLS = {
    "ftp://up": "must be an http or https URL",
    "up.example": "must be an http or https URL",
    "HTTP://up": "must be an http or https URL",
    "http://": "must be http(s)://HOST[:PORT][/PATH]",
    "http:///path": "must be http(s)://HOST[:PORT][/PATH]",
    "http://up:": "must be http(s)://HOST[:PORT][/PATH]",
    "http://up:0": "must be http(s)://HOST[:PORT][/PATH]",
    "http://up:99999": "has a bad port",
    "http://up:x": "has a bad port",
    "http://[::1": "is not a URL",
    "http://[zz]/": "is not a URL",
    "http://1.2.3": "must be http(s)://HOST[:PORT][/PATH]",
    "http://-up": "must be http(s)://HOST[:PORT][/PATH]",
    "http://user:secret@up": "must not hold credentials: name a file in upstream.apiKeyFile",
    "http://secret@up": "must not hold credentials: name a file in upstream.apiKeyFile",
    "http://up/?key=secret": "must have neither query nor fragment",
    "http://up?": "must have neither query nor fragment",
    "http://up/#": "must have neither query nor fragment",
    "http://up/a b": "must be printable ASCII without blanks or backslashes; encode others (%20, punycode)",
    "http://üp": "must be printable ASCII without blanks or backslashes; encode others (%20, punycode)",
    "http://up\\x": "must be printable ASCII without blanks or backslashes; encode others (%20, punycode)",
    "http://up/a/%2E./b": "must not have dot segments in its path",
    "http://up/..": "must not have dot segments in its path",
}


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_good_url_is_taken_as_it_is(write, url):
    assert load(write(f"upstream: {{url: '{url}'}}\n"), {}).settings.upstream.url == url


@pytest.mark.parametrize(("url", "what"), BAD_URLS.items(), ids=BAD_URLS.keys())
def test_a_bad_url_is_told_and_never_repeated(problems_of, url, what):
    assert problems_of(f"upstream: {{url: '{url}'}}\n") == [f"upstream.url (line 1): {what}"]


@pytest.mark.parametrize(
    ("origin", "good"),
    [
        ("https://app.example", True),
        ("http://localhost:3000", True),
        ("http://[::1]:3000", True),
        ("https://app.example/", False),
        ("https://App.example", False),
        ("https://app.example:443", False),
        ("http://app.example:80", False),
        ("http://app.example:", False),
        ("http://u@app.example", False),
        ("http://app.example:99999", False),
        ("null", False),
        ("ws://app.example", False),
        ("app.example", False),
    ],
)
def test_an_origin_is_as_browsers_send_it(write, origin, good):
    file = write(f"listen: {{corsOrigins: ['{origin}']}}\n")
    if good:
        assert load(file, {}).settings.listen.cors_origins == (origin,)
    else:
        with pytest.raises(ConfigError, match=r"listen\.corsOrigins\[0\]"):
            load(file, {})


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("gateway", True),
        ("host.docker.internal", True),
        ("*.example.com", True),
        ("*", True),
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("[fd00::1]", True),
        ("", False),
        ("*.", False),
        ("*.10.0.0.1", False),
        ("a.*.example", False),
        ("*example.com", False),
        ("example.com:8080", False),
        ("http://example.com", False),
        ("example.com/", False),
        ("10.0.0", False),
    ],
)
def test_an_allowed_host_is_a_name_without_scheme_or_port(write, host, good):
    file = write(f"listen: {{allowedHosts: ['{host}']}}\n")
    if good:
        assert load(file, {}).settings.listen.allowed_hosts == (host,)
    else:
        with pytest.raises(ConfigError, match=r"listen\.allowedHosts\[0\]"):
            load(file, {})


@pytest.mark.parametrize(
    ("network", "good"),
    [
        ("10.0.0.0/8", True),
        ("10.0.0.1", True),
        ("fd00::/8", True),
        ("::1", True),
        ("10.0.0.1/8", False),
        ("10.0.0.0/33", False),
        ("proxy.example", False),
        ("", False),
    ],
)
def test_a_trusted_proxy_is_an_address_or_a_network(write, network, good):
    file = write(f"listen: {{trustedProxies: ['{network}']}}\n")
    if good:
        assert load(file, {}).settings.listen.trusted_proxies == (network,)
    else:
        with pytest.raises(ConfigError, match=r"listen\.trustedProxies\[0\]"):
            load(file, {})


@pytest.mark.parametrize(
    ("key", "good"),
    [
        pytest.param(ED25519, True, id="Ed25519"),
        pytest.param(X25519, False, id="another curve"),
        pytest.param("sk-1", False, id="no PEM"),
        pytest.param(ED25519.replace("PUBLIC", "PRIVATE"), False, id="a private key"),
        pytest.param("-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----\n", False, id="no base64"),
        pytest.param(
            f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(bytes(44)).decode()}\n-----END PUBLIC KEY-----\n",
            False,
            id="no key",
        ),
    ],
)
def test_the_operators_key_is_ed25519_in_pem(write, problems_of, key, good):
    text = f"drain:\n  publicKey: |\n{indented(key)}\n"
    if good:
        assert load(write(text), {}).settings.drain.public_key == key
    else:
        assert problems_of(text) == [
            "drain.publicKey (line 2): must be an Ed25519 public key in PEM (BEGIN PUBLIC KEY)"
        ]


def test_authorities_must_be_certificates(tmp_path, problems_of, write):
    authorities = tmp_path / "ca.pem"
    authorities.write_text("nothing of the kind\n")
    text = f"upstream: {{caFile: {authorities}}}\n"
    assert problems_of(text) == [f"upstream.caFile (line 1): {authorities} holds no certificates in PEM"]
    system = ssl.get_default_verify_paths().cafile
    if system is None:  # no bundle of the system's: that of a library
        system = __import__("certifi").where()
    shutil.copy(system, authorities)
    assert load(write(text), {}).settings.upstream.ca_file == str(authorities)


def test_without_a_file_it_serves_this_machine_only():
    settings = load(None, {"XDG_RUNTIME_DIR": "/run/user/7"}).settings
    assert (settings.listen.traffic, settings.listen.admin) == ("127.0.0.1:8080", "127.0.0.1:8081")
    assert settings.admin.control_socket == "/run/user/7/lastcall/control.sock"
    assert (settings.mode, settings.upstream.provider) == (Mode.GATEWAY, Provider.ANTHROPIC)
    assert settings.upstream.url == "https://api.anthropic.com"


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "relative"}])
def test_without_a_runtime_folder_the_control_socket_is_in_the_users_own(environ, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert load(None, environ).settings.admin.control_socket == "/tmp/lastcall-4711/control.sock"


def test_an_empty_file_means_the_defaults_of_a_pod(write):
    loaded = load(write("# nothing yet\nlimits:\n"), {"XDG_RUNTIME_DIR": "/run/user/7"})
    assert (loaded.settings.listen.traffic, loaded.settings.listen.admin) == ("[::]:8080", "[::]:8081")
    assert loaded.settings.admin.control_socket == "/run/lastcall/control.sock"
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("text", "provider", "url"),
    [
        ("upstream: {provider: OpenAI}", Provider.OPENAI, "https://api.openai.com"),
        ("upstream: {provider: OpenAI, url: 'http://up'}", Provider.OPENAI, "http://up"),
        ("upstream:", Provider.ANTHROPIC, "https://api.anthropic.com"),
        ("mode: Egress", Provider.ANTHROPIC, "https://api.anthropic.com"),
        ("mode: Ingress\nupstream: {url: 'http://127.0.0.1:3000'}", Provider.ANY, "http://127.0.0.1:3000"),
        (
            "mode: Ingress\nupstream: {provider: Anthropic, url: 'http://127.0.0.1:1'}",
            Provider.ANTHROPIC,
            "http://127.0.0.1:1",
        ),
        ("upstream: {provider: Any, url: 'http://up'}", Provider.ANY, "http://up"),
    ],
)
def test_what_is_not_said_follows_from_what_is(write, text, provider, url):
    upstream = load(write(text + "\n"), {}).settings.upstream
    assert (upstream.provider, upstream.url) == (provider, url)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limits: {maxDurationSeconds: 1921}", ["a drain may have to cut the longest requests"]),
        ("limits: {maxDurationSeconds: 1920}", []),
        ("limits: {queueTimeoutSeconds: 1800}", ["a request may spend all its life in the queue"]),
        ("limits: {writeStallSeconds: 15}", ["limits.writeStallSeconds (15): no heartbeat comes before that limit"]),
        ("limits: {writeStallSeconds: 16, maxDurationSeconds: 1799}", []),
    ],
)
def test_what_is_probably_not_meant_is_warned_about(write, text, words):
    warnings = load(write(text + "\n"), {}).warnings
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_the_hash_is_of_what_the_file_says_however_it_is_written(write, tmp_path):
    plain = load(write("limits: {maxQueued: 7, maxConcurrent: 2}\n"), {})
    other = load(
        write("# same\nlimits:\n  maxConcurrent: 2\n  maxQueued: 0x7\n"), {"LASTCALL_LISTEN__TRAFFIC": "127.0.0.1:9"}
    )
    assert plain.hash.startswith("sha256:")
    assert len(plain.hash) == len("sha256:") + 64
    assert plain.hash == other.hash
    assert plain.hash != load(write("limits: {maxQueued: 8, maxConcurrent: 2}\n"), {}).hash


def test_whoever_writes_the_file_can_compute_its_hash(write):
    says = '{"generation":0,"limits":{"maxQueued":7}}'
    written = load(write("generation: 4\nlimits: {maxQueued: 7}\n"), {})
    assert written.hash == "sha256:" + hashlib.sha256(says.encode()).hexdigest()
    nothing = "sha256:" + hashlib.sha256(b'{"generation":0}').hexdigest()
    assert load(write("# nothing\n"), {}).hash == nothing


def test_without_a_file_the_hash_is_of_sorted_compact_json_of_all_settings():
    settings = load(None, {}).settings
    canonical = json.dumps(msgspec.to_builtins(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert load(None, {}).hash == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def test_the_hash_tells_neither_secrets_nor_the_generation(write):
    text = "limits: {maxQueued: 7}\n"
    plain = load(write(text), {})
    assert load(write(f"generation: 4\n{text}"), {"LASTCALL_UPSTREAM__API_KEY": "sk-1"}).hash == plain.hash


@pytest.mark.parametrize(("text", "generation"), [("generation: 4\n", 4), ("generation: 0\n", None), ("", None)])
def test_the_generation_is_what_the_writer_counted(write, text, generation):
    assert load(write(text), {}).generation == generation


def test_the_control_socket_is_found_without_reading_anything_else(write, tmp_path):
    file = write("admin: {controlSocket: /run/other.sock}\nlimits: {maxQueued: nonsense}\nmode: x\n")
    assert control_socket_candidates({}, file) == ("/run/other.sock",)
    assert control_socket_candidates({"LASTCALL_ADMIN__CONTROL_SOCKET": "/run/env.sock"}, file) == ("/run/env.sock",)


@pytest.mark.parametrize("text", ["", "admin: 5\n", "admin: {controlSocket: 5}\n", "- a\n", "a: [\n"])
def test_a_configuration_that_names_no_control_socket_means_the_default(write, text):
    assert control_socket_candidates({}, write(text)) == ("/run/lastcall/control.sock",)


def test_without_a_configuration_the_pods_and_the_users_control_socket_are_tried(tmp_path):
    environ = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert control_socket_candidates(environ) == ("/run/lastcall/control.sock", "/run/user/7/lastcall/control.sock")
    assert control_socket_candidates(environ, tmp_path / "gone") == ("/run/lastcall/control.sock",)
