"""A line of a report that is printed."""


def figure(text, value, bar=""):
    print(f"  {text:58}{value:>16}   {bar}".rstrip(), flush=True)
