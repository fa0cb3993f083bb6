"""One server in one scenario: its configuration, its process, and the proof that it does what is measured."""
import os
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from . import coding, contents, routes, tls
from .failure import Failed
from .origin import Origin
from .processes import Process, free_port
from .stage import BENCH
from .template import fill

UPLOAD = 10 * 1024 * 1024


class Contestant:
    def __init__(self, label, server, scenario, stage, binary):
        self.label, self.server, self.scenario, self.stage, self.binary = label, server, scenario, stage, binary
        self.folder = stage.folder / scenario.name / label.replace(" ", "-").replace(",", "")
        self.process = self.origin = None
        self.port = None
        self.fields = scenario.fields
        self.body_bytes = None  # of the last answer that was looked at
        self.not_counted, self.rounds = [], []  # of load, while the server ran

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o777)  # a server that gave up root's rights writes its files here too
        self.port = free_port()
        if self.scenario.handler == "proxy":
            self.origin = Origin(self.label, self.stage, self.folder / "origin")
        command = [part.format(**self.places()) for part in self.server.command]
        environment = {name: text.format(**self.places()) for name, text in self.server.environment.items()}
        self.configure()
        self.process = Process(self.label, command, self.stage.cores.server, self.folder, self.server.output, environment)
        self.process.wait_for(self.port)
        self.prove()

    def stop(self):
        for each in (self.process, self.origin):
            if each:
                each.stop()

    def places(self):
        return {"binary": self.binary, "config": self.folder / "config", "folder": self.folder, "port": self.port,
                "floor": self.stage.floor, "orders": self.stage.site / contents.ORDERS}

    def configure(self):
        if not self.server.template:
            return
        template = (BENCH / "peers" / self.server.template).read_text()
        (self.folder / "config").write_text(fill(template, self.flags(), self.values()))

    def flags(self):
        said = {"log": self.scenario.log, "fields": not self.scenario.bare, "root": os.geteuid() == 0,
                "tls": self.scenario.tls, "coded": bool(self.scenario.coding)}
        return {self.scenario.handler} | {flag for flag, holds in said.items() if holds}

    def values(self):
        return {"port": self.port, "origin": self.origin and self.origin.port, "site": self.stage.site,
                "folder": self.folder, "pool": self.scenario.pool, "files_open": self.stage.files_open,
                "connections_max": self.stage.connections_max, **vars(self.stage.certificate), "scheme": self.scheme,
                "routes": routes.table(self.scenario.routes), "gzip_level": self.scenario.gzip_level}

    @property
    def scheme(self):
        return "https" if self.scenario.tls else "http"

    # ---- the proof

    def prove(self):
        """Asks once, as the load will."""
        if self.scenario.conditional:
            self.fields = (*self.scenario.fields, ("If-None-Match", self.entity_tag()))
        status, head, body = self.ask(self.fields)
        self.body_bytes = len(body)
        if self.scenario.coding:
            body = coding.original(self, head, body)
        if status != self.scenario.status or (self.scenario.length and len(body) != self.scenario.length):
            raise Failed(f"{self.label} answers {self.scenario.path} with {status} and {len(body)} bytes")

    def entity_tag(self):
        tag = self.ask(self.scenario.fields)[1].get("ETag")
        if not tag:
            raise Failed(f"{self.label} sends no ETag")
        return tag

    def ask(self, fields):
        method, body = ("POST", b"x" * UPLOAD) if self.scenario.mode == "upload" else ("GET", None)
        connection = self.connection()
        try:
            connection.connect()
            if self.scenario.tls:
                tls.check(self.label, connection.sock)
            connection.request(method, self.scenario.path, body, dict(fields))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, HTTPException) as error:
            raise Failed(f"{self.label} does not answer: {error!r}\n{self.process.last_words()}") from error
        finally:
            connection.close()

    def connection(self):
        if self.scenario.tls:
            return HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.stage.certificate.client)
        return HTTPConnection("127.0.0.1", self.port, timeout=10)

    def log_lines(self):
        """Lines of the access log, in all its files."""
        return sum(count_lines(file) for file in self.folder.glob("access*"))


def count_lines(path):
    with open(path, "rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
