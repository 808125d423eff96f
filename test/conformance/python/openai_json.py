import json
from typing import Literal

import openai
from pydantic import BaseModel

from kit import QUESTION, REPORT_SCHEMA, WEATHER_QUESTION, Report, check, equal, fails, matches, user
from openai_chat import ASK, Streamed, client, complete

FORMAT = {"type": "json_schema", "json_schema": {"name": "report", "strict": True, "schema": REPORT_SCHEMA}}


class Weather(BaseModel):
    """Get the current weather in a city"""

    location: Literal["Paris", "London"]


def json_object():
    given = {"response_format": {"type": "json_object"}, "messages": [{"role": "system", "content": "Answer in JSON."}, user(QUESTION)], "max_completion_tokens": 400}
    choice = complete(**given).choices[0]
    # A model that was not made for it may fill an object without end; only then may it be cut.
    if choice.finish_reason == "length":
        matches(choice.message.content, r"^\s*\{")
    else:
        check(isinstance(json.loads(choice.message.content), dict), f"content {choice.message.content!r}")


def json_schema():
    for warm in ({}, {"temperature": 1, "seed": 1}, {"temperature": 1, "seed": 2}):
        choice = complete(**warm, response_format=FORMAT).choices[0]
        equal(choice.finish_reason, "stop")
        Report.model_validate_json(choice.message.content, strict=True)
        equal(Streamed(complete(**warm, response_format=FORMAT, stream=True)).content[0], choice.message.content, "streamed")
    for schema in ({**REPORT_SCHEMA, "not": {}}, {**REPORT_SCHEMA, "properties": {**REPORT_SCHEMA["properties"], "city": {"type": "wrong"}}}):
        bad = {"type": "json_schema", "json_schema": {"name": "bad", "strict": True, "schema": schema}}
        matches(fails(openai.BadRequestError, lambda: complete(response_format=bad)).param, "^response_format", "param")


def json_parse():
    check(isinstance(client.chat.completions.parse(**ASK, response_format=Report).choices[0].message.parsed, Report), "nothing parsed")
    called = client.chat.completions.parse(
        **{**ASK, "messages": [user(WEATHER_QUESTION)]}, tools=[openai.pydantic_function_tool(Weather, name="get_weather")], tool_choice="required"
    )
    check(isinstance(called.choices[0].message.tool_calls[0].function.parsed_arguments, Weather), "no arguments parsed")
    fails(openai.LengthFinishReasonError, lambda: client.chat.completions.parse(**ASK, max_completion_tokens=3, response_format=Report))


def json_stream():
    with client.chat.completions.stream(**ASK, response_format=Report) as stream:
        done = [e for e in stream if e.type == "content.done"]
        equal(len(done), 1, "events content.done:")
        check(isinstance(done[0].parsed, Report), "nothing parsed")
        equal(stream.get_final_completion().choices[0].message.parsed, done[0].parsed)


SCENARIOS = {"json-object": json_object, "json-schema": json_schema, "json-parse": json_parse, "json-stream": json_stream}
