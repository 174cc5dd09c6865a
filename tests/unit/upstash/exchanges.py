"""
The wire of Upstash's REST protocol: requests and the answers to them, each with its source.

``docs`` is the page of the REST API, other pages of the documents are named; ``sdk`` is a test or
the code of @upstash/redis or upstash-redis; ``observed`` is an error of Upstash's servers in public
reports; ``redis`` is what Redis answers; ``choice`` is ours, where no source says anything.
"""

from typing import Any, Final, NamedTuple

import orjson

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
BASE64: Final = {"Upstash-Encoding": "base64"}
RESP2: Final = {"Upstash-Response-Format": "resp2"}

STANDARD: Final = "Bearer standard-token"
READ_ONLY: Final = "Bearer read-only-token"

EVENTS: Final = {"Accept": "text/event-stream"}

FLAGGED: Final = "#!lua flags=allow-key-locking\nreturn redis.call('INCR', KEYS[1])"
FLAGGED_SHA: Final = "5c6e36d70d4ec2144321a8f9c663f6c612440510"


class Exchange(NamedTuple):
    """A request and its answer."""

    source: str
    target: str
    body: bytes | None
    """None is GET without a body; otherwise POST."""
    status: int
    answer: bytes
    given: tuple[tuple[Any, ...], ...] = ()
    """Commands that were run before, on an empty database."""
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)
    authorization: str = STANDARD
    method: str | None = None
    content_type: str = JSON


def result(value: object) -> bytes:
    """The answer to a command that succeeded."""
    return orjson.dumps({"result": value})


def error(text: str) -> bytes:
    """The answer to a command that failed."""
    return orjson.dumps({"error": text})


def results(*values: object) -> bytes:
    """The answer to a pipeline; an `Exception` is an error."""
    return orjson.dumps(
        [
            {"error": str(value)} if isinstance(value, Exception) else {"result": value}
            for value in values
        ]
    )


def body(*words: object) -> bytes:
    """A command, or an array of commands, as the body of a request."""
    return orjson.dumps(words)


def not_in_rest(name: str) -> str:
    return f'ERR Command "{name}" is not allowed in REST or it has a special context path'


def not_available(name: str) -> str:
    page = "https://upstash.com/docs/redis/overall/rediscompatibility"
    return f"ERR Command is not available: '{name}'. See {page} for details"


def no_permission(name: str) -> str:
    return f"NOPERM this user has no permissions to run the '{name}' command or its subcommand"


WRONG_TOKEN: Final = error("WRONGPASS invalid or missing auth token")
WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_AN_INT: Final = "ERR value is not an int or out of range"
DISCARDED: Final = error("EXECABORT Transaction discarded because of previous errors.")

FOO: Final = (("SET", "foo", "bar"),)
TWO: Final = (("MSET", "foo1", "a", "foo2", "b"),)
DOCS_BATCH: Final = body(
    ["SET", "key1", "valuex"],
    ["SETEX", "key2", 13, "valuez"],
    ["INCR", "key1"],
    ["ZADD", "myset", 11, "item1", 22, "item2"],
)
DOCS_RESULTS: Final = results("OK", "OK", ValueError(NOT_AN_INT), 2)

# fmt: off
EXCHANGES: Final[dict[str, Exchange]] = {
    # --- the path form ---------------------------------------------------------------------------
    "path-set":            Exchange("docs", "/set/foo/bar", None, 200, result("OK")),
    "path-set-post":       Exchange("docs", "/set/foo/bar", b"", 200, result("OK")),
    "path-set-put":        Exchange("docs", "/set/foo/bar", b"", 200, result("OK"), method="PUT"),
    "path-set-ex":         Exchange("docs", "/set/foo/bar/EX/100", None, 200, result("OK")),
    "path-get":            Exchange("docs", "/get/foo", None, 200, result("bar"), FOO),
    "path-upper-case":     Exchange("docs", "/GET/foo", None, 200, result("bar"), FOO),
    "path-absent":         Exchange("docs", "/get/foo", None, 200, result(None)),
    "path-mget":           Exchange("docs", "/mget/foo1/foo2/foo3", None, 200, result(["a", "b", None]), TWO),
    "path-hget":           Exchange("docs", "/hget/employee:23381/salary", None, 200, result("9"), (("HSET", "employee:23381", "salary", 9),)),
    "path-zadd":           Exchange("docs", "/zadd/teams/100/team-x/90/team-y", None, 200, result(2)),
    "path-info":           Exchange("docs", "/dbsize", b"", 200, result(1), FOO),
    "path-head":           Exchange("docs", "/get/foo", None, 200, b"", FOO, method="HEAD"),
    "path-escaped":        Exchange("redis", "/get/a%2Fb%20c", None, 200, result("1"), (("SET", "a/b c", "1"),)),
    "path-plus":           Exchange("choice", "/get/a+b", None, 200, result("1"), (("SET", "a+b", "1"),)),
    "path-empty-argument": Exchange("choice", "/set/foo/", None, 200, result("OK")),
    "path-body":           Exchange("docs", "/set/foo", b'{"a": 1}', 200, result("OK")),
    "path-body-binary":    Exchange("docs", "/set/foo?EX=100", b"\xff\x00", 200, result("OK")),
    "path-body-echo":      Exchange("docs", "/echo", b'{"a": 1}', 200, result('{"a": 1}')),
    "path-body-query":     Exchange("docs", "/set/foo?EX=100", b"v", 200, result("OK")),
    "path-query-flag":     Exchange("choice", "/set/foo/v?NX&EX=100", None, 200, result(None), FOO),
    "path-query-get":      Exchange("choice", "/set/foo/v?GET", None, 200, result("bar"), FOO),
    "path-not-numeric":    Exchange("redis", "/set/foo/v?EX=x", None, 400, error(NOT_AN_INT)),
    # --- a command in the body -------------------------------------------------------------------
    "body-set":            Exchange("docs", "/", b'["SET", "foo", "bar", "EX", 100]', 200, result("OK")),
    "body-get":            Exchange("docs", "/", b'["GET", "foo"]', 200, result("bar"), FOO),
    "body-lower-case":     Exchange("sdk pkg/commands", "/", b'["get", "foo"]', 200, result("bar"), FOO),
    "body-put":            Exchange("docs", "/", b'["GET", "foo"]', 200, result("bar"), FOO, method="PUT"),
    "body-number":         Exchange("sdk pkg/commands/set.test", "/", b'["ECHO", 1.50]', 200, result("1.50")),
    "body-big-number":     Exchange("choice", "/", b'["ECHO", 12345678901234567890123]', 200, result("12345678901234567890123")),
    "body-boolean":        Exchange("sdk pkg/commands/set.test", "/", b'["ECHO", true]', 200, result("true")),
    "body-unicode":        Exchange("docs", "/", '["ECHO", "é\\ud83d\\ude00"]'.encode(), 200, result("é😀")),
    "body-null":           Exchange("observed", "/", b'["SET", "a", null]', 400, error("ERR null args are not supported")),
    "body-object":         Exchange("observed", "/", b'["SET", "a", {}]', 400, error('ERR unsupported arg type: "{": json.Delim')),
    "body-array":          Exchange("observed", "/", b'["SET", "a", []]', 400, error('ERR unsupported arg type: "[": json.Delim')),
    "body-no-json":        Exchange("observed", "/", b"GET a", 400, error("ERR failed to parse command")),
    "body-no-array":       Exchange("observed", "/", b'{"a": 1}', 400, error("ERR failed to parse command")),
    "body-none":           Exchange("choice", "/", None, 400, error("ERR failed to parse command")),
    "body-empty":          Exchange("observed", "/", b"[]", 400, error("ERR empty command")),
    "body-no-name":        Exchange("observed", "/", b'[""]', 400, error(not_available(""))),
    # --- replies ---------------------------------------------------------------------------------
    "reply-integer":       Exchange("docs", "/incrby/n/137", None, 200, result(137)),
    "reply-negative":      Exchange("redis", "/decrby/n/137", None, 200, result(-137)),
    "reply-big-integer":   Exchange("redis", "/incr/n", None, 200, result(2**63 - 1), (("SET", "n", str(2**63 - 2)),)),
    "reply-overflow":      Exchange("redis", "/incr/n", None, 400, error("ERR increment or decrement would overflow"), (("SET", "n", str(2**63 - 1)),)),
    "reply-empty-string":  Exchange("redis", "/getrange/foo/5/9", None, 200, result(""), FOO),
    "reply-empty-array":   Exchange("redis", "/lrange/none/0/-1", None, 200, result([])),
    "reply-nested":        Exchange("redis", "/", body("EVAL", "return {1, 'a', false, {2, {}}}", 0), 200, result([1, "a", None, [2, []]])),
    "reply-hash":          Exchange("sdk pkg/commands/hgetall.test", "/hgetall/h", None, 200, result(["a", "1", "b", "2"]), (("HSET", "h", "a", 1, "b", 2),)),
    "reply-scan":          Exchange("sdk pkg/commands/scan.test", "/scan/0", None, 200, result(["0", ["foo"]]), FOO),
    "reply-score":         Exchange("redis", "/zscore/z/m", None, 200, result("1.5"), (("ZADD", "z", 1.5, "m"),)),
    "reply-status":        Exchange("redis", "/ping", None, 200, result("PONG")),
    "reply-not-utf-8":     Exchange("docs", "/getrange/a/0/0", None, 200, result("\ufffd"), (("BITOP", "NOT", "a", "b"), ("SETRANGE", "a", 0, "x"), ("BITOP", "NOT", "a", "a"))),
    # --- base64 ----------------------------------------------------------------------------------
    "base64-status":       Exchange("docs", "/SET/foo/bar", None, 200, result("OK"), headers=BASE64),
    "base64-string":       Exchange("docs", "/GET/foo", None, 200, result("YmFy"), FOO, headers=BASE64),
    "base64-stored-ok":    Exchange("docs", "/get/a", None, 200, result("T0s="), (("SET", "a", "OK"),), headers=BASE64),
    "base64-pong":         Exchange("docs", "/ping", None, 200, result("UE9ORw=="), headers=BASE64),
    "base64-integer":      Exchange("sdk pkg/http", "/incr/n", None, 200, result(1), headers=BASE64),
    "base64-null":         Exchange("sdk pkg/http", "/get/none", None, 200, result(None), headers=BASE64),
    "base64-array":        Exchange("sdk pkg/http", "/mget/foo1/none", None, 200, result(["YQ==", None]), TWO, headers=BASE64),
    "base64-binary":       Exchange("docs", "/getrange/a/0/0", None, 200, result("hw=="), (("SET", "a", "x"), ("BITOP", "NOT", "a", "a")), headers=BASE64),
    "base64-error":        Exchange("sdk pkg/http", "/lpush/foo/x", None, 400, error(WRONG_TYPE), FOO, headers=BASE64),
    "base64-pipeline":     Exchange("sdk pkg/http", "/pipeline", body(["GET", "foo"], ["SET", "a", "b"]), 200, results("YmFy", "OK"), FOO, headers=BASE64),
    "base64-transaction":  Exchange("sdk pkg/http", "/multi-exec", body(["GET", "foo"], ["SET", "a", "b"]), 200, results("YmFy", "OK"), FOO, headers=BASE64),
    # --- RESP2 -----------------------------------------------------------------------------------
    "resp2-status":        Exchange("docs", "/SET/foo/bar", None, 200, b"+OK\r\n", headers=RESP2, content_type=BINARY),
    "resp2-string":        Exchange("docs", "/GET/foo", None, 200, b"$3\r\nbar\r\n", FOO, headers=RESP2, content_type=BINARY),
    "resp2-null":          Exchange("redis", "/get/none", None, 200, b"$-1\r\n", headers=RESP2, content_type=BINARY),
    "resp2-binary":        Exchange("docs", "/get/a", None, 200, b"$1\r\n\x87\r\n", (("SET", "a", "x"), ("BITOP", "NOT", "a", "a")), headers=RESP2, content_type=BINARY),
    "resp2-array":         Exchange("redis", "/", body("MGET", "foo1", "none"), 200, b"*2\r\n$1\r\na\r\n$-1\r\n", TWO, headers=RESP2, content_type=BINARY),
    "resp2-error":         Exchange("choice", "/incr/foo", None, 400, b"-ERR value is not an int or out of range\r\n", FOO, headers=RESP2, content_type=BINARY),
    "resp2-pipeline":      Exchange("choice", "/pipeline", body(["GET", "foo"], ["INCR", "foo"]), 200, b"$3\r\nbar\r\n-ERR value is not an int or out of range\r\n", FOO, headers=RESP2, content_type=BINARY),
    "resp2-transaction":   Exchange("docs", "/multi-exec", body(["GET", "foo"]), 200, results("bar"), FOO, headers=RESP2),
    "resp2-base64":        Exchange("docs", "/get/foo", None, 400, error("ERR Invalid response format"), headers=RESP2 | BASE64),
    "format-json":         Exchange("docs", "/get/foo", None, 200, result("bar"), FOO, headers={"Upstash-Response-Format": "json"}),
    "format-other":        Exchange("docs", "/get/foo", None, 400, error("ERR Invalid response format"), headers={"Upstash-Response-Format": "resp3"}),
    # --- pipelines -------------------------------------------------------------------------------
    "pipeline":            Exchange("docs", "/pipeline", DOCS_BATCH, 200, DOCS_RESULTS),
    "pipeline-one":        Exchange("sdk pkg/pipeline.test", "/pipeline", body(["PING"]), 200, results("PONG")),
    "pipeline-error":      Exchange("sdk pkg/pipeline.test", "/pipeline", body(["SET", "key", "value"], ["HGET", "key", "field"]), 200, results("OK", ValueError(WRONG_TYPE))),
    "pipeline-unknown":    Exchange("docs", "/pipeline", body(["NOPE"], ["GET", "foo"]), 200, results(ValueError(not_available("NOPE")), "bar"), FOO),
    "pipeline-refused":    Exchange("docs", "/pipeline", body(["BLPOP", "a", 1], ["GET", "foo"]), 200, results(ValueError(not_in_rest("BLPOP")), "bar"), FOO),
    "pipeline-empty":      Exchange("sdk pkg/pipeline.test", "/pipeline", b"[]", 400, error("ERR empty pipeline request")),
    "pipeline-objects":    Exchange("observed", "/pipeline", b'[{"command": ["GET", "a"]}]', 400, error("ERR failed to parse pipeline command")),
    "pipeline-no-json":    Exchange("observed", "/pipeline", b"x", 400, error("ERR failed to parse pipeline request")),
    # --- transactions ----------------------------------------------------------------------------
    "transaction":         Exchange("docs", "/multi-exec", DOCS_BATCH, 200, DOCS_RESULTS),
    "transaction-sdk":     Exchange("sdk pkg/pipeline.test", "/multi-exec", body(["set", "k", "v"], ["get", "k"], ["del", "k"]), 200, results("OK", "v", 1)),
    "transaction-unknown": Exchange("docs", "/multi-exec", body(["SET", "foo", "2"], ["NOPE"]), 400, DISCARDED),
    "transaction-arity":   Exchange("docs", "/multi-exec", body(["SET", "foo", "2"], ["GET"]), 400, DISCARDED),
    "transaction-refused": Exchange("docs", "/multi-exec", body(["SET", "foo", "2"], ["WATCH", "a"]), 400, DISCARDED),
    "transaction-no-json": Exchange("docs", "/multi-exec", b"[", 400, error("ERR failed to parse multi-exec request")),
    # --- errors of commands ----------------------------------------------------------------------
    "error-arity":         Exchange("docs", "/get", None, 400, error("ERR wrong number of arguments for 'get' command")),
    "error-arity-sdk":     Exchange("sdk pkg/http.test", "/", b'["get","1","2"]', 400, error("ERR wrong number of arguments for 'get' command")),
    "error-unknown":       Exchange("observed", "/nope/a", None, 400, error(not_available("NOPE"))),
    "error-syntax":        Exchange("redis", "/set/a/b/XX/NX", None, 400, error("ERR syntax error")),
    "error-type":          Exchange("redis", "/hget/foo/x", None, 400, error(WRONG_TYPE), FOO),
    "error-admin":         Exchange("docs compatibility", "/config/get/dir", None, 400, error(not_available("CONFIG"))),
    "error-shutdown":      Exchange("docs compatibility", "/shutdown/nosave", None, 400, error(not_available("SHUTDOWN"))),
    "error-blocking":      Exchange("docs", "/brpop/a/1", None, 400, error(not_in_rest("BRPOP"))),
    "error-xread-block":   Exchange("docs", "/", body("XREAD", "BLOCK", 1, "STREAMS", "s", "$"), 400, error(not_in_rest("XREAD"))),
    "error-watch":         Exchange("docs", "/watch/a", None, 400, error(not_in_rest("WATCH"))),
    "error-select":        Exchange("docs", "/select/1", None, 400, error(not_in_rest("SELECT"))),
    "error-subscribe":     Exchange("docs", "/subscribe/chat", b"", 400, error(not_in_rest("SUBSCRIBE"))),
    "error-monitor":       Exchange("docs", "/monitor", b"", 400, error(not_in_rest("MONITOR"))),
    "client-setinfo":      Exchange("sdk pkg/commands/client_setinfo", "/client/setinfo/lib-name/x", None, 200, result("OK")),
    "publish":             Exchange("docs", "/publish/chat/hello", b"", 200, result(0)),
    # --- scripts ---------------------------------------------------------------------------------
    "eval":                Exchange("sdk pkg/commands/eval.test", "/", body("EVAL", "return ARGV[1]", 0, "Hello"), 200, result("Hello")),
    "eval-flagged":        Exchange("docs key-locking", "/", body("EVAL", FLAGGED, 1, "n"), 200, result(1)),
    "evalsha-absent":      Exchange("sdk ratelimit", "/", body("EVALSHA", "f" * 40, 0), 400, error("NOSCRIPT No matching script. Please use EVAL.")),
    "evalsha-flagged":     Exchange("sdk ratelimit", "/", body("EVALSHA", FLAGGED_SHA, 1, "n"), 200, result(2), (("EVAL", FLAGGED, 1, "n"),)),
    "script-load":         Exchange("sdk pkg/commands/script_load.test", "/", body("SCRIPT", "LOAD", "return 1"), 200, result("e0e1f9fabfc9d4800c877a703b823ac0578ff8db")),
    "script-load-flagged": Exchange("docs key-locking", "/", body("SCRIPT", "LOAD", FLAGGED), 200, result(FLAGGED_SHA)),
    "script-exists":       Exchange("sdk pkg/commands/script_exists.test", "/", body("SCRIPT", "EXISTS", FLAGGED_SHA, "0" * 40), 200, result([1, 0]), (("SCRIPT", "LOAD", FLAGGED),)),
    "script-no-config":    Exchange("choice", "/", body("EVAL", "return redis.pcall('CONFIG', 'GET', 'dir')", 0), 400, error("ERR This Valkey command is not allowed from script")),
    "function":            Exchange("docs key-locking", "/fcall/once/0", None, 200, result(1), (("FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nredis.register_function{function_name='once', callback=function() return 1 end, flags={'no-writes', 'allow-key-locking'}}"),)),
    # --- tokens ----------------------------------------------------------------------------------
    "token-query":         Exchange("docs", "/get/foo?_token=standard-token", None, 200, result("bar"), FOO, authorization=""),
    "token-query-post":    Exchange("docs", "/?_token=standard-token", b'["GET", "foo"]', 200, result("bar"), FOO, authorization=""),
    "token-none":          Exchange("docs", "/get/foo", None, 401, WRONG_TOKEN, authorization=""),
    "token-wrong":         Exchange("docs", "/get/foo", None, 401, WRONG_TOKEN, authorization="Bearer x"),
    "token-wrong-body":    Exchange("sdk pkg/http.test", "/pipeline", body(["PING"]), 401, WRONG_TOKEN, authorization=""),
    "token-basic":         Exchange("choice", "/get/foo", None, 401, WRONG_TOKEN, authorization="Basic standard-token"),
    "read-only-get":       Exchange("docs", "/get/foo", None, 200, result("bar"), FOO, authorization=READ_ONLY),
    "read-only-query":     Exchange("docs", "/get/foo?_token=read-only-token", None, 200, result("bar"), FOO, authorization=""),
    "read-only-ping":      Exchange("docs", "/ping", None, 200, result("PONG"), authorization=READ_ONLY),
    "read-only-set":       Exchange("observed", "/set/foo/x", None, 400, error(no_permission("set")), authorization=READ_ONLY),
    "read-only-evalsha":   Exchange("observed", "/", body("EVALSHA", "f" * 40, 0), 400, error(no_permission("evalsha")), authorization=READ_ONLY),
    "read-only-keys":      Exchange("docs", "/keys/*", None, 400, error(no_permission("keys")), authorization=READ_ONLY),
    "read-only-scan":      Exchange("docs", "/scan/0", None, 400, error(no_permission("scan")), authorization=READ_ONLY),
    "read-only-publish":   Exchange("docs", "/publish/chat/x", b"", 400, error(no_permission("publish")), authorization=READ_ONLY),
    "read-only-subscribe": Exchange("choice", "/subscribe/chat", b"", 400, error(no_permission("subscribe")), headers=EVENTS, authorization=READ_ONLY),
    "read-only-monitor":   Exchange("choice", "/monitor", b"", 400, error(no_permission("monitor")), headers=EVENTS, authorization=READ_ONLY),
    "read-only-pipeline":  Exchange("docs", "/pipeline", body(["GET", "foo"], ["DEL", "foo"]), 200, results("bar", ValueError(no_permission("del"))), FOO, authorization=READ_ONLY),
    "read-only-multi":     Exchange("docs", "/multi-exec", body(["GET", "foo"], ["DEL", "foo"]), 400, DISCARDED, FOO, authorization=READ_ONLY),
    "read-only-multi-get": Exchange("docs", "/multi-exec", body(["GET", "foo"]), 200, results("bar"), FOO, authorization=READ_ONLY),
    # --- methods and hosts -----------------------------------------------------------------------
    "method-delete":       Exchange("docs", "/get/foo", None, 405, error("ERR method is not allowed"), method="DELETE"),
    "method-patch":        Exchange("docs", "/", b'["PING"]', 405, error("ERR method is not allowed"), method="PATCH"),
    "method-head-stream":  Exchange("choice", "/subscribe/chat", None, 405, b"", headers=EVENTS, method="HEAD"),
    "host-foreign":        Exchange("choice", "/get/foo", None, 403, error("ERR Host is neither localhost nor an address"), headers={"Host": "evil.example"}),
    "host-localhost":      Exchange("choice", "/get/foo", None, 200, result("bar"), FOO, headers={"Host": "LocalHost:8079"}),
}
# fmt: on
