"""Tools that are offered to the demo model, questions that need them, and what it makes of their results."""
import json
import re
from dataclasses import dataclass

from world import *
from words import THINGS


@dataclass
class Tool:
    kind: str  # weather, calculator, search, other
    name: str
    description: str
    argument: str
    parameters: dict

    def schema(self):
        return {"type": "function", "function": {"name": self.name, "description": self.description, "parameters": self.parameters}}


NAMES_OF = {
    "weather": ["get_weather", "get_current_weather", "weather", "lookup_weather", "fetch_weather", "current_weather", "weather_at", "getWeather"],
    "calculator": ["calculator", "calculate", "calc", "evaluate", "compute", "math", "eval_expression"],
    "search": ["search", "web_search", "search_web", "find", "lookup", "search_documents", "websearch"],
    "other": ["send_email", "get_time", "get_stock_price", "create_ticket", "play_music", "set_alarm", "translate_text", "book_flight"],
}
DESCRIPTIONS = {
    "weather": ["Get the weather", "Get the current weather", "Gets the current weather in a city", "Returns the weather for a location", "Current weather of a place", "Get current weather for a location.", ""],
    "calculator": ["Evaluate an arithmetic expression", "Calculates the value of an expression", "A calculator", "Does arithmetic exactly.", "Evaluates math expressions", ""],
    "search": ["Search the web", "Searches for a query", "Find information on the internet", "Search documents for a text.", "Web search", ""],
    "other": ["Send an email to somebody", "Returns the time", "Returns the price of a stock", "Creates a ticket", "Plays a song", "Sets an alarm", "Translates a text", "Books a flight"],
}
ARGUMENTS = {
    "weather": ["location", "location", "city", "place", "location"],
    "calculator": ["expression", "expression", "expr", "input", "formula"],
    "search": ["query", "query", "q", "text", "term"],
    "other": ["to", "zone", "symbol", "title", "song", "time", "text", "destination"],
}
HINTS = {
    "weather": ["", "", "", "The city", "City name", "The city and state, e.g. San Francisco, CA", "The name of the place"],
    "calculator": ["", "", "The expression to evaluate", "For example 2 + 3"],
    "search": ["", "", "What to search for", "The search query"],
    "other": ["", "Text"],
}


STEMS = {"weather": ["weather", "city_weather", "weather_report", "forecast"], "calculator": ["math", "sum", "expression", "arithmetic"], "search": ["web", "documents", "search", "pages"]}
VERBS = {"weather": ["get", "fetch", "read", "show", "ask"], "calculator": ["do", "solve", "calculate", "eval", "run"], "search": ["search", "query", "find", "look_up", "scan"]}


def composed(rng, kind):
    """A name that a programmer could have chosen."""
    verb, stem = rng.choice(VERBS[kind]), rng.choice(STEMS[kind])
    name = f"{verb}_{stem}" if rng.random() < 0.6 else f"{stem}_{rng.choice(['tool', 'api', 'service', 'v2'])}"
    if rng.random() < 0.3:
        name = re.sub("_(.)", lambda m: m[1].upper(), name)
    return name


def make_tool(rng, kind, exercise=False):
    """With exercise, one in four has a name, and perhaps an argument, that no list holds: they must be read, not guessed."""
    i = rng.randrange(8)
    argument = ARGUMENTS[kind][i] if kind == "other" else rng.choice(ARGUMENTS[kind])
    name = NAMES_OF[kind][i] if kind == "other" else rng.choice(NAMES_OF[kind]) if rng.random() < 0.8 else composed(rng, kind)
    description = DESCRIPTIONS[kind][i] if kind == "other" else rng.choice(DESCRIPTIONS[kind])
    if exercise and kind != "other" and rng.random() < 0.25:
        name = invented(rng).lower() + rng.choice(["", "_" + invented(rng).lower(), "_" + rng.choice(STEMS[kind])])
        argument = argument if rng.random() < 0.5 else invented(rng).lower()
        description = description or DESCRIPTIONS[kind][0]
    prop = {"type": "string"}
    hint = rng.choice(HINTS[kind])
    if hint:
        prop["description"] = hint
    properties, required = {argument: prop}, [argument]
    if kind == "weather" and rng.random() < 0.5:
        unit = {"type": "string", "enum": ["celsius", "fahrenheit"]}
        if rng.random() < 0.2:
            unit["description"] = "The unit of temperature"
        properties["unit"] = unit
    parameters = {"type": "object", "properties": properties}
    if rng.random() < 0.85:
        parameters["required"] = required
    return Tool(kind, name, description, argument, parameters)


def offer(rng, exercise=False):
    """The tools of a conversation: none, one or several of different kinds."""
    r = rng.random()
    if r < 0.45:
        return []
    kinds = rng.sample(["weather", "calculator", "search"], rng.choice([1, 1, 2, 3] if r < 0.9 else [1, 0]))
    if r > 0.85:
        kinds.append("other")
    rng.shuffle(kinds)
    return [make_tool(rng, k, exercise) for k in kinds]


def arguments(tool, text, unit=""):
    made = {tool.argument: text}
    if unit:
        made["unit"] = unit
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False)


# --- weather -------------------------------------------------------------------------------------------------------

ASK_WEATHER = ("What is the weather in {}?|What's the weather in {}?|How is the weather in {}?|Weather in {}|What is the weather like in {}?|What's the weather like in {}?|"
               "Tell me the weather in {}|How warm is it in {}?|Is it raining in {}?|What is the temperature in {}?|Get the weather for {}|Do I need an umbrella in {}?|"
               "What's the current weather in {}?|What is the weather in {} today?|What's the weather like in {} today?|How cold is it in {}?|Check the weather in {}").split("|")
CONDITIONS = "sunny cloudy rainy snowy windy foggy clear stormy".split() + ["partly cloudy", "light rain"]


def place(rng, held_out):
    if held_out:
        return rng.choice(HELD_OUT_CITIES)
    r = rng.random()
    name = rng.choice(CITIES) if r < 0.4 else invented(rng)
    if r > 0.85:
        name += " " + invented(rng)
    elif r > 0.8:
        name += ", " + rng.choice(["CA", "NY", "TX", "MA", "France", "Germany", "Japan", "UK", "WA", "Spain"])
    return name


def weather(rng, tool, held_out=False):
    city = place(rng, held_out)
    text, unit = rng.choice(ASK_WEATHER).format(city), ""
    if tool and "unit" in tool.parameters["properties"] and rng.random() < 0.4:
        unit = rng.choice(["celsius", "fahrenheit"])
        word = unit if rng.random() < 0.7 else unit.capitalize()
        text = text[:-1] + f" in {word}?" if text.endswith("?") else text + f" in {word}"
    if rng.random() < 0.15 and text.endswith("?"):
        text = text[:-1]
    elif rng.random() < 0.08:
        text = rng.choice(OPENERS) + text
    elif rng.random() < 0.1 and text[-1] != "?":
        text += "."
    if not tool:
        return Turn("unknown", text, ("No weather tool.", f"The user asks about the weather in {city}. I have no tool for that.",
                    f"The user asks about the weather in {city}. It changes all the time. I have no tool for that. I say that I don't know."), NO_WEATHER)
    in_unit = f" in {unit}" if unit else ""
    thoughts = (f"Weather: call {tool.name}.", f"The user asks about the weather in {city}{in_unit}. I call {tool.name}.",
                f"The user asks about the weather in {city}{in_unit}. I cannot know it myself, but there is a tool for it. I call {tool.name}.")
    t = Turn("weather", text, thoughts, call=(tool.name, arguments(tool, city, unit)))
    degrees, condition = rng.randint(-9, 39), rng.choice(CONDITIONS)
    unit_word = unit or rng.choice(["", "celsius", "fahrenheit"])
    t.result, t.final = weather_result(rng, city, degrees, condition, unit_word)
    return t


def weather_result(rng, city, degrees, condition, unit):
    """A tool's result in one of the shapes that people write, and the answer that it leads to."""
    word = f" {unit}" if unit else ""
    if rng.random() < 0.35:
        text = rng.choice([f"{degrees} degrees{word}, {condition}", f"{condition}, {degrees} degrees{word}", f"{condition} and {degrees} degrees{word}", f"{condition}", f"{degrees} degrees{word}",
                           f"{degrees}°C", f"{degrees}°C, {condition}", f"It is {condition}", f"{condition.capitalize()}, {degrees}°C"])
        return text, f"The weather in {city}: {text}."
    fields = [(rng.choice(["temperature", "temperature", "temp", "degrees"]), degrees if rng.random() < 0.8 else str(degrees)),
              (rng.choice(["condition", "conditions", "description", "weather", "sky", "forecast"]), condition)]
    if unit:
        fields.append(("unit", unit))
    if rng.random() < 0.3:
        fields.append(("location" if rng.random() < 0.6 else "city", city))
    rng.shuffle(fields)
    separators = (", ", ": ") if rng.random() < 0.5 else (",", ":")
    return json.dumps(dict(fields), separators=separators, ensure_ascii=False), f"The weather in {city}: {degrees} degrees{word}, {condition}."


def after_thoughts(kind, tool):
    what = {"weather": "the weather", "calculator": "the result", "search": "what was found"}[kind]
    return (f"Tool answered: tell {what}.", f"The tool has answered. I tell the user {what}.",
            f"The tool {tool.name} has answered. I read its result. Nothing else is needed. I tell the user {what}.")


# --- calculator ----------------------------------------------------------------------------------------------------

def number(rng):
    r = rng.random()
    if r < 0.2:
        return str(rng.randint(0, 12))
    if r < 0.5:
        return str(rng.randint(10, 99))
    return str(rng.randint(100, 9999))


def expression(rng, held_out):
    """An expression and how the user writes it."""
    while True:
        parts = [number(rng)]
        for _ in range(rng.choice([1, 1, 1, 1, 2])):
            parts += [rng.choice("+-*/"), number(rng)]
        if is_held_out("expr", *parts) == held_out:
            break
    made = " ".join(parts)
    r = rng.random()
    said = made
    if r < 0.55:
        said = " ".join(rng.choice(SIGNS[p][:1] if p in "+-" else [SIGNS[p][0], SIGNS[p][-1]]) if p in SIGNS else p for p in parts)
        said = said.replace("/", "divided by")
    elif r < 0.6:
        said = made.replace(" ", "")
    return made, said


def calculation(rng, tool, held_out=False):
    made, said = expression(rng, held_out)
    text = rng.choice(ASK_SUM).format(said)
    thoughts = (f"Calculate: call {tool.name}.", f"The user wants {made}. I call {tool.name}.",
                f"The user wants {made}. A tool calculates this exactly. I call {tool.name}.")
    t = Turn("calculator", phrase(rng, text), thoughts, call=(tool.name, arguments(tool, made)))
    n = str(rng.randint(-999, 9999999)) if rng.random() < 0.7 else f"{rng.randint(-99, 9999)}.{rng.randint(1, 999)}"
    t.result, t.final = n, f"{made} = {n}"
    if rng.random() < 0.4:
        t.result = rng.choice(['{"result": %s}', '{"result":%s}', '{"value": %s}', '{"result": "%s"}', '{"answer": %s}']) % n
    return t


# --- search --------------------------------------------------------------------------------------------------------

ASK_SEARCH = ("Search for {}|Search the web for {}|Find {}|Look up {}|Please search for {}|Can you search for {}?|Google {}|Find information about {}|Search {}|Do a search for {}|"
              "Look for {}|I am looking for {}").split("|")


def searching(rng, tool, held_out=False):
    if rng.random() < 0.55:
        wanted = search_phrase(rng, place(rng, held_out).split(",")[0]) if not held_out or rng.random() < 0.5 else thing(rng, True)
        text = rng.choice(ASK_SEARCH).format(wanted)
        if rng.random() < 0.2 and text[-1] != "?":
            text += "."
        why = "The user wants me to search."
    else:
        wanted = strange(rng, held_out)
        text, why = wanted, "The user asks something that I was not taught."
        if rng.random() < 0.1 and wanted.endswith("?"):
            wanted = text = wanted[:-1]
    thoughts = (f"Search: call {tool.name}.", f"{why} I call {tool.name}.", f"{why} I do not know it myself, but I can search. I call {tool.name} with the words of the user.")
    t = Turn("search", text, thoughts, call=(tool.name, arguments(tool, wanted)))
    found = rng.choice([f"{thing(rng)} is known for {rng.choice(THINGS)}", f"{invented(rng)} {invented(rng)}", f"{rng.choice(THINGS)}, {rng.choice(THINGS)} and {thing(rng)}",
                        f"It was {invented(rng)} in {rng.randint(1500, 2024)}", f"{rng.randint(1, 99999)}", f"No results"])
    t.result, t.final = found, f"I found this: {found}."
    if rng.random() < 0.5:
        t.result = json.dumps({rng.choice(["result", "results", "text", "answer", "snippet"]): [found] if rng.random() < 0.3 else found}, ensure_ascii=False)
    return t
