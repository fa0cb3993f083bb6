"""What is compressed in the scenarios that ask for a coding: answers of an API and a script of a page, made up, the same on each
machine, and as easy to compress as real ones: gzip makes a fifth of them."""
import json
import random
from datetime import datetime, timedelta

ORDERS, SCRIPT = "orders.json", "script.js"
LENGTH = 100 * 1024
SEED = 6
FIRST_NAMES = """Ada Bela Chidi Dagny Emre Farah Goran Hana Ines Jonas Kofi Leila Marek Nadia Olu Petra Quentin Rosa Sven Tariq
Uma Viktor Wanda Xenia Yusuf Zofia""".split()
LAST_NAMES = """Abara Bergmann Castillo Dvorak Eriksen Fontaine Gallagher Hashimoto Ivanova Jankowski Kowalczyk Lindqvist Moreau
Nakamura Oyelaran Petrov Quispe Rossi Sandoval Tanaka Ueda Vasquez Weber Xu Yilmaz Zimmermann""".split()
CITIES = """Aarhus Bilbao Cork Dresden Esbjerg Florence Ghent Hamburg Innsbruck Kaunas Lisbon Malmö Nantes Oulu Porto Riga Salzburg
Tampere Utrecht Vilnius""".split()
GOODS = """armchair bookshelf candle desk envelope folder guitar hammer inkwell jacket kettle lamp mirror notebook oven pillow quilt
rug stool teapot umbrella vase wardrobe""".split()
STATES = ("pending", "paid", "packed", "shipped", "delivered", "returned")
VERBS = """add apply attach build cancel check clear close collect compare create emit fetch find flush format handle init insert
load merge normalize notify open parse read remove render replace reset resolve schedule select set sort store sync toggle update
validate wrap""".split()
NOUNS = """action buffer cache callback child component context counter cursor data element entry error event field filter form
frame group handler header index item key label layer layout listener message model node option order page panel parent path
pointer query queue range record region request response result route row scope selection session signal state store style table
target template text timer token tree value view widget window""".split()
WORDS = """after all already always and before because been called changes every first from has held here is it last left may more
must never next not nothing of once only other same seen so that the then there this until what when which while who will with
without""".split()


def files():
    """By their names."""
    return {ORDERS: orders(), SCRIPT: script()}


def orders(length=LENGTH):
    """A list as an API gives it, in JSON without spaces, filled up to `length` with spaces behind its end."""
    chance, head, parts = random.Random(SEED), '{"orders":[', []
    size = len(head) + len("]}")
    while True:
        text = json.dumps(order(chance, len(parts)), ensure_ascii=False, separators=(",", ":"))
        size += len(text.encode()) + len(",")
        if size > length:
            return (head + ",".join(parts) + "]}").encode().ljust(length)
        parts.append(text)


def order(chance, number):
    first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
    at = datetime(2026, 1, 1) + timedelta(seconds=97 * number + chance.randrange(90))
    lines = [{"article": f"{chance.choice(GOODS)}-{chance.randrange(400)}", "quantity": chance.randrange(1, 6),
              "price": chance.randrange(100, 20000) / 100} for _ in range(chance.randrange(1, 4))]
    return {
        "id": f"{chance.getrandbits(64):016x}",
        "number": 40000 + number,
        "created_at": at.isoformat() + "Z",
        "state": chance.choice(STATES),
        "customer": {"name": f"{first} {last}", "email": f"{first}.{last}@example.com".lower(), "city": chance.choice(CITIES),
                     "newsletter": chance.random() < 0.3, "discount": None if chance.random() < 0.6 else chance.randrange(5, 30)},
        "lines": lines,
        "total": round(sum(line["quantity"] * line["price"] for line in lines), 2),
    }


def script(length=LENGTH):
    """Functions as people write them, with their comments, cut off at `length`."""
    chance, text = random.Random(SEED), []
    while sum(map(len, text)) < length:
        text.append(function(chance))
    return "".join(text).encode()[:length]


def function(chance):
    names = [often(chance, NOUNS) for _ in range(chance.randrange(1, 4))]
    body = "".join(statement(chance, names, "  ") for _ in range(chance.randrange(2, 8)))
    return f"/** {sentence(chance)} */\nexport function {name(chance)}({', '.join(names)}) {{\n{body}  return {names[-1]};\n}}\n\n"


def statement(chance, names, indent):
    kind, one, inner = chance.randrange(8), chance.choice(names), indent + "  "
    if kind == 0:
        return f"{indent}// {sentence(chance)}\n{indent}{one}.{often(chance, NOUNS)} = {value(chance, names)};\n"
    if kind == 1:
        return f"{indent}if ({one} === undefined) {{\n{inner}throw new TypeError('{one} is missing');\n{indent}}}\n"
    if kind == 2:
        return f"{indent}const {name(chance)} = this.{often(chance, NOUNS)}.get({value(chance, names)}) ?? null;\n"
    if kind == 3 and len(indent) < 8:
        each = often(chance, NOUNS)
        return f"{indent}for (const {each} of {one}.{each}s) {{\n{statement(chance, [*names, each], inner)}{indent}}}\n"
    if kind == 4 and len(indent) < 8:
        return f"{indent}if ({one}.{often(chance, NOUNS)} === {value(chance, names)}) {{\n{statement(chance, names, inner)}{indent}}}\n"
    return f"{indent}{one}.{name(chance)}({', '.join(value(chance, names) for _ in range(chance.randrange(3)))});\n"


def value(chance, names):
    kind = chance.randrange(5)
    if kind == 0:
        return str(chance.randrange(100))
    if kind == 1:
        return f"'{often(chance, NOUNS)}-{often(chance, NOUNS)}'"
    return chance.choice((chance.choice(names), "null", "true", f"this.{often(chance, NOUNS)}"))


def name(chance):
    return often(chance, VERBS) + often(chance, NOUNS).capitalize()


def sentence(chance):
    return " ".join(often(chance, WORDS if chance.random() < 0.6 else NOUNS) for _ in range(chance.randrange(3, 9))).capitalize() + "."


def often(chance, words):
    """Some words are used much more than others."""
    return words[int(len(words) * chance.random() ** 3)]
