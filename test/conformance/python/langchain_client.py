"""LangChain's OpenAI models for Python."""
import asyncio
import json

import openai
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI

from kit import (KEY, LAMP_TOOL, LIMITED_URL, MODEL, QUESTION, REPORT_SCHEMA, URL, WEATHER_QUESTION, WEATHER_RESULT, WEATHER_TOOL, Report, at_once, check,
                 check_lamp, equal, fails, long_question, matches, noticed, play)


def model(**extra):
    return ChatOpenAI(**{"model": MODEL, "base_url": URL, "api_key": KEY, "temperature": 0, "max_retries": 0, "stream_usage": True, **extra})


def read(stream) -> AIMessageChunk:
    """Reads a stream to its end, as one message."""
    whole = None
    for chunk in stream:
        whole = chunk if whole is None else whole + chunk
    return whole


def check_usage(usage):
    check(usage["input_tokens"] > 0 and usage["output_tokens"] > 0, f"usage {usage}")
    equal(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"], "total_tokens")
    check(usage["output_token_details"]["reasoning"] > 0, "reasoning tokens")


def chat():
    m = model().invoke(QUESTION)
    matches(m.content, "Paris")
    equal((m.response_metadata["finish_reason"], m.response_metadata["model_name"]), ("stop", MODEL))
    check_usage(m.usage_metadata)


def stream():
    whole, streamed = model().invoke(QUESTION), read(model().stream(QUESTION))
    equal(streamed.content, whole.content)
    equal(streamed.response_metadata["finish_reason"], "stop")
    equal(streamed.usage_metadata["total_tokens"], whole.usage_metadata["total_tokens"], "usage")


def roles():
    matches(model().invoke([SystemMessage("Answer shortly."), HumanMessage([{"type": "text", "text": QUESTION}], name="alice")]).content, "Paris")
    matches(model().invoke([{"role": "developer", "content": "Answer shortly."}, HumanMessage(QUESTION)]).content, "Paris")


def reasoning():
    counts = [model(reasoning_effort=e).invoke(QUESTION).usage_metadata["output_token_details"]["reasoning"] for e in ("low", "high")]
    check(0 < counts[0] < counts[1], f"reasoning tokens of low and high: {counts}")


def turns():
    first = model().invoke(QUESTION)
    matches(model().invoke([HumanMessage(QUESTION), first, HumanMessage("And of Japan?")]).content, "Tokyo")


def stop():
    whole = model().invoke(QUESTION).content
    word = whole.split(" ")[2]
    want = whole[: whole.index(word)]
    equal(model().invoke(QUESTION, stop=[word]).content, want)
    equal(read(model().stream(QUESTION, stop=[word])).content, want, "streamed")


def length():
    m = model(max_tokens=5).invoke(QUESTION)
    equal((m.response_metadata["finish_reason"], m.usage_metadata["output_tokens"]), ("length", 5))


def seed():
    warm = model(temperature=1, top_p=1, seed=7)
    first = warm.invoke("Explain gravity in one sentence.").content
    equal(warm.invoke("Explain gravity in one sentence.").content, first)
    equal(read(warm.stream("Explain gravity in one sentence.")).content, first, "streamed")


def logprobs():
    m = model(logprobs=True, top_logprobs=2).invoke(QUESTION)
    tokens = m.response_metadata["logprobs"]["content"]
    equal("".join(t["token"] for t in tokens), m.content)
    equal(len(tokens[0]["top_logprobs"]), 2, "alternatives:")


def choices():
    texts = [g.text for g in model(n=2, temperature=1).generate([[HumanMessage(QUESTION)]]).generations[0]]
    check(len(texts) == 2 and all(texts), f"answers {texts}")


def tools():
    m, ask = model().bind_tools([WEATHER_TOOL]), HumanMessage(WEATHER_QUESTION)
    called = m.invoke([ask])
    equal(([(c["name"], c["args"]) for c in called.tool_calls], called.invalid_tool_calls), ([("get_weather", {"location": "Paris"})], []))
    equal(called.response_metadata["finish_reason"], "tool_calls")
    matches(m.invoke([ask, called, ToolMessage(WEATHER_RESULT, tool_call_id=called.tool_calls[0]["id"])]).content, "18")


def tools_stream():
    m, ask = model().bind_tools([WEATHER_TOOL]), HumanMessage(WEATHER_QUESTION)
    called = read(m.stream([ask]))
    equal([(c["name"], c["args"]) for c in called.tool_calls], [("get_weather", {"location": "Paris"})])
    matches(read(m.stream([ask, called, ToolMessage(WEATHER_RESULT, tool_call_id=called.tool_calls[0]["id"])])).content, "18")


def tool_required():
    called = model().bind_tools([WEATHER_TOOL, LAMP_TOOL], tool_choice="required").invoke("Hello")
    equal(called.invalid_tool_calls, [])
    call = called.tool_calls[0]
    if call["name"] == "set_lamp":
        check_lamp(call["args"])
    else:
        check(isinstance(call["args"]["location"], str), f"arguments {call['args']}")


def tool_named():
    called = model().bind_tools([WEATHER_TOOL, LAMP_TOOL], tool_choice="set_lamp").invoke(WEATHER_QUESTION)
    equal(called.tool_calls[0]["name"], "set_lamp")
    check_lamp(called.tool_calls[0]["args"])


def tool_none():
    m = model().bind_tools([WEATHER_TOOL], tool_choice="none").invoke(WEATHER_QUESTION)
    equal(m.tool_calls, [])


def tool_strict():
    check_lamp(model(temperature=1, seed=5).bind_tools([LAMP_TOOL], strict=True, tool_choice="set_lamp").invoke("Hello").tool_calls[0]["args"])


def json_object():
    try:
        m = model(max_tokens=400).bind(response_format={"type": "json_object"}).invoke([SystemMessage("Answer in JSON."), HumanMessage(QUESTION)])
        check(isinstance(json.loads(m.content), dict), f"content {m.content!r}")
    except openai.LengthFinishReasonError as e:  # a model that was not made for it may fill an object without end
        matches(e.completion.choices[0].message.content, r"^\s*\{")


def json_parse():
    for method in ("json_schema", "function_calling"):
        got = model().with_structured_output(Report, method=method, strict=True).invoke(QUESTION)
        check(isinstance(got, Report), f"{method}: got {got!r}")
    Report.model_validate(model().with_structured_output({"title": "report", **REPORT_SCHEMA}, method="json_schema", strict=True).invoke(QUESTION))


def error_key():
    err = fails(openai.AuthenticationError, lambda: model(api_key="sk-wrong-0123456789").invoke(QUESTION))
    check("sk-wrong-0123456789" not in str(err), "the message repeats the key")


def error_model():
    equal(fails(openai.NotFoundError, lambda: model(model="no-such-model").invoke(QUESTION)).code, "model_not_found")


def error_param():
    equal(fails(openai.BadRequestError, lambda: model(temperature=3).invoke(QUESTION)).param, "temperature")


def error_limit():
    def burst(retries):
        limited = model(base_url=LIMITED_URL, max_retries=retries)
        return at_once(6, lambda: limited.invoke(long_question(100)))

    refused = burst(0)
    check(refused, "six at once fit into a server for two")
    check(all(isinstance(err, openai.RateLimitError) for err in refused), f"got {refused!r}")
    equal(burst(10), [], "with retries")


def cancel():
    async def leave():
        async for _ in model().astream(long_question()):
            break

    noticed(lambda: asyncio.run(leave()))


def timeout():
    noticed(lambda: fails(openai.APITimeoutError, lambda: model(timeout=0.2).invoke(long_question())))


def responses_chat():
    m = model(use_responses_api=True)
    ask = [SystemMessage("Answer shortly."), HumanMessage(QUESTION)]
    whole, streamed = m.invoke(ask), read(m.stream(ask))
    matches(whole.text, "Paris")
    equal(streamed.text, whole.text, "streamed")
    check_usage(whole.usage_metadata)
    called = m.bind_tools([WEATHER_TOOL]).invoke(WEATHER_QUESTION)
    equal(called.tool_calls[0]["args"], {"location": "Paris"})
    told = ToolMessage(WEATHER_RESULT, tool_call_id=called.tool_calls[0]["id"])
    matches(m.bind_tools([WEATHER_TOOL]).invoke([HumanMessage(WEATHER_QUESTION), called, told]).text, "18")


play({
    "chat": chat, "stream": stream, "roles": roles, "reasoning": reasoning, "turns": turns, "stop": stop, "length": length, "seed": seed, "logprobs": logprobs,
    "choices": choices, "tools": tools, "tools-stream": tools_stream, "tool-required": tool_required, "tool-named": tool_named, "tool-none": tool_none,
    "tool-strict": tool_strict, "json-object": json_object, "json-parse": json_parse, "error-key": error_key, "error-model": error_model,
    "error-param": error_param, "error-limit": error_limit, "cancel": cancel, "timeout": timeout, "responses-chat": responses_chat,
})
