import asyncio

import openai

from kit import KEY, LIMITED_URL, URL, at_once, check, equal, fails, long_question, matches, noticed, user
from openai_chat import ASK, client, complete


def error_key():
    wrong = "sk-wrong-0123456789"
    other = openai.OpenAI(base_url=URL, api_key=wrong, max_retries=0)
    for stream in (False, True):
        err = fails(openai.AuthenticationError, lambda: other.chat.completions.create(**ASK, stream=stream))
        equal((err.status_code, err.code), (401, "invalid_api_key"))
        check(wrong not in str(err), "the message repeats the key")


def error_model():
    equal(fails(openai.NotFoundError, lambda: complete(model="no-such-model")).code, "model_not_found")


def error_param():
    for param, extra in (
        ("temperature", {"temperature": 3}), ("top_p", {"top_p": "x"}), ("messages", {"messages": []}), ("stop", {"stop": ["a", "b", "c", "d", "e"]}),
        ("messages[0].role", {"messages": [{"role": "root", "content": "x"}]}), ("reasoning_effort", {"reasoning_effort": "insane"}),
        ("messages[0].content", {"messages": [{"role": "user"}]}), ("n", {"n": 0}),
    ):
        err = fails(openai.BadRequestError, lambda: complete(**extra))
        equal((err.type, err.param, type(err.code)), ("invalid_request_error", param, str))
    equal(fails(openai.BadRequestError, lambda: complete(messages=[user(long_question(20_000))])).code, "context_length_exceeded")


def error_limit():
    def burst(retries):
        limited = openai.OpenAI(base_url=LIMITED_URL, api_key=KEY, max_retries=retries)
        return at_once(6, lambda: limited.chat.completions.create(**{**ASK, "messages": [user(long_question(100))]}))

    refused = burst(0)
    check(refused, "six at once fit into a server for two")
    for err in refused:
        check(isinstance(err, openai.RateLimitError), f"got {err!r}")
        matches(err.response.headers.get("retry-after"), r"^[1-9]\d*$", "Retry-After")
    equal(burst(10), [], "with retries")


def cancel():
    def leave():
        with complete(stream=True, messages=[user(long_question())]) as stream:
            next(iter(stream))

    noticed(leave)

    async def cancelled():
        async with openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0) as c:
            task = asyncio.create_task(c.chat.completions.create(**{**ASK, "messages": [user(long_question())]}))
            await asyncio.sleep(0.2)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return
            raise AssertionError("the task was not cancelled")

    noticed(lambda: asyncio.run(cancelled()))


def timeout():
    noticed(lambda: fails(openai.APITimeoutError, lambda: client.with_options(timeout=0.2).chat.completions.create(**{**ASK, "messages": [user(long_question())]})))


SCENARIOS = {"error-key": error_key, "error-model": error_model, "error-param": error_param, "error-limit": error_limit, "cancel": cancel, "timeout": timeout}
