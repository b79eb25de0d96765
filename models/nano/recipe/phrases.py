"""The problems of `minimax train data` as a person would ask them."""
import re


def phrase(task, prompt, rng):
    """The problem of a generated task in other words; None: this task has only its own."""
    def one_of(*forms):
        return rng.choice(forms)

    if task == "addition":
        a, b = prompt.rstrip("=").split("+")
        return one_of(f"What is {a} + {b}?", f"Add {a} and {b}.", f"{a}+{b}", f"{a} + {b} =", f"How much is {a} plus {b}?",
                      f"what is {a}+{b}", f"Please add {a} and {b}.", f"Calculate {a} + {b}.", f"What's {a} plus {b}?")
    if task == "chain_sum":
        terms = prompt.rstrip("=")
        spaced = re.sub(r"([+-])", r" \1 ", terms)
        return one_of(f"What is {terms}?", f"Work out {spaced}.", f"{terms}", f"How much is {spaced}?", f"Calculate {spaced}.",
                      f"{spaced} =", f"what is {spaced}")
    if task == "multiplication":
        a, b = prompt.rstrip("=").split("*")
        return one_of(f"What is {a} * {b}?", f"Multiply {a} by {b}.", f"{a}*{b}", f"How much is {a} times {b}?", f"{a} x {b}",
                      f"What is {a} times {b}?", f"{a} * {b} =", f"Calculate {a} * {b}.", f"what's {a} times {b}?")
    if task == "sorting":
        numbers = prompt.removeprefix("sort: ").split()
        spaced, listed = " ".join(numbers), ", ".join(numbers)
        return one_of(f"Sort these numbers: {listed}", f"Sort {spaced}", f"Put these in order: {listed}.", f"sort {listed}",
                      f"Please sort {listed}.", f"Sort the numbers {listed} from small to large.")
    if task == "object_counting":
        category, things = re.match(r"how many (\w+): (.*)", prompt).groups()
        return one_of(f"I have {things}. How many {category} do I have?", f"Count the {category}: {things}.",
                      f"How many {category} are there? {things}", f"How many {category} are in this list: {things}?")
    if task == "letter_counting":
        letter, word = re.match(r"count (\w): (\w+)", prompt).groups()
        return one_of(f"How many times is {letter} in {word}?", f'How many "{letter}" are in "{word}"?', f"Count the letter {letter} in {word}.",
                      f"How often does {letter} occur in {word}?", f"how many {letter}s are in {word}?")
    if task == "countdown":
        numbers, target = re.match(r"numbers (.*) target (\d+)", prompt).groups()
        listed = ", ".join(numbers.split())
        return one_of(f"Make {target} from {listed}.", f"Use {listed} to make {target}.", f"How can I get {target} from {numbers}?")
    if task == "date":
        date, sign, days = re.match(r"(\S+) ([+-])(\d+) days", prompt).groups()
        if sign != "+":
            return None
        return one_of(f"What date is {days} days after {date}?", f"Which day is {days} days after {date}?", f"{date} plus {days} days",
                      f"Add {days} days to {date}.")
    if task == "caesar":
        shift, word = re.match(r"shift (\d+): (\w+)", prompt).groups()
        return one_of(f"Decode {word}, a Caesar cipher with shift {shift}.", f"Decode the Caesar cipher {word} with shift {shift}.",
                      f"{word} is a word moved on by {shift} letters. What was it?")
    if task == "next_number":
        numbers = prompt.removeprefix("next: ").split()
        listed = ", ".join(numbers)
        return one_of(f"What comes next: {listed}?", f"What is the next number: {listed}, ...", f"Continue the sequence {listed}.",
                      f"Which number follows {listed}?")
    if task == "brackets":
        open_part = prompt.removeprefix("close: ")
        return one_of(f"Close these brackets: {open_part}", f"Which brackets close {open_part}", f"close {open_part}")
    if task == "sudoku":
        grid = prompt.removeprefix("sudoku ")
        return one_of(f"Solve this sudoku: {grid}", f"Solve the 4x4 sudoku {grid}", f"Please solve {grid}")
    if task == "maze":
        grid = prompt.removeprefix("maze ")
        return one_of(f"Find the way through this maze: {grid}", f"Solve the maze {grid}", f"What is the shortest way from S to G? {grid}")
    if task == "boolean":
        return one_of("Are these true or false?\n" + prompt, "Evaluate:\n" + prompt)
    if task == "knights":
        return one_of("Knights tell the truth, knaves lie. Who is what?\n" + prompt, "Who is a knight and who is a knave?\n" + prompt)
    if task == "zebra":
        return one_of("Who lives where? " + prompt, "Solve this puzzle: " + prompt)
    return None
