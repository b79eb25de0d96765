#!/usr/bin/env python3
"""Writes the conversations that nano learns besides the generated tasks, as JSON lines that `minimax train sft` reads.

    make_conversations.py talk  --count N --seed S [--words FILE]   about itself, and about what it cannot do
    make_conversations.py ask   --seed S < tasks.jsonl              problems of `minimax train data`, asked in plain English

The same arguments give the same bytes.
"""
import argparse
import json
import random
import re
import sys

from talk import talk


def phrase(task, prompt, rng):
    """The problem in other words; None: this task has only its own."""
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
    if task == "date":
        date, days = re.match(r"(\S+) \+(\d+) days", prompt).groups()
        return one_of(f"What date is {days} days after {date}?", f"Which day is {days} days after {date}?", f"{date} plus {days} days",
                      f"Add {days} days to {date}.")
    if task == "next_number":
        numbers = prompt.removeprefix("next: ").split()
        listed = ", ".join(numbers)
        return one_of(f"What comes next: {listed}?", f"What is the next number: {listed}, ...", f"Continue the sequence {listed}.",
                      f"Which number follows {listed}?")
    if task == "brackets":
        open_part = prompt.removeprefix("close: ")
        return one_of(f"Close these brackets: {open_part}", f"Which brackets close {open_part}", f"close {open_part}")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["talk", "ask"])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words", help="a text whose words questions are made of")
    args = parser.parse_args()
    rng = random.Random(f"{args.kind} {args.seed}")
    if args.kind == "ask":
        for line in sys.stdin:
            record = json.loads(line)
            asked = phrase(record["task"], record["messages"][-2]["content"], rng)
            if asked:
                record["messages"][-2]["content"] = asked
                sys.stdout.write(json.dumps(record) + "\n")
        return
    words = []
    if args.words:
        with open(args.words, encoding="utf-8") as file:
            words = sorted({word for word in re.findall(r"\b[a-z]{3,10}\b", file.read(3_000_000))})
    for _ in range(args.count):
        sys.stdout.write(json.dumps(talk(rng, words)) + "\n")


if __name__ == "__main__":
    main()
