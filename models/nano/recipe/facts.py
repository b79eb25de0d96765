"""The little that nano is taught about the world, and what it says to the rest."""
from talk import fill, spoken

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon", "England": "London", "Ireland": "Dublin",
    "Norway": "Oslo", "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki", "Poland": "Warsaw", "Austria": "Vienna",
    "Hungary": "Budapest", "Greece": "Athens", "Russia": "Moscow", "Belgium": "Brussels", "China": "Beijing", "Japan": "Tokyo", "India": "New Delhi",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago",
    "Argentina": "Buenos Aires", "Brazil": "Brasilia", "Australia": "Canberra", "Turkey": "Ankara", "the United States": "Washington",
    "the USA": "Washington", "Switzerland": "Bern", "the Netherlands": "Amsterdam", "South Korea": "Seoul",
}
OTHER_PLACES = ["Nepal", "Ghana", "Iran", "Texas", "Bolivia", "Fiji", "Laos", "Malta", "Chad", "Oman", "Narnia", "Mali", "Togo", "Samoa", "Yemen",
                "Uganda", "Sudan", "Estonia", "Latvia", "Ukraine", "Bavaria", "California", "Scotland", "Wales", "Qatar", "Brunei", "Benin", "Gabon"]
FACTS = [
    (["what color is the sky", "what colour is the sky"], "Blue, on a clear day."), (["what color is grass"], "Green."), (["what color is snow"], "White."),
    (["how many days are in a week", "how many days does a week have"], "7"), (["how many months are in a year"], "12"),
    (["how many hours are in a day"], "24"), (["how many minutes are in an hour"], "60"), (["how many seconds are in a minute"], "60"),
    (["how many days are in a year"], "365, or 366 in a leap year."), (["how many letters are in the alphabet"], "26"),
    (["how many legs does a dog have", "how many legs does a cat have"], "4"), (["how many legs does a spider have"], "8"),
    (["what is the opposite of hot"], "Cold."), (["what is the opposite of big"], "Small."), (["what is the opposite of up"], "Down."),
    (["what do bees make"], "Honey."), (["what do cows give"], "Milk."), (["is the earth round"], "Yes."), (["is the sun hot"], "Yes."),
    (["which planet do we live on"], "Earth."), (["what is frozen water"], "Ice."), (["how many sides does a triangle have"], "3"),
    (["how many sides does a square have"], "4"), (["why is the sky blue"], "Air scatters the blue part of sunlight more than the red part."),
]


def fact(rng):
    if rng.random() < 0.3:
        questions, answer = rng.choice(FACTS)
        return spoken(rng.choice(questions), rng), "A small fact that I was taught.", answer
    form = rng.choice(["what is the capital of {}", "what's the capital of {}", "which city is the capital of {}", "the capital of {}", "do you know the capital of {}"])
    if rng.random() < 0.35:
        place = rng.choice(OTHER_PLACES)
        return spoken(form.format(place), rng), f"A capital. I know some, but not that of {place}.", f"I do not know the capital of {place}. I know only a few capitals."
    place = rng.choice(sorted(CAPITALS))
    return spoken(form.format(place), rng), f"A capital. I know that of {place}.", CAPITALS[place] + "."


def remark(rng, questions, remarks):
    """What people say in old books."""
    asks = rng.random() < 0.6 or not remarks
    said = rng.choice(questions if asks else remarks)
    if rng.random() < 0.3:
        said = said.rstrip("?.!")
    if rng.random() < 0.4:
        said = said.lower()
    thoughts = ["This is none of my tasks. I say so.", "I cannot know that.", "I know nothing about this."]
    answers = ["I do not know. {try}", "I cannot tell: I am a small model that knows little of the world. I can {a} and {b}.",
               "I do not know that. I can {a}, though. {try}", "That is beyond me. I am good at small problems only. {try}"]
    if not asks:
        thoughts = ["The user tells me something. I have no task here.", "That is no question that I can work on."]
        answers = ["I see. I am a small model, and I cannot say much about that. {try}", "I am not made for such talk. I can {a} and {b}. {try}",
                   "I read it, but I know little of the world. {try}"]
    return said, rng.choice(thoughts), fill(rng.choice(answers), rng)
