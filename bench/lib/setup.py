"""What a run needs before it begins: Debian's packages, our release binary, the two programs in C."""
import json
import os
import shutil
import subprocess

from .failure import Failed
from .processes import quietly
from .servers import PEERS
from .stage import BENCH

TOOLS = {"wrk": "wrk", "taskset": "util-linux", "gcc": "gcc", "openssl": "openssl",
         "brotli": "brotli", "zstd": "zstd"}
HEADERS = "/usr/include/stdio.h"  # gcc alone does not bring them


def install(servers):
    """What is missing; as another user than root, only its command."""
    wanted = TOOLS | {peer.command[0]: peer.package for peer in PEERS if peer.package and peer.name in servers}
    missing = {package for program, package in wanted.items() if not there(program)}
    if not os.path.exists(HEADERS):
        missing.add("libc6-dev")
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *sorted(missing)]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed("first do: sudo " + " ".join(command))
    quietly(["apt-get", "update"])
    quietly(command)


def there(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def build():
    """Our release binary."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--package", "dreamserver"], cwd=BENCH, check=True)
    return os.path.join(target_folder(), "release", "dreamserver")


def target_folder():
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=BENCH, check=True,
                              capture_output=True, text=True).stdout
    return json.loads(metadata)["target_directory"]


def compile_c(source, folder):
    program = os.path.join(folder, source.stem)
    quietly(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, str(source), "-lm"])
    return program
