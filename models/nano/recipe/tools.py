"""Dialogues with tools: the schema varies, so that it must be read; results come from small simulators here."""
import datetime
import json

from talk import SYSTEMS

NAMES = ["Ann", "Bob", "Cid", "Dora", "Eve", "Finn", "Gail", "Hugo", "Ida", "Jon", "Kim", "Lea", "Max", "Nora", "Otto", "Pia"]
CITIES = ["Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Tokyo", "Berlin", "Madrid", "London", "Quito", "Accra", "Dublin", "Vienna"]
THINGS = ["color", "city", "code", "room", "pet", "song", "food", "word", "number", "team", "book", "car", "day", "drink"]
VALUES = ["blue", "red", "seven", "tea", "Oslo", "cat", "rose", "Monday", "green", "jazz", "plum", "north", "gold", "rain", "wolf", "maple"]
UNITS = {"km": ("miles", 0.621371), "miles": ("km", 1.609344), "kg": ("pounds", 2.204623), "pounds": ("kg", 0.453592),
         "m": ("feet", 3.28084), "feet": ("m", 0.3048), "cm": ("inches", 0.393701), "inches": ("cm", 2.54), "liters": ("gallons", 0.264172)}
SKIES = ["sunny", "cloudy", "rain", "snow", "windy", "fog"]


def schema(name, description, properties, rng):
    parameters = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": parameters}
    if rng.random() < 0.2:
        del function["parameters"]["required"]
    return {"type": "function", "function": function}


class Calculator:
    def __init__(self, rng):
        self.name = rng.choice(["calculator", "calculate", "calc", "evaluate"])
        self.key = rng.choice(["expression", "expr", "formula", "input"])
        self.schema = schema(self.name, rng.choice(["Evaluates an arithmetic expression", "Works out a formula", "A calculator"]), {self.key: "string"}, rng)

    def ask(self, rng):
        count = rng.choice([2, 2, 3])
        numbers = [rng.randint(2, 10 ** rng.randint(1, 5)) for _ in range(count)]
        signs = [rng.choice("+-*") for _ in range(count - 1)]
        expression = str(numbers[0]) + "".join(f" {sign} {number}" for sign, number in zip(signs, numbers[1:]))
        form = rng.choice(["What is {}?", "Calculate {}.", "How much is {}?", "Please work out {}.", "{}", "Use the tool for {}.", "Compute {}"])
        value = eval(expression, {"__builtins__": {}})  # made of integers and + - * three lines above
        shown = expression if rng.random() < 0.5 else expression.replace(" ", "")
        return form.format(shown), {self.key: shown}, str(value), rng.choice([f"{shown} = {value}", f"The result is {value}.", f"It is {value}."])


class Units:
    def __init__(self, rng):
        self.name = rng.choice(["convert_units", "unit_converter", "convert"])
        self.keys = rng.choice([("value", "from", "to"), ("amount", "from_unit", "to_unit"), ("x", "source", "target")])
        self.schema = schema(self.name, rng.choice(["Converts between units", "Unit conversion"]), dict(zip(self.keys, ("number", "string", "string"))), rng)

    def ask(self, rng):
        unit = rng.choice(sorted(UNITS))
        to, factor = UNITS[unit]
        value = rng.choice([rng.randint(1, 100), rng.randint(1, 5000), rng.randint(10, 999) / 10])
        result = f"{value * factor:.2f}"
        form = rng.choice(["How many {to} are {value} {unit}?", "Convert {value} {unit} to {to}.", "What is {value} {unit} in {to}?", "{value} {unit} in {to}"])
        return (form.format(to=to, value=value, unit=unit), dict(zip(self.keys, (value, unit, to))), rng.choice([result, f"{result} {to}"]),
                rng.choice([f"{value} {unit} are {result} {to}.", f"That is {result} {to}."]))


class Calendar:
    def __init__(self, rng):
        self.name = rng.choice(["add_days", "calendar", "date_add"])
        self.keys = rng.choice([("date", "days"), ("start", "days"), ("day", "count")])
        self.schema = schema(self.name, rng.choice(["Adds days to a date", "The date some days on"]), dict(zip(self.keys, ("string", "integer"))), rng)

    def ask(self, rng):
        date, days = datetime.date(rng.randint(1950, 2060), rng.randint(1, 12), rng.randint(1, 28)), rng.randint(2, 500)
        result = (date + datetime.timedelta(days)).isoformat()
        form = rng.choice(["What date is {days} days after {date}?", "Add {days} days to {date}.", "{date} plus {days} days?", "Which day comes {days} days after {date}?"])
        return (form.format(days=days, date=date.isoformat()), dict(zip(self.keys, (date.isoformat(), days))), result,
                rng.choice([f"It is {result}.", f"{result}", f"{days} days after {date.isoformat()} is {result}."]))


class Weather:
    def __init__(self, rng):
        self.name = rng.choice(["get_weather", "weather", "current_weather"])
        self.key = rng.choice(["city", "place", "location"])
        self.schema = schema(self.name, rng.choice(["The weather in a city", "Gets the current weather"]), {self.key: "string"}, rng)

    def ask(self, rng):
        city, sky, degrees = rng.choice(CITIES), rng.choice(SKIES), rng.randint(-15, 38)
        form = rng.choice(["What is the weather in {}?", "How is the weather in {}?", "Weather in {}", "Tell me the weather in {}.", "Do I need a coat in {}?"])
        result = rng.choice([f"{sky}, {degrees} C", json.dumps({"sky": sky, "degrees": degrees})])
        return form.format(city), {self.key: city}, result, rng.choice([f"In {city} it is {sky}, {degrees} degrees.", f"{city}: {sky}, {degrees} degrees."])


class Store:
    def __init__(self, rng):
        self.put_name, self.get_name = rng.choice([("put", "get"), ("store_value", "load_value"), ("remember", "recall"), ("set_key", "get_key")])
        self.keys = rng.choice([("key", "value"), ("name", "text")])
        self.schemas = [schema(self.put_name, "Stores a value under a key", dict(zip(self.keys, ("string", "string"))), rng),
                        schema(self.get_name, "The value of a key", {self.keys[0]: "string"}, rng)]

    def key_of(self, rng):
        return rng.choice(NAMES).lower() + "_" + rng.choice(THINGS)

    def ask(self, rng):
        key, value = self.key_of(rng), rng.choice(VALUES)
        form = rng.choice(["Remember that {key} is {value}.", "Store {value} under {key}.", "Set {key} to {value}.", "Save {key} = {value}"])
        return (form.format(key=key, value=value), self.put_name, dict(zip(self.keys, (key, value))), rng.choice(["ok", "stored", "done"]),
                rng.choice([f"I stored {value} under {key}.", f"Done: {key} is {value}."]))

    def ask_back(self, rng, key=None):
        key, value = key or self.key_of(rng), rng.choice(VALUES)
        form = rng.choice(["What is {key}?", "What did I store under {key}?", "Look up {key}.", "Get {key}"])
        if rng.random() < 0.15:
            return (form.format(key=key), self.get_name, {self.keys[0]: key}, rng.choice(["error: not found", "null", "error: no such key"]),
                    f"Nothing is stored under {key}.")
        return form.format(key=key), self.get_name, {self.keys[0]: key}, value, rng.choice([f"{key} is {value}.", f"It is {value}."])


# Tools of all sorts, so that a schema is read and not known: names, parameters, questions, what the tool says, what is answered.
ERRANDS = [
    (["send_message", "message", "send_text"], [("to", "text"), ("recipient", "message"), ("name", "body")], (NAMES, ["hello", "I am late", "see you at six", "call me", "dinner is ready", "yes", "thank you"]),
     ["Send a message to {0}: {1}", "Tell {0}: {1}", "Message {0} saying {1}"], ["sent", "ok", '{{"status": "sent"}}'], ["I sent it to {0}.", "Done: {0} has your message."]),
    (["search", "web_search", "search_web"], [("query",), ("q",), ("text",)], (["old maps", "cheap flights", "rain in spring", "apple pie", "chess rules", "tall towers", "small dogs", "train times"],),
     ["Search for {0}.", "Look up {0} on the web.", "Find something about {0}."], ["3 results: {0} for beginners", "1 result: all about {0}"], ["I found this: {result}.", "The search says: {result}."]),
    (["get_time", "current_time", "time_in"], [("city",), ("place",), ("timezone",)], (CITIES,),
     ["What time is it in {0}?", "Tell me the time in {0}.", "time in {0}"], ["{hour}:{minute}"], ["In {0} it is {result}.", "It is {result} in {0}."]),
    (["translate", "translate_text"], [("text", "language"), ("phrase", "to")], (["good morning", "thank you", "water", "house", "red wine", "goodbye"], ["French", "German", "Spanish", "Latin", "Italian"]),
     ["Translate {0} into {1}.", "How do you say {0} in {1}?", "What is {0} in {1}?"], ["bona vita", "sol lucet", "casa blanca", "lumo"], ["In {1} it is {result}.", "{result}"]),
    (["set_alarm", "alarm", "wake_me"], [("time",), ("at",)], (["6:30", "7:00", "7:45", "8:15", "noon", "21:00"],),
     ["Set an alarm for {0}.", "Wake me at {0}.", "Alarm at {0} please"], ["set", "ok"], ["The alarm is set for {0}.", "Done, {0}."]),
    (["stock_price", "get_price", "quote"], [("symbol",), ("ticker",), ("company",)], (["ACME", "ZORG", "INIT", "NOVA", "ORBT", "PLUM"],),
     ["What is the price of {0}?", "How much is a share of {0}?", "Price of {0}"], ["{number}.{minute}"], ["{0} costs {result}.", "A share of {0} is {result}."]),
    (["play_music", "play", "start_song"], [("song",), ("title",)], (["Moonlight", "Blue River", "Old Road", "Winter Sun", "Paper Moon"],),
     ["Play {0}.", "Put on {0}.", "I want to hear {0}."], ["playing"], ["{0} is playing.", "Now playing {0}."]),
    (["population", "get_population"], [("city",), ("name",)], (CITIES,), ["How many people live in {0}?", "What is the population of {0}?"],
     ["{number}000"], ["{result} people live in {0}.", "{0} has {result} people."]),
    (["turn_on", "switch_light", "light"], [("room",), ("place",)], (["kitchen", "bedroom", "hall", "garden", "cellar", "bathroom"],),
     ["Turn on the light in the {0}.", "Light in the {0} please.", "Switch on the {0} light."], ["on", "ok"], ["The light in the {0} is on.", "Done."]),
    (["roll_dice", "dice", "random_number"], [("sides",), ("max",)], (["6", "10", "12", "20", "100"],),
     ["Roll a die with {0} sides.", "Give me a random number up to {0}."], ["{small}"], ["It is {result}.", "You got {result}."]),
]


class Errand:
    def __init__(self, rng):
        names, keys, self.values, self.forms, self.results, self.answers = rng.choice(ERRANDS)
        self.name, self.keys = rng.choice(names), rng.choice(keys)
        self.whole = self.name in ("roll_dice", "dice", "random_number")
        self.schema = schema(self.name, self.name.replace("_", " ").capitalize(), {key: "integer" if self.whole else "string" for key in self.keys}, rng)

    def ask(self, rng):
        values = [rng.choice(one) for one in self.values]
        numbers = {"hour": rng.randint(0, 23), "minute": rng.randint(10, 59), "number": rng.randint(2, 900), "small": rng.randint(1, 6)}
        result = rng.choice(self.results).format(*values, **numbers)
        arguments = {key: int(value) if self.whole else value for key, value in zip(self.keys, values)}
        return rng.choice(self.forms).format(*values), arguments, result, rng.choice(self.answers).format(*values, result=result)


KINDS = [Calculator, Units, Calendar, Weather, Store, Errand]


def exchange(messages, question, calls, answer, rng):
    """calls: [(name, arguments, result)]."""
    ids = [f"call_{len(messages)}_{at}" for at in range(len(calls))]
    thought = rng.choice([f"I call {calls[0][0]}.", f"This is for {calls[0][0]}.", f"The tool {calls[0][0]} can do that."])
    messages.append({"role": "user", "content": question})
    messages.append({"role": "assistant", "content": "", "reasoning_content": thought,
                     "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                                    for id, (name, arguments, _) in zip(ids, calls)]})
    for id, (name, _, result) in zip(ids, calls):
        messages.append({"role": "tool", "tool_call_id": id, "name": name, "content": result})
    messages.append({"role": "assistant", "reasoning_content": rng.choice(["The tool has answered.", "I tell the result."]), "content": answer})


def one_exchange(messages, tool, rng):
    if isinstance(tool, Store):
        question, name, arguments, result, answer = tool.ask(rng) if rng.random() < 0.5 else tool.ask_back(rng)
        return exchange(messages, question, [(name, arguments, result)], answer, rng)
    question, arguments, result, answer = tool.ask(rng)
    failed = rng.random() < 0.05
    if failed:
        result = rng.choice(["error: timeout", "error: internal error", "error: bad request"])
        answer = f"The tool failed: {result.removeprefix('error: ')}."
    exchange(messages, question, [(tool.name, arguments, result)], answer, rng)


def tool_dialogue(rng, talk):
    """One conversation with tools: {"messages": [...], "tools": [...]}; talk(rng): a question that needs none."""
    kinds = rng.sample(KINDS, rng.choice([1, 1, 2, 2, 3]))
    tools = [kind(rng) for kind in kinds]
    schemas = [one for tool in tools for one in (tool.schemas if isinstance(tool, Store) else [tool.schema])]
    rng.shuffle(schemas)
    messages = []
    draw = rng.random()
    missing = [kind for kind in KINDS if kind not in kinds and kind not in (Store, Errand)]
    if draw < 0.12 and missing:  # nothing fits
        question, _, _, _ = rng.choice(missing)(rng).ask(rng)
        names = ", ".join(one["function"]["name"] for one in schemas)
        messages += [{"role": "user", "content": question},
                     {"role": "assistant", "reasoning_content": "None of my tools fits.",
                      "content": rng.choice([f"I have no tool for that. What I have: {names}.", f"None of my tools can do that; I have {names}."])}]
    elif draw < 0.22 and any(isinstance(tool, Weather) for tool in tools):  # two calls at once
        tool = next(tool for tool in tools if isinstance(tool, Weather))
        cities = rng.sample(CITIES, 2)
        skies = [f"{rng.choice(SKIES)}, {rng.randint(-15, 38)} C" for _ in cities]
        question = rng.choice(["What is the weather in {} and {}?", "Compare the weather in {} and in {}.", "Weather in {} and {}"]).format(*cities)
        exchange(messages, question, [(tool.name, {tool.key: city}, sky) for city, sky in zip(cities, skies)],
                 " ".join(f"{city}: {sky.replace(' C', ' degrees')}." for city, sky in zip(cities, skies)), rng)
    elif draw < 0.3:  # no tool is needed
        question, thinking, answer = talk(rng)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "reasoning_content": thinking, "content": answer}]
    else:
        if rng.random() < 0.15:
            messages.append({"role": "system", "content": rng.choice(SYSTEMS)})
        for _ in range(rng.choice([1, 1, 1, 2])):
            one_exchange(messages, rng.choice(tools), rng)
    return {"messages": messages, "tools": schemas}
