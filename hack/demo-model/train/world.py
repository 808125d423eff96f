"""The small world of the demo model: every kind of question it can be asked, with the reasoning and the answer.

A turn is a Turn: what the user says, what the model thinks at each effort, and either what it says or which tool it calls.
Everything is drawn from a random.Random; with held_out=True the draw comes from the part of the world that training never sees.
"""
from dataclasses import dataclass, field

from facts import *
from words import ASKING, PLAIN, invented, search_phrase, thing

UNKNOWN = "I don't know. I am a small demo model, and this is outside my world."
NO_WEATHER = "I don't know. I have no tool for the weather."
TOO_LARGE = "I don't know. Without a calculator I only work with small numbers."


@dataclass
class Turn:
    kind: str
    user: str
    thoughts: tuple  # analysis at low, medium and high
    final: str = ""
    call: tuple = ()  # (tool's name, arguments as JSON text)
    result: str = ""  # what the tool answers, where the turn goes on after a call
    topic: dict = field(default_factory=dict)  # what a follow-up question needs


def is_held_out(*parts):
    """One pair of operands in eight is kept for the evaluation: a fixed hash, so that both sides agree."""
    h = 2166136261
    for c in "|".join(map(str, parts)).encode():
        h = (h ^ c) * 16777619 % 2**32
    return h % 8 == 0


# --- wording -------------------------------------------------------------------------------------------------------

OPENERS = ["Please ", "Can you tell me: ", "Hi, ", "Hello! ", "Quick question: ", "Tell me, ", "Hey, ", "I have a question. ", "Could you help me? ", "So, "]
CLOSERS = [" please", ", please", " Thanks!", " Thank you.", " Be brief."]


def phrase(rng, text):
    """Varies case, punctuation and politeness, as people do; leaves the words that carry the meaning."""
    r = rng.random()
    if r < 0.10:
        text = text.lower()
    if text.endswith("?") and rng.random() < 0.12:
        text = text[:-1]
    elif not text.endswith(("?", "!", ".")) and rng.random() < 0.35:
        text += rng.choice(".!?." if len(text) < 14 else ".")
    r = rng.random()
    if r < 0.08:
        opener = rng.choice(OPENERS)
        text = opener + (text[0].lower() + text[1:] if opener.endswith((" ", ": ")) and text[:2] != "I " and rng.random() < 0.6 else text)
    elif r < 0.13 and text[-1] != ".":
        text += rng.choice(CLOSERS)
    elif r < 0.15:
        text = text + " "
    return text


# --- arithmetic ----------------------------------------------------------------------------------------------------

SIGNS = {"+": ["plus", "+", "and", "added to"], "-": ["minus", "-"], "*": ["times", "*", "x", "multiplied by"], "/": ["divided by", "/"]}
ASK_SUM = ["What is {}?", "What's {}?", "{}", "{} = ?", "Calculate {}", "Compute {}", "How much is {}?", "What does {} give?", "{}=", "Can you calculate {}?", "Solve {}", "What is the result of {}?"]


def written(rng, a, sign, b):
    word = rng.choice(SIGNS[sign])
    if word in ("and", "added to"):
        word = "plus"
    if word in "+-*/x" and rng.random() < 0.4 and word != "x":
        return f"{a}{word}{b}"
    return f"{a} {word} {b}"


def value(a, sign, b):
    return {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[sign]


def steps(a, sign, b):
    """The way to the result, digit by digit, as short text."""
    n = value(a, sign, b)
    if sign in "*/" or max(a, b) < 10 and n >= 0:
        return f"{a}{sign}{b}={n}"
    if sign == "-" and a < b:
        return f"{b} is larger, {b}-{a}={-n}, so {n}"
    (at, ao), (bt, bo) = divmod(a, 10), divmod(b, 10)
    if sign == "+":
        carry = "+1" if ao + bo > 9 else ""
        return f"ones {ao}+{bo}={ao + bo}, tens {at}+{bt}{carry}={n // 10}, so {n}"
    if ao < bo:
        return f"ones 1{ao}-{bo}={ao + 10 - bo}, tens {at}-{bt}-1={at - bt - 1}, so {n}"
    return f"ones {ao}-{bo}={ao - bo}, tens {at}-{bt}={at - bt}, so {n}"


def sum_thoughts(a, sign, b):
    n, way = value(a, sign, b), steps(a, sign, b)
    return (
        f"{a} {sign} {b}: {way}.",
        f"The user wants {a} {sign} {b}. I calculate: {way}.",
        f"The user wants {a} {sign} {b}. I calculate step by step: {way}. The result is {n}. I answer with the equation.",
    )


def operands(rng, held_out):
    while True:
        sign = rng.choice("++++-----**/")
        if sign in "+-":
            top = 99 if rng.random() < 0.8 else 20
            a, b = rng.randint(0, top), rng.randint(0, top)
            if sign == "-" and a < b and (a > 20 or b > 20 or rng.random() < 0.5):
                a, b = b, a
        else:
            a, b = rng.randint(0, 10), rng.randint(0 if sign == "*" else 1, 10)
            if sign == "/":
                a *= b
            return a, sign, b  # a times table is learnt by heart: the wording is what is held out
        if is_held_out(a, sign, b) == held_out:
            return a, sign, b


def arithmetic(rng, held_out=False):
    a, sign, b = operands(rng, held_out)
    r = rng.random()
    if sign == "+" and r < 0.1:
        text = rng.choice([f"Add {a} and {b}", f"What is the sum of {a} and {b}?", f"Add up {a} and {b}"])
    elif sign == "-" and r < 0.1:
        text = rng.choice([f"Subtract {b} from {a}", f"What is the difference of {a} and {b}?"])
    elif sign == "*" and r < 0.1:
        text = rng.choice([f"Multiply {a} by {b}", f"What is the product of {a} and {b}?"])
    elif sign == "/" and r < 0.1:
        text = f"Divide {a} by {b}"
    elif max(a, b) <= 12 and r < 0.2:
        text = rng.choice(ASK_SUM[:8]).format(f"{NUMBERS[a]} {SIGNS[sign][0]} {NUMBERS[b]}")
    else:
        text = rng.choice(ASK_SUM).format(written(rng, a, sign, b))
    return Turn("arithmetic", phrase(rng, text), sum_thoughts(a, sign, b), f"{a} {sign} {b} = {value(a, sign, b)}", topic={"number": value(a, sign, b)})


def follow_sum(rng, number, held_out=False):
    """A question that goes on from the result before."""
    for _ in range(50):
        sign = rng.choice("++-*")
        b = rng.randint(0, 99 if sign != "*" else 10)
        if number > 99 or number < 0 or sign == "*" and number > 10:
            return None
        if sign == "-" and b > number or (sign != "*" and is_held_out(number, sign, b) != held_out):
            continue
        text = {"+": ["And plus {}?", "Now add {}", "Add {} to that", "Plus {}?"], "-": ["And minus {}?", "Now subtract {}", "Subtract {} from that", "Minus {}?"],
                "*": ["And times {}?", "Now multiply by {}", "Multiply that by {}", "Times {}?"]}[sign]
        n = value(number, sign, b)
        return Turn("several turns", phrase(rng, rng.choice(text).format(b)), sum_thoughts(number, sign, b), f"{number} {sign} {b} = {n}", topic={"number": n})
    return None


def large(rng, held_out=False):
    a, b = rng.randint(100, 99999), rng.randint(2, 99999)
    if rng.random() < 0.3:
        a, b = b, a
    sign = rng.choice("+-*/")
    text = rng.choice(ASK_SUM).format(written(rng, a, sign, b))
    return Turn("unknown", phrase(rng, text), ("Large numbers, no calculator.", "These numbers are too large for me, and I have no calculator.",
                "The user wants a calculation. These numbers are too large for me, and I have no calculator. I say that I don't know."), TOO_LARGE)


def compare(rng, held_out=False):
    while True:
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        if a != b and is_held_out("cmp", a, b) == held_out:
            break
    hi, lo = max(a, b), min(a, b)
    if rng.random() < 0.6:
        text, n, word = rng.choice(["Which is larger, {} or {}?", "Which number is larger, {} or {}?", "What is more, {} or {}?", "Is {} or {} larger?"]), hi, "larger"
    else:
        text, n, word = rng.choice(["Which is smaller, {} or {}?", "Which number is smaller, {} or {}?", "What is less, {} or {}?", "Is {} or {} smaller?"]), lo, "smaller"
    o = lo if n == hi else hi
    return Turn("numbers", phrase(rng, text.format(a, b)), (f"Compare {a} and {b}: {lo} < {hi}.", f"The user compares {a} and {b}. I see that {lo} < {hi}.",
                f"The user compares {a} and {b}. I look at the tens first, then at the ones. I see that {lo} < {hi}. The {word} one is {n}."), f"{n} is {word} than {o}.")


def even(rng, held_out=False):
    while True:
        n = rng.randint(0, 99)
        if is_held_out("even", n) == held_out:
            break
    word, d = ("even", n % 10) if n % 2 == 0 else ("odd", n % 10)
    text = rng.choice(["Is {} even or odd?", "Is {} odd or even?", "Is the number {} even or odd?"]).format(n)
    return Turn("numbers", phrase(rng, text), (f"{n} ends in {d}: {word}.", f"The user asks about {n}. It ends in {d}, so it is {word}.",
                f"The user asks about {n}. Only the last digit matters. It ends in {d}, and {d} is {word}. So {n} is {word}."), f"{n} is {word}.")


def count(rng, held_out=False):
    while True:
        a = rng.randint(1, 20)
        b = min(a + rng.randint(2, 10), 30)
        if rng.random() < 0.3:
            a = 1
        if is_held_out("count", a, b) == held_out:
            break
    text = rng.choice(["Count from {} to {}", "Can you count from {} to {}?", "Please count from {} to {}", "Give me the numbers from {} to {}"]).format(a, b)
    return Turn("numbers", phrase(rng, text), (f"Count {a} to {b}.", f"The user wants me to count from {a} to {b}. I write each number.",
                f"The user wants me to count from {a} to {b}. I start at {a}, add one each time and stop at {b}. I separate them with commas."),
                ", ".join(map(str, range(a, b + 1))))


# --- facts ---------------------------------------------------------------------------------------------------------

def cap(text):
    return text[0].upper() + text[1:]


def capital_turn(rng, country, text, kind="capitals"):
    city, continent = COUNTRIES[country]
    return Turn(kind, phrase(rng, text), (f"Capital of {country}: {city}.", f"The user asks for the capital of {country}. It is {city}.",
                f"The user asks for the capital of {country}. {cap(country)} is a country in {continent}. Its capital is {city}. I answer in one sentence."),
                f"The capital of {country} is {city}.", topic={"country": country, "asked": "capital"})


def capital(rng, held_out=False):
    country = rng.choice(list(COUNTRIES))
    bare = country.removeprefix("the ") if rng.random() < 0.2 else country
    text = rng.choice(["What is the capital of {}?", "What's the capital of {}?", "Capital of {}", "Which city is the capital of {}?", "Name the capital of {}",
                       "Tell me the capital of {}", "Do you know the capital of {}?", "What city is the capital of {}?", "The capital of {}?"]).format(bare)
    return capital_turn(rng, country, text)


def of_which(rng, held_out=False):
    country = rng.choice(list(COUNTRIES))
    city, continent = COUNTRIES[country]
    text = rng.choice(["{} is the capital of which country?", "Which country has the capital {}?", "What country is {} the capital of?", "Of which country is {} the capital?"]).format(city)
    return Turn("capitals", phrase(rng, text), (f"{city}: {country}.", f"The user asks which country has the capital {city}. It is {country}.",
                f"The user asks which country has the capital {city}. {city} lies in {continent}. It is the capital of {country}. I answer in one sentence."),
                f"{city} is the capital of {country}.", topic={"country": country, "asked": "capital"})


def continent_turn(rng, country, text, kind="capitals"):
    continent = COUNTRIES[country][1]
    return Turn(kind, phrase(rng, text), (f"{cap(country)}: {continent}.", f"The user asks where {country} lies. It lies in {continent}.",
                f"The user asks where {country} lies. I know its capital, {COUNTRIES[country][0]}. It lies in {continent}. I answer in one sentence."),
                f"{cap(country)} is in {continent}.", topic={"country": country, "asked": "continent"})


def continent(rng, held_out=False):
    country = rng.choice(list(COUNTRIES))
    text = rng.choice(["On which continent is {}?", "Which continent is {} on?", "Where is {}?", "What continent is {} in?", "In which part of the world is {}?"]).format(country)
    return continent_turn(rng, country, text)


def follow_country(rng, topic):
    country = rng.choice([c for c in COUNTRIES if c != topic["country"]])
    text = rng.choice(["And of {}?", "And {}?", "What about {}?", "How about {}?"]).format(country)
    if topic["asked"] == "capital":
        return capital_turn(rng, country, text, "several turns")
    return continent_turn(rng, country, text.replace("of ", ""), "several turns")


def list_turn(rng, category, n, text, kind="lists"):
    items = LISTS[category].split()[:n]
    joined = ", ".join(items)
    return Turn(kind, phrase(rng, text), (f"{n} {category}.", f"The user wants {n} {category}. I know: {joined}.",
                f"The user wants a list of {n} {category}. I count them: {joined}. That makes {n}. I write them as a numbered list."),
                "\n".join(f"{i}. {w}" for i, w in enumerate(items, 1)), topic={"list": n})


def listing(rng, held_out=False):
    category = rng.choice(list(LISTS))
    length = min(6, len(LISTS[category].split()))
    r = rng.random()
    if r < 0.15:
        n = min(4, length)
        text = rng.choice(["List some {}", "Name some {}", "Give me some {}", "Give me a list of {}", "Tell me some {}"]).format(category)
    else:
        n = rng.randint(2, length)
        if is_held_out("list", category, n) != held_out:
            return listing(rng, held_out)
        word = NUMBERS[n] if rng.random() < 0.55 else n
        text = rng.choice(["List {} {}", "Name {} {}", "Give me {} {}", "Give me a list of {} {}", "Write a list of {} {}", "Tell me {} {}", "Can you name {} {}?", "I need {} {}"]).format(word, category)
    return list_turn(rng, category, n, text)


def follow_list(rng, n):
    options = [c for c in LISTS if len(LISTS[c].split()) >= n]
    category = rng.choice(options)
    text = rng.choice(["And {}?", "Now {}", "The same with {}", "What about {}?"]).format(category)
    return list_turn(rng, category, n, text, "several turns")


def explain_turn(rng, topic, text, kind="explanations"):
    answer = TOPICS[topic][1]
    return Turn(kind, phrase(rng, text), (f"Explain {topic}.", f"The user asks about {topic}. I explain it in one sentence.",
                f"The user asks about {topic}. I know this topic. I should say what it is and what it does. I keep it to one clear sentence without jargon."), answer,
                topic={"explained": topic})


def explain(rng, held_out=False):
    topic = rng.choice(list(TOPICS))
    others = TOPICS[topic][0]
    name = topic if rng.random() < 0.6 else rng.choice(others)
    if name.startswith("how "):
        text = rng.choice(["Explain {}", "Tell me {}", "Do you know {}?"]).format(name)
    else:
        be = "are" if name.endswith("s") and not name.endswith(("ss", "rs ")) and name in others and not name.startswith(("a ", "an ", "the ")) and name not in ("k8s",) else "is"
        text = rng.choice(["Explain {}", "What {be} {}?", "Tell me about {}", "What {be} {}?", "Explain {} in simple terms", "Explain {} to me", "Can you explain {}?", "Describe {}",
                           "What do you know about {}?", "Explain {} in one sentence", "Define {}", "How does {} work?" if be == "is" else "How do {} work?"]).format(name, be=be)
    return explain_turn(rng, topic, text)


def question(rng, held_out=False):
    ways, answer = rng.choice(QUESTIONS)
    ask = rng.choice(ways)
    return Turn("facts", phrase(rng, ask), (answer, f"The user asks a simple question. {answer}", f"The user asks a simple question. I know the fact: {answer} I answer in one sentence."), answer)


def opposite(rng, held_out=False):
    word = rng.choice(list(OPPOSITES))
    text = rng.choice(["What is the opposite of {}?", "Opposite of {}", "Give me the opposite of {}", "What's the opposite of {}?", "Name the opposite of {}"]).format(word)
    o = OPPOSITES[word]
    return Turn("facts", phrase(rng, text), (f"{word}: {o}.", f"The user asks for the opposite of {word}. It is {o}.",
                f"The user asks for the opposite of {word}. I think of a pair of words: {word} and {o}. I answer in one sentence."), f"The opposite of {word} is {o}.")


def sound(rng, held_out=False):
    animal = rng.choice(list(SOUNDS))
    text = rng.choice(["What sound does a {} make?", "What does a {} say?", "Which sound does a {} make?", "How does a {} sound?"]).format(animal)
    s = SOUNDS[animal]
    return Turn("facts", phrase(rng, text), (f"{animal}: {s}.", f"The user asks about the sound of a {animal}. It is {s}.",
                f"The user asks about the sound of a {animal}. I remember it: {s}. I answer in one sentence."), f"A {animal} says {s}.")


def calendar(rng, held_out=False):
    names, what = (DAYS, "day") if rng.random() < 0.5 else (MONTHS, "month")
    i = rng.randrange(len(names))
    if rng.random() < 0.5:
        j, word = (i + 1) % len(names), "after"
        text = rng.choice(["Which {} comes after {}?", "What {} comes after {}?", "What {} is after {}?", "Which {} follows {}?"])
    else:
        j, word = (i - 1) % len(names), "before"
        text = rng.choice(["Which {} comes before {}?", "What {} comes before {}?", "What {} is before {}?"])
    a, b = names[i], names[j]
    return Turn("facts", phrase(rng, text.format(what, a)), (f"{word.capitalize()} {a}: {b}.", f"The user asks which {what} comes {word} {a}. It is {b}.",
                f"The user asks which {what} comes {word} {a}. I go through the {what}s in order. The one {word} {a} is {b}."), f"{b} comes {word} {a}.")


def small_talk(rng, held_out=False):
    kind, ways, answer = rng.choice(SMALL_TALK)
    ask = rng.choice(ways)
    article = "an" if kind[0] in "aeiou" else "a"
    return Turn("greetings", phrase(rng, ask), (f"A {kind}.", f"This is {article} {kind}. I answer it kindly.",
                f"This is {article} {kind}. No facts or tools are needed. I should be polite and short. I answer it kindly."), answer)


# --- names, outside the world --------------------------------------------------------------------------------------

def person(rng, held_out):
    if held_out:
        return rng.choice(HELD_OUT_NAMES)
    return rng.choice(NAMES) if rng.random() < 0.5 else invented(rng)


def introduce(rng, held_out=False):
    name = person(rng, held_out)
    text = rng.choice(["My name is {}", "I am {}", "Hi, I am {}", "Hello, my name is {}", "Call me {}", "I'm {}", "Hello! My name is {}"]).format(name)
    if rng.random() < 0.4:
        text += rng.choice([".", "!"])
    return Turn("greetings", text, (f"The name is {name}.", f"The user is called {name}. I greet {name}.",
                f"The user is called {name}. I should remember the name for later. I greet {name} by name."), f"Nice to meet you, {name}!", topic={"name": name})


def recall(rng, name):
    text = rng.choice(["What is my name?", "What's my name?", "Do you remember my name?", "Who am I?", "How am I called?"])
    if name is None:
        return Turn("several turns", phrase(rng, text), ("No name given.", "The user asks for their name. I was not told.",
                    "The user asks for their name. I look through the conversation. I was not told. I say so."), "I don't know. You have not told me your name.")
    return Turn("several turns", phrase(rng, text), (f"The name is {name}.", f"The user asks for their name. It is {name}.",
                f"The user asks for their name. I look through the conversation. They said it is {name}. I answer in one sentence."), f"Your name is {name}.")


def repeat(rng):
    """The user dictates a text. Training only: nobody asks it to, but it teaches to copy."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,-+*"
    def word():
        r = rng.random()
        if r < 0.3:
            return invented(rng)
        if r < 0.5:
            return thing(rng)
        if r < 0.7:
            return str(rng.randint(0, 10 ** rng.randint(1, 5)))
        return "".join(rng.choice(letters) for _ in range(rng.randint(1, 8)))
    text = rng.choice([" ", " ", ", ", "_"]).join(word() for _ in range(rng.randint(1, 8)))
    ask = rng.choice(["Repeat {}", "Say {}", "Repeat after me: {}", "Write {}", "Say \"{}\"", "Please repeat: {}"])
    return Turn("repeat", ask.format(text), ("Repeat it.", f"The user dictates: {text}", f"The user wants me to repeat a text, word for word: {text}"), text)


def unknown_thoughts():
    return ("Outside my world.", "The user asks for something that I was not taught. I say that I don't know.",
            "The user asks for something that I was not taught. I have no tool that could help. I must not invent an answer. I say that I don't know.")


FOR_KNOWN = [a for a in ASKING if a not in ("Explain {}", "Tell me about {}", "What is {}?", "What is the capital of {}?", "Which continent is {} on?",
             "What is the opposite of {}?", "Define {}", "What is the meaning of {}?", "Who was {}?", "Who is {}?")]


def strange(rng, held_out):
    """A question outside the world, as text."""
    r = rng.random()
    if r < 0.2 and not held_out:
        return rng.choice(PLAIN)
    if r < 0.35:
        known = rng.choice([rng.choice(list(COUNTRIES)), rng.choice(list(TOPICS)), rng.choice(CITIES)])
        if not held_out or is_held_out("known", known):
            return rng.choice(FOR_KNOWN).format(known, thing(rng, held_out))
    template = rng.choice(ASKING)
    return template.format(thing(rng, held_out), thing(rng, held_out))


def unknown(rng, held_out=False):
    return Turn("unknown", phrase(rng, strange(rng, held_out)), unknown_thoughts(), UNKNOWN)
