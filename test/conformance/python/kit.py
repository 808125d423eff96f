"""What the clients for Python share: the questions, a few assertions, and the loop that plays scenarios and prints a JSON line for each."""
import itertools
import json
import os
import re
import sys
import threading
import time
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal, Optional

from pydantic import BaseModel, Field

URL = os.environ["CONFORMANCE_URL"]
LIMITED_URL = os.environ.get("CONFORMANCE_LIMITED_URL", "")
KEY = os.environ.get("CONFORMANCE_KEY") or "none"
MODEL = os.environ["CONFORMANCE_MODEL"]

QUESTION = "What is the capital of France?"
WEATHER_QUESTION = "What is the weather in Paris?"
WEATHER_RESULT = '{"temperature":18,"condition":"sunny"}'
WEATHER_FUNCTION = {
    "name": "get_weather",
    "description": "Get the current weather in a city",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"], "additionalProperties": False},
}
WEATHER_TOOL = {"type": "function", "function": WEATHER_FUNCTION}
# A function whose arguments are bounded, whatever a model fills them with.
LAMP_FUNCTION = {
    "name": "set_lamp",
    "description": "Switch a lamp",
    "parameters": {
        "type": "object",
        "properties": {
            "room": {"type": "string", "enum": ["kitchen", "hall"]},
            "on": {"type": "boolean"},
            "level": {"type": "integer", "minimum": 0, "maximum": 10},
        },
        "required": ["room", "on", "level"],
        "additionalProperties": False,
    },
}
LAMP_TOOL = {"type": "function", "function": LAMP_FUNCTION}


class Report(BaseModel):
    """A report. Every instance is short, so that no model can ramble in it."""

    city: Literal["Paris", "Berlin", "Tokyo"]
    size: Annotated[int, Field(ge=1, le=99)]
    capital: bool
    note: Optional[Annotated[str, Field(pattern="^[a-z]{1,8}$")]]
    tags: Annotated[list[Literal["big", "old", "new"]], Field(min_length=1, max_length=3)]


# Report in OpenAI's strict subset, written out.
REPORT_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Berlin", "Tokyo"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 99},
        "capital": {"type": "boolean"},
        "note": {"anyOf": [{"type": "string", "pattern": "^[a-z]{1,8}$"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["city", "size", "capital", "note", "tags"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string", "enum": ["big", "old", "new"]}},
}


def user(content):
    return {"role": "user", "content": content}


def equal(got, want, what=""):
    assert got == want, f"{what or 'got'} {got!r}, want {want!r}"


def check(truth, what):
    assert truth, what


def matches(text, pattern, what="text"):
    assert isinstance(text, str) and re.search(pattern, text), f"{what} is {text!r}, want {pattern}"


def check_lamp(arguments):
    equal(sorted(arguments), ["level", "on", "room"], "arguments")
    check(arguments["room"] in ("kitchen", "hall"), f"room {arguments['room']!r}")
    check(isinstance(arguments["on"], bool), f"on {arguments['on']!r}")
    check(type(arguments["level"]) is int and 0 <= arguments["level"] <= 10, f"level {arguments['level']!r}")


def fails(kind, call):
    """Runs call, which must raise an error of the kind, and returns it."""
    try:
        value = call()
    except Exception as err:
        assert isinstance(err, kind), f"{type(err).__name__}: {err}, want a {getattr(kind, '__name__', kind)}"
        return err
    raise AssertionError(f"no error, but {str(value)[:200]}")


_salt = itertools.count()


def long_question(repeats=600):
    """A prompt that takes a server a while and is in no cache."""
    return f"{os.getpid()}.{time.time_ns()}.{next(_salt)} " + f"{QUESTION} " * repeats


def at_once(count, call):
    """Calls at the same time and returns the errors."""

    def one(_):
        try:
            call()
        except Exception as err:
            return err
        return None

    with ThreadPoolExecutor(count) as pool:
        return [err for err in pool.map(one, range(count)) if err is not None]


def _get(path):
    request = urllib.request.Request(URL.removesuffix("/v1") + path, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def _state():
    """What the server tells about itself: active, cancelled and ended requests, or None where it is not a gptoss-server."""
    try:
        active = json.loads(_get("/v1/health"))["active_requests"]
        metrics = _get("/v1/metrics")
    except (OSError, ValueError, KeyError):
        return None
    counts = {status: int(n) for status, n in re.findall(r'^gpt_oss_request_count\{status="(\w+)"\} (\d+)', metrics, re.M)}
    return active, counts.get("cancelled", 0), sum(counts.values())


def noticed(leave):
    """Runs leave, which must leave a request in its middle, and waits until the server has noticed.

    On a slow machine the client may be gone before its request is on its way; then it leaves again.
    """
    for _ in range(5):
        before = _state()
        leave()
        if before is None:
            return
        begun = time.monotonic()
        while True:
            active, cancelled, ended = _state()
            if active <= before[0] and ended > before[2]:
                check(cancelled > before[1], "the server counts a request as ended, but not as cancelled")
                return
            if active <= before[0] and time.monotonic() > begun + 2:
                break
            check(time.monotonic() < begun + 10, f"10 s later the server still has {active} active requests")
            time.sleep(0.02)
    raise AssertionError("no request reached the server before its client left")


def _describe(err):
    here = os.path.abspath(__file__)
    own = [f for f in traceback.extract_tb(err.__traceback__) if os.path.dirname(f.filename) == os.path.dirname(here) and f.filename != here]
    place = f"{os.path.basename(own[0].filename)}:{own[0].lineno}: " if own else ""
    kind = "" if isinstance(err, AssertionError) else f"{type(err).__name__}: "
    return f"{place}{kind}{str(err)[:1500]}"


def play(scenarios):
    """Plays the scenarios that the arguments name, each for at most a minute."""
    for name in sys.argv[1:]:
        line = {"scenario": name, "ok": True}
        trouble = []

        def run():
            try:
                check(name in scenarios, "this client has no such scenario")
                scenarios[name]()
            except Exception as err:
                trouble.append(_describe(err))

        begun = time.monotonic()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(60)
        if thread.is_alive():
            trouble.append("it did not end within 60 s")
        if trouble:
            line.update(ok=False, error=trouble[0])
        line["seconds"] = time.monotonic() - begun
        print(json.dumps(line), flush=True)
    os._exit(0)  # what a failed scenario left open must not keep the process
