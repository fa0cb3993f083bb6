"""One template a server, so that what differs between its configurations can be seen in one place.

`@{name}` is replaced by a value. A line that begins with `@word ` is there only if the word is among the flags, one with
`@!word ` only if it is not; both may be repeated.
"""
import re

from .failure import Failed

CONDITION = re.compile(r"@(!?)([a-z]+) ")
VALUE = re.compile(r"@\{([a-z_]+)\}")


def fill(text, flags, values):
    lines = [kept(line, flags) for line in text.splitlines()]
    return VALUE.sub(lambda found: value(found[1], values), "\n".join(line for line in lines if line is not None) + "\n")


def kept(line, flags):
    """The line without its conditions; None if one of them does not hold."""
    while found := CONDITION.match(line):
        if (found[2] in flags) == bool(found[1]):
            return None
        line = line[found.end():]
    return line


def value(name, values):
    if name not in values:
        raise Failed(f"a template asks for @{{{name}}}")
    return str(values[name])
