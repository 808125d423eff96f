import json

import openai

from kit import LAMP_FUNCTION, LAMP_TOOL, WEATHER_FUNCTION, WEATHER_QUESTION, WEATHER_RESULT, WEATHER_TOOL, check, check_lamp, equal, matches, user
from openai_chat import ASK, client, complete

WITH_WEATHER = {"messages": [user(WEATHER_QUESTION)], "tools": [WEATHER_TOOL], "tool_choice": "auto"}
NAMED = {"type": "function", "function": {"name": "set_lamp"}}


def check_call(call):
    matches(call.id, r"^call_\w+$", "id of the call")
    equal((call.type, call.function.name, json.loads(call.function.arguments)), ("function", "get_weather", {"location": "Paris"}))


def go_on(message):
    told = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": WEATHER_RESULT}
    matches(complete(**{**WITH_WEATHER, "messages": [*WITH_WEATHER["messages"], message, told]}).choices[0].message.content, "18")


def tools():
    choice = complete(**WITH_WEATHER).choices[0]
    equal((choice.finish_reason, choice.message.content, len(choice.message.tool_calls)), ("tool_calls", None, 1))
    check_call(choice.message.tool_calls[0])
    go_on(choice.message)


def tools_stream():
    with client.chat.completions.stream(**{**ASK, **WITH_WEATHER, "tool_choice": openai.omit, "tools": [WEATHER_TOOL]}) as stream:
        pieces = [e for e in stream if e.type == "tool_calls.function.arguments.delta"]
        message = stream.get_final_completion().choices[0].message
    check(len(pieces) > 1, "the call came in one piece")
    check_call(message.tool_calls[0])
    go_on(message)


def tool_required():
    choice = complete(messages=[user("Hello")], tools=[WEATHER_TOOL, LAMP_TOOL], tool_choice="required").choices[0]
    equal(choice.finish_reason, "tool_calls")
    call = choice.message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    if call.function.name == "set_lamp":
        check_lamp(arguments)
    else:
        equal((call.function.name, type(arguments["location"])), ("get_weather", str))


def tool_named():
    calls = complete(**{**WITH_WEATHER, "tools": [WEATHER_TOOL, LAMP_TOOL], "tool_choice": NAMED}).choices[0].message.tool_calls
    equal([c.function.name for c in calls], ["set_lamp"])
    check_lamp(json.loads(calls[0].function.arguments))


def tool_none():
    choice = complete(**{**WITH_WEATHER, "tool_choice": "none"}).choices[0]
    equal((choice.message.tool_calls, choice.finish_reason), (None, "stop"))
    matches(choice.message.content, r"\w")


def tool_strict():
    strict = [{"type": "function", "function": {**f, "strict": True}} for f in (LAMP_FUNCTION, WEATHER_FUNCTION)]
    check_call(complete(messages=[user(WEATHER_QUESTION)], tools=strict).choices[0].message.tool_calls[0])
    forced = complete(messages=[user("Hello")], tools=strict, tool_choice=NAMED, temperature=1, seed=5).choices[0].message.tool_calls[0]
    check_lamp(json.loads(forced.function.arguments))


SCENARIOS = {
    "tools": tools, "tools-stream": tools_stream, "tool-required": tool_required, "tool-named": tool_named, "tool-none": tool_none, "tool-strict": tool_strict,
}
