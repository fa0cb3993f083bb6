"""A state folder as the server itself would have written it, so that a measurement need not announce a million names."""
import zlib

MULTIPLIER = 0x9E37_79B1
GENERATION = 1
SINCE = 1763757000


def name(number):
    """Of 20 bytes, without an order that memory could follow. Other programs know this too: load/wrk.lua, load/flood.c."""
    return f"{number * MULTIPLIER % 2**32:08x}.example.com"


def write(folder, ports, names, journals=1):
    """A checkpoint of so many names, which lead to these ports in turn, and empty journals behind it."""
    folder.mkdir(mode=0o700, parents=True)
    owned = sorted((name(number), ports[number % len(ports)]) for number in range(names))
    lines = [header("checkpoint", GENERATION, names)]
    lines += [seal(f"{number} set {domain} {port} owner=0 since={SINCE}", GENERATION) for number, (domain, port) in enumerate(owned, 1)]
    lines.append(seal(f"{names + 1} end", GENERATION))
    (folder / f"checkpoint-{GENERATION:08}.txt").write_text("".join(lines))
    for generation in range(GENERATION, GENERATION + journals):
        (folder / f"journal-{generation:08}.txt").write_text(header("journal", generation, names))


def header(kind, generation, after):
    return seal(f"dreamserver {kind} 1 {generation} after {after} repeats {after}", generation)


def seal(text, generation):
    return f"{text} {zlib.crc32(text.encode(), generation):08x}\n"
