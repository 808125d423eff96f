"""The Responses API. Shapes and order of events are those of OpenAI's reference."""
import json

import openai

from kit import MODEL, QUESTION, REPORT_SCHEMA, WEATHER_FUNCTION, WEATHER_QUESTION, WEATHER_RESULT, Report, check, equal, fails, matches, user
from openai_chat import client

ASK = {"model": MODEL, "input": QUESTION, "temperature": 0}
WEATHER_TOOL = {"type": "function", **WEATHER_FUNCTION, "strict": None}


def respond(**extra):
    return client.responses.create(**{**ASK, **extra})


def check_usage(usage):
    check(usage.input_tokens > 0 and usage.output_tokens > 0, f"usage {usage}")
    equal(usage.total_tokens, usage.input_tokens + usage.output_tokens, "total_tokens")
    check(usage.input_tokens_details.cached_tokens >= 0 and usage.output_tokens_details.reasoning_tokens >= 0, "details of the usage")


def follow(stream):
    """Reads the events, which must be numbered."""
    events = list(stream)
    equal([e.sequence_number for e in events], list(range(len(events))), "sequence numbers")
    names = [e.type for e in events]
    equal(names[:2], ["response.created", "response.in_progress"])
    return events, names


def responses():
    r = respond(instructions="Answer shortly.", metadata={"a": "b"})
    matches(r.id, "^resp_", "id")
    equal((r.object, r.status, r.model, r.error, r.incomplete_details, r.instructions, r.metadata), ("response", "completed", MODEL, None, None, "Answer shortly.", {"a": "b"}))
    equal((r.tools, r.tool_choice, r.text.format.type, r.previous_response_id), ([], "auto", "text", None))
    matches(r.output_text, "Paris")
    equal([i.type for i in r.output], ["reasoning", "message"])
    equal((r.output[0].summary, r.output[0].content[0].type), ([], "reasoning_text"))
    equal((r.output[1].role, r.output[1].status, r.output[1].content[0].annotations), ("assistant", "completed", []))
    check_usage(r.usage)
    equal(client.responses.retrieve(r.id).output_text, r.output_text, "retrieved")
    client.responses.delete(r.id)
    fails(openai.NotFoundError, lambda: client.responses.retrieve(r.id))
    matches(respond(input=[user([{"type": "input_text", "text": QUESTION}])], reasoning={"effort": "low"}, store=False).output_text, "Paris")


def responses_stream():
    whole = respond()
    events, names = follow(respond(stream=True))
    equal(names[-1], "response.completed")
    final = events[-1].response
    equal(final.output_text, whole.output_text, "streamed")
    check_usage(final.usage)
    equal("".join(e.delta for e in events if e.type == "response.output_text.delta"), whole.output_text, "the deltas")
    spoken = [n for n in names[names.index("response.output_text.delta"):] if n != "response.output_text.delta"]
    equal(spoken, ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"])
    with client.responses.stream(**ASK) as stream:
        equal(stream.get_final_response().output_text, whole.output_text, "the helper")


def responses_tools():
    given = {"input": [user(WEATHER_QUESTION)], "tools": [WEATHER_TOOL]}
    r = respond(**given)
    calls = [i for i in r.output if i.type == "function_call"]
    equal(len(calls), 1, "calls:")
    call = calls[0]
    equal((call.name, json.loads(call.arguments), call.status), ("get_weather", {"location": "Paris"}, "completed"))
    result = {"type": "function_call_output", "call_id": call.call_id, "output": WEATHER_RESULT}
    matches(respond(**{**given, "input": [*given["input"], *r.output, result]}).output_text, "18")
    matches(respond(**{**given, "input": [result]}, previous_response_id=r.id).output_text, "18")
    events, names = follow(respond(**given, stream=True))
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    equal([e.arguments for e in done], [call.arguments], "streamed")


def responses_turns():
    first = respond()
    second = respond(input="And of Japan?", previous_response_id=first.id)
    equal(second.previous_response_id, first.id)
    matches(second.output_text, "Tokyo")
    err = fails(openai.APIStatusError, lambda: respond(previous_response_id="resp_none"))
    check(err.status_code in (400, 404), f"status {err.status_code}")
    equal((err.param, err.code), ("previous_response_id", "previous_response_not_found"))


def responses_json():
    r = respond(text={"format": {"type": "json_schema", "name": "report", "strict": True, "schema": REPORT_SCHEMA}})
    Report.model_validate_json(r.output_text, strict=True)
    check(isinstance(client.responses.parse(**ASK, text_format=Report).output_parsed, Report), "nothing parsed")


def responses_length():
    r = respond(max_output_tokens=16, reasoning={"effort": "high"})
    equal((r.status, r.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    events, names = follow(respond(max_output_tokens=16, reasoning={"effort": "high"}, stream=True))
    equal(names[-1], "response.incomplete")


SCENARIOS = {
    "responses": responses, "responses-stream": responses_stream, "responses-tools": responses_tools, "responses-turns": responses_turns,
    "responses-json": responses_json, "responses-length": responses_length,
}
