"""What stands around the servers: a folder, the files that they serve, and which core is whose."""
import os
import resource
from dataclasses import dataclass
from pathlib import Path

from . import contents, tls

BENCH = Path(__file__).resolve().parent.parent
FILES = {"1k.txt": 1 << 10, "100k.txt": 100 << 10, "1m.txt": 1 << 20}
SPARE_FILES = 500  # descriptors that a server needs for itself


@dataclass(frozen=True)
class Cores:
    server: int
    load: int
    origin: int


class Stage:
    def __init__(self, folder, cores, floor, pace):
        self.folder, self.cores, self.floor, self.pace = Path(folder), cores, floor, pace
        self.folder.chmod(0o755)  # servers give up root's rights before they read the files
        self.files_open = raise_limit()
        os.sched_setaffinity(0, [cores.load])
        self.contents = contents.files()
        self.site = self.write_files()
        self.certificate = tls.make_certificate(self.folder)

    def write_files(self):
        site = self.folder / "site"
        site.mkdir()
        for name, length in FILES.items():
            (site / name).write_bytes(b"x" * length)
        for name, content in self.contents.items():
            (site / name).write_bytes(content)
        return site

    @property
    def connections_max(self):
        """Connections that a proxy may promise: each needs two descriptors."""
        return (self.files_open - SPARE_FILES) // 2


def raise_limit():
    """As many open files as the system allows, for us and for those that we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
