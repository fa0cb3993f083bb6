"""Tables of routes for DreamServer: one route, and a hundred thousand that answer the same."""

SITES, ROUTES = 1000, 100  # of each site; bench/load/wrk.lua asks for them
BODY = "fine\n"
ONE, MANY = "one", "many"


def table(size):
    """The part of the configuration that has the sites."""
    if size != MANY:
        return f'[sites."*"]\nrespond = {quoted(BODY)}\n'
    return "".join(site(number) for number in range(SITES))


def site(number):
    host = f"site-{number}.example.com"
    return f'[sites."{host}"]\n' + "".join(route(host, part) for part in range(ROUTES))


def route(host, part):
    return f'[[sites."{host}".routes]]\npath = "/part-{part}/page"\nrespond = {quoted(BODY)}\n'


def quoted(text):
    return '"' + text.replace("\n", "\\n") + '"'
