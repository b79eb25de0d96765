"""Small questions in plain words that have one right answer: sums, word problems, letters, days. Each is a tuple (kind,
question, thinking, answer), and the thinking is the way to the answer, step by step."""

NAMES = ["Ann", "Ben", "Cara", "Dan", "Emma", "Finn", "Gina", "Hugo", "Ida", "Jack", "Kate", "Leo", "Mia", "Nick", "Olga", "Paul", "Rosa", "Sam",
         "Tina", "Tom", "Una", "Vera", "Will", "Zoe", "Alice", "Bob", "Mary", "John", "Lucy", "Peter"]
THINGS = ["apples", "pears", "books", "coins", "cards", "marbles", "stamps", "eggs", "pencils", "cookies", "balls", "shells", "stickers", "flowers",
          "oranges", "toys", "candies", "bananas", "stones", "keys", "cups", "fish", "hats", "tickets", "dollars"]
BOXES = ["boxes", "bags", "baskets", "shelves", "jars", "rows", "bowls", "drawers"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def number(rng, most):
    """More small numbers than large ones, as people ask."""
    return rng.randint(1, most) if rng.random() < 0.6 else rng.randint(1, max(2, most // 5))


def column_difference(a, b):
    """a - b for a >= b, column by column: digit - digit - borrow, what is written, what is borrowed."""
    lines, borrow = [], 0
    for _ in range(len(str(a))):
        top, low = a % 10, b % 10
        value = top - low - borrow
        lines.append(f"{top}-{low}-{borrow}={value} w{value % 10} b{int(value < 0)}")
        borrow, a, b = int(value < 0), a // 10, b // 10
    return lines


def difference(rng):
    digits = rng.choice([1, 2, 2, 3, 3, 4])
    a, b = rng.randint(0, 10 ** digits - 1), rng.randint(0, 10 ** rng.randint(1, digits) - 1)
    lines = column_difference(max(a, b), min(a, b))
    if a < b:
        lines = [f"{a}<{b}, so {b}-{a} and a minus"] + lines
    form = rng.choice(["What is {a} - {b}?", "What is {a}-{b}?", "{a}-{b}", "{a} - {b}", "{a}-{b}=", "{a} minus {b}", "What is {a} minus {b}?",
                       "Subtract {b} from {a}.", "How much is {a} - {b}?", "Calculate {a} - {b}.", "what's {a} minus {b}", "Take {b} from {a}."])
    return form.format(a=a, b=b), "\n".join(lines), a - b


def product(rng):
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    form = rng.choice(["What is {a} * {b}?", "What is {a} times {b}?", "{a}*{b}", "{a} * {b} =", "{a} x {b}", "{a} times {b}", "What is {a} x {b}?",
                       "Multiply {a} and {b}.", "How much is {a} times {b}?", "what's {a} times {b}", "Calculate {a}*{b}."])
    return form.format(a=a, b=b), f"{a}*{b}={a * b}", a * b


def quotient(rng):
    b, q = rng.randint(2, 12), number(rng, 30)
    rest = rng.randint(1, b - 1) if rng.random() < 0.3 else 0
    a = b * q + rest
    form = rng.choice(["What is {a} / {b}?", "What is {a} divided by {b}?", "{a}/{b}", "{a} / {b} =", "Divide {a} by {b}.", "How much is {a} divided by {b}?",
                       "what's {a} divided by {b}", "Calculate {a}/{b}.", "How many times does {b} go into {a}?"])
    lines = [f"{b}*{q}={b * q}", f"{a}-{b * q}={rest}"]
    return form.format(a=a, b=b), "\n".join(lines), f"{q} remainder {rest}" if rest else q


def expression(rng):
    lines = []

    def work(a, sign, b):
        value = a + b if sign == "+" else a - b if sign == "-" else a * b
        lines.append(f"{a}{sign}{b}={value}")
        return value

    a, b, c = (rng.randint(1, rng.choice([9, 20])) for _ in range(3))
    first, second = rng.choice("+-"), rng.choice("+-")
    shape = rng.randint(0, 3)
    if shape == 0:
        text, value = f"({a}{first}{b})*{c}", work(work(a, first, b), "*", c)
    elif shape == 1:
        text, value = f"{c}*({a}{first}{b})", work(c, "*", work(a, first, b))
    elif shape == 2:
        text, value = f"{a}{first}{b}*{c}", work(a, first, work(b, "*", c))
    else:
        text, value = f"{a}*{b}{second}{c}", work(work(a, "*", b), second, c)
    if rng.random() < 0.5:
        text = text.replace("+", " + ").replace("-", " - ").replace("*", " * ")
    form = rng.choice(["What is {}?", "{}", "Calculate {}.", "Work out {}.", "{} =", "How much is {}?", "what is {}"])
    return form.format(text), "\n".join(lines), value


def power(rng):
    a, n = rng.choice([(2, rng.randint(2, 10)), (rng.randint(3, 12), 2), (rng.randint(3, 6), 3), (10, rng.randint(2, 5))])
    lines, value = [], a
    for _ in range(n - 1):
        lines.append(f"{value}*{a}={value * a}")
        value *= a
    forms = ["What is {a}^{n}?", "{a}^{n}", "What is {a} to the power of {n}?"] + (["What is {a} squared?", "{a} squared"] if n == 2 else [])
    return rng.choice(forms).format(a=a, n=n), "\n".join(lines), value


def larger(rng):
    numbers = [rng.randint(0, 10 ** rng.randint(1, 4)) for _ in range(rng.choice([2, 2, 3, 4]))]
    most, kept = rng.random() < 0.5, [numbers[0]]
    for one in numbers[1:]:
        kept.append(max(kept[-1], one) if most else min(kept[-1], one))
    lines = [f"{kept[at]} or {one}: {kept[at + 1]}" for at, one in enumerate(numbers[1:])]
    listed = " or ".join([", ".join(map(str, numbers[:-1])), str(numbers[-1])])
    if len(numbers) == 2:
        form = rng.choice(["Which is larger, {}?", "Which number is bigger: {}?", "What is more, {}?"] if most else
                          ["Which is smaller, {}?", "Which number is less: {}?"])
    else:
        form = rng.choice(["What is the largest of {}?", "Which is the biggest: {}?"] if most else ["What is the smallest of {}?", "Which is the least: {}?"])
    return form.format(listed), "\n".join(lines), kept[-1]


def parity(rng):
    n, even = rng.randint(0, 9999), rng.random() < 0.5
    lines = f"{n} ends with {n % 10}: {'even' if n % 2 == 0 else 'odd'}"
    form = rng.choice(["Is {} even?", "Is {} an even number?"] if even else ["Is {} odd?", "Is {} an odd number?"])
    return form.format(n), lines, "Yes" if (n % 2 == 0) == even else "No"


def story(rng):
    who, other = rng.sample(NAMES, 2)
    things, boxes = rng.choice(THINGS), rng.choice(BOXES)
    most = rng.choice([10, 20, 50, 100])
    a, b, c = number(rng, most), number(rng, most), number(rng, max(2, most // 2))
    shape = rng.randint(0, 9)
    say = {"who": who, "other": other, "things": things, "boxes": boxes, "box": boxes[:-2] if boxes == "boxes" else boxes[:-1] if boxes != "shelves" else "shelf"}
    if shape == 0:
        forms = ["{who} has {a} {things} and gets {b} more. How many {things} does {who} have now?",
                 "{who} had {a} {things}. {other} gave {who} {b} more. How many {things} does {who} have?",
                 "There are {a} {things} on the table and {b} {things} in the {box}. How many {things} are there?",
                 "{who} found {a} {things} in the morning and {b} in the evening. How many did {who} find?",
                 "{who} has {a} {things}. {other} has {b}. How many {things} do they have together?"]
        lines, value = [f"{a}+{b}={a + b}"], a + b
    elif shape == 1:
        a, b = max(a, b), min(a, b)
        forms = ["{who} has {a} {things} and gives {b} to {other}. How many {things} are left?",
                 "{who} had {a} {things} and lost {b}. How many {things} does {who} have now?",
                 "There are {a} {things} in the {box}. {who} takes {b}. How many {things} are left in the {box}?",
                 "{who} has {a} {things}, {other} has {b}. How many more {things} does {who} have?",
                 "{who} bought {a} {things} and ate {b} of them. How many remain?" if things in ("apples", "pears", "eggs", "cookies", "candies") else
                 "{who} bought {a} {things} and sold {b} of them. How many remain?"]
        lines, value = [f"{a}-{b}={a - b}"], a - b
    elif shape == 2:
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        forms = ["There are {a} {boxes} with {b} {things} each. How many {things} are there?", "{who} has {a} {boxes} of {b} {things}. How many {things} is that?",
                 "Each of {a} children has {b} {things}. How many {things} do they have together?",
                 "{who} buys {a} {things} for {b} dollars each. How many dollars does {who} pay?"]
        lines, value = [f"{a}*{b}={a * b}"], a * b
    elif shape == 3:
        b, value = rng.randint(2, 10), rng.randint(2, 12)
        a = b * value
        forms = ["{who} shares {a} {things} equally among {b} friends. How many {things} does each get?",
                 "{a} {things} are put into {b} {boxes}, the same number in each. How many {things} are in one {box}?",
                 "{who} has {a} {things} and puts {b} into each {box}. How many {boxes} are needed?"]
        lines = [f"{a}/{b}={value}"]
    elif shape == 4:
        b = min(b, a)
        forms = ["{who} has {a} {things}, gives away {b} and then gets {c}. How many {things} does {who} have?",
                 "There were {a} {things}. {who} took {b} and {other} brought {c}. How many {things} are there now?",
                 "{who} had {a} {things}, lost {b} and found {c}. How many now?"]
        lines, value = [f"{a}-{b}={a - b}", f"{a - b}+{c}={a - b + c}"], a - b + c
    elif shape == 5:
        c = min(c, a + b)
        forms = ["{who} has {a} {things}, gets {b} more and gives {c} to {other}. How many {things} are left?",
                 "{who} picked {a} {things} and {other} picked {b}. They used {c}. How many {things} do they have left?"]
        lines, value = [f"{a}+{b}={a + b}", f"{a + b}-{c}={a + b - c}"], a + b - c
    elif shape == 6:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        forms = ["{who} has {a} {boxes} with {b} {things} each and {c} more {things}. How many {things} does {who} have?",
                 "{who} buys {a} {things} for {b} dollars each and a hat for {c} dollars. How much does {who} pay?"]
        lines, value = [f"{a}*{b}={a * b}", f"{a * b}+{c}={a * b + c}"], a * b + c
    elif shape == 7:
        forms = ["{who} has {a} {things}. {other} has {b} more than {who}. How many {things} do they have together?",
                 "{who} read {a} pages on Monday and {b} more than that on Tuesday. How many pages is that in all?"]
        lines, value = [f"{a}+{b}={a + b}", f"{a}+{a + b}={a + a + b}"], a + a + b
    elif shape == 8:
        age, years = rng.randint(3, 60), rng.randint(2, 20)
        a, b = age, years
        if rng.random() < 0.5:
            forms, lines, value = ["{who} is {a} years old. How old will {who} be in {b} years?"], [f"{a}+{b}={a + b}"], a + b
        else:
            a = age + years
            forms, lines, value = ["{who} is {a} years old. How old was {who} {b} years ago?"], [f"{a}-{b}={a - b}"], a - b
    else:
        a, b = rng.randint(2, 12), rng.choice([5, 10, 20, 50, 100])
        price = rng.randint(1, max(1, b // a)) if b // a else 1
        if a * price > b:
            b = 100
        c = price
        forms = ["{who} buys {a} {things} for {c} dollars each and pays with {b} dollars. How much money does {who} get back?"]
        lines, value = [f"{a}*{c}={a * c}", f"{b}-{a * c}={b - a * c}"], b - a * c
    text = rng.choice(forms).format(a=a, b=b, c=c, **say)
    if rng.random() < 0.1:  # small numbers as words
        for n in (a, b):
            if n < len(NUMBER_WORDS):
                text = text.replace(f" {n} ", f" {NUMBER_WORDS[n]} ", 1)
    return text, "\n".join(lines), value


def letters_in(rng, words):
    word = rng.choice(words)
    letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("aeiourstln")
    tally, steps = 0, []
    for one in word:
        tally += one == letter
        steps.append(f"{one}{tally}")
    form = rng.choice(["How many times is {l} in {w}?", 'How many "{l}" are in "{w}"?', "Count the letter {l} in {w}.", "How often does {l} occur in {w}?",
                       "how many {l}s are in {w}?", "How many {l}'s are in {w}?", "How many {l} in {w}", "How many {l}s are there in the word {w}?",
                       "how many {l} are in {w}", "Count the {l}s in {w}."])
    return form.format(l=letter, w=word), " ".join(steps), tally


def length_of(rng, words):
    word = rng.choice(words)
    form = rng.choice(["How many letters are in {}?", "How long is the word {}?", 'How many letters does "{}" have?', "Count the letters of {}."])
    return form.format(word), " ".join(f"{one}{at + 1}" for at, one in enumerate(word)), len(word)


def reversed_word(rng, words):
    word = rng.choice([one for one in (rng.choice(words) for _ in range(5)) if len(one) < 9] or ["stone"])
    form = rng.choice(["Reverse {}.", "Write {} backwards.", "Spell {} backwards.", 'Reverse the word "{}".', "What is {} backwards?"])
    return form.format(word), " ".join(word) + "\n" + " ".join(reversed(word)), word[::-1]


def spelled(rng, words):
    word = rng.choice(words)
    return rng.choice(["Spell {}.", "How do you spell {}?", "Spell the word {}."]).format(word), f"The letters of {word}, one by one.", "-".join(word)


def first_letter(rng, words):
    word = rng.choice(words)
    first = rng.random() < 0.5
    form = rng.choice(["What is the {} letter of {}?", "Which letter does {1} {2} with?"])
    if "{1}" in form:
        form = form.format(None, word, "begin" if first else "end")
    else:
        form = form.format("first" if first else "last", word)
    return form, " ".join(word), word[0] if first else word[-1]


def caesar_word(rng, words):
    word, shift = rng.choice(words), rng.randint(1, 25)
    cipher, lines = "", []
    for one in word:
        index = ord(one) - ord("a")
        there = (index + shift) % 26
        cipher += chr(ord("a") + there)
        lines.append(f"{cipher[-1]} {there}-{shift}={index} {one}")
    form = rng.choice(["Decode {c}, a Caesar cipher with shift {s}.", "Decode the Caesar cipher {c} with shift {s}.", "shift {s}: {c}",
                       "{c} is a word moved on by {s} letters. What was it?"])
    return form.format(c=cipher, s=shift), "\n".join(lines), word


def weekday(rng):
    day, count = rng.randint(0, 6), rng.randint(1, 10)
    back = rng.random() < 0.3
    steps = [DAYS[(day + (-one if back else one)) % 7] for one in range(1, count + 1)]
    form = rng.choice(["What day is {n} days {w} {d}?", "Which day comes {n} days {w} {d}?"] if count > 1 else
                      ["What day is {w} {d}?", "Which day comes {w} {d}?", "What is the day {w} {d}?"])
    return form.format(n=count, w="before" if back else "after", d=DAYS[day]), "\n".join(f"{at + 1} {one}" for at, one in enumerate(steps)), steps[-1]


def month(rng):
    at = rng.randint(0, 11)
    shape = rng.randint(0, 2)
    if shape == 0:
        return f"Which month comes after {MONTHS[at]}?", f"{MONTHS[at]} is month {at + 1}.", MONTHS[(at + 1) % 12]
    if shape == 1:
        return f"What number is the month {MONTHS[at]}?", f"{MONTHS[at]} is month {at + 1}.", at + 1
    days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][at]
    return f"How many days does {MONTHS[at]} have?", f"{MONTHS[at]} is month {at + 1}.", f"{days}, or 29 in a leap year" if at == 1 else days


NUMBERS = {"difference": difference, "product": product, "quotient": quotient, "expression": expression, "power": power, "larger": larger,
           "parity": parity, "story": story, "weekday": weekday, "month": month}
WORDS = {"letters_in": letters_in, "length_of": length_of, "reversed_word": reversed_word, "spelled": spelled, "first_letter": first_letter,
         "caesar_word": caesar_word}
SHARES = {"story": 5, "difference": 3, "expression": 2, "letters_in": 3, "quotient": 1.5, "product": 1.5, "caesar_word": 1}


def plain(rng, words):
    kinds = sorted(NUMBERS) + sorted(WORDS)
    kind = rng.choices(kinds, [SHARES.get(one, 0.7) for one in kinds])[0]
    question, thinking, answer = NUMBERS[kind](rng) if kind in NUMBERS else WORDS[kind](rng, words)
    return kind, question, thinking, str(answer)
