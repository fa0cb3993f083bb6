"""Processes that we start: each on its core, watched until it listens, and ended by the handle that we hold."""
import os
import shutil
import socket
import subprocess
import time

from .failure import Failed

START_SECONDS = 120  # a hundred thousand routes take their time
STOP_SECONDS = 40  # DreamServer's drain has 30
PORTS = iter(range(18000, 32000))  # below those that clients get, so that no connection of a client sits on one


class Process:
    """A server, with its output in its folder."""

    def __init__(self, name, command, core, folder, output="output.log", environment=None):
        self.name, self.folder = name, folder
        program = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if not program:
            raise Failed(f"{name}: {command[0]} is not there")
        environment = {**os.environ, **(environment or {})}
        environment.pop("OPENSSL_CONF", None)  # says what our clients offer
        with open(folder / output, "ab") as out, open(folder / "errors.log", "ab") as errors:
            self.popen = subprocess.Popen(["taskset", "-c", str(core), program, *command[1:]], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=errors, cwd=folder, env=environment)

    @property
    def pid(self):
        return self.popen.pid

    def wait_for(self, port):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                break
            if listens(port):
                return
            time.sleep(0.02)
        raise Failed(f"{self.name} does not start:\n{self.last_words()}")

    def check(self):
        if self.popen.poll() is not None:
            raise Failed(f"{self.name} ended with status {self.popen.returncode}:\n{self.last_words()}")

    def last_words(self):
        files = [self.folder / "errors.log", self.folder / "error.log"]
        return "\n".join(file.read_text(errors="replace")[-2000:] for file in files if file.exists())

    def stop(self):
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def quietly(command):
    """Runs a program to its end; what it says is shown if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode:
        raise Failed(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def free_port():
    """A port that nobody has, and that was not given out before."""
    for port in PORTS:
        if can_bind(port):
            return port
    raise Failed("no port is free")


def can_bind(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False
