"""One scenario from start to end: everyone starts, rounds go A B C A B C, everyone stops."""
from statistics import median

from . import coding, handshakes, idle, pace, proc, scenarios, wrk
from .contestant import Contestant
from .failure import Failed
from .figures import of_rounds
from .servers import OURS, PEERS, why_not
from .stage import SPARE_FILES

WARM_SECONDS = CALIBRATION_SECONDS = 1
IDLE_ROUNDS = 3  # memory is not a matter of chance; these show it
DRIVERS = {"wrk": wrk.drive, "pace": pace.drive, "handshakes": handshakes.drive}


class Comparison:
    """`figures`, `left_out` and `failed` are by label, and are what the report is made of."""

    def __init__(self, scenario, stage, choice, say):
        self.scenario, self.stage, self.choice, self.say = scenario, stage, choice, say
        self.figures, self.left_out, self.failed = {}, {}, {}
        self.rate = 0

    def run(self):
        contestants = self.contestants()
        if self.scenario.driver == "idle":
            self.measure_memory(contestants)
        else:
            self.race(contestants)

    # ---- who takes part

    def contestants(self):
        """Ours first, then what ours is compared with."""
        missing = self.missing_files()
        ours = [] if missing else [self.make(label, OURS, binary) for label, binary in self.choice.builds.items()]
        if len(ours) == 1:
            ours += [self.make(label, OURS, ours[0].binary, differences) for label, differences in self.scenario.twins]
        if self.scenario.handler == "routes":
            self.left_out["peers"] = "are not asked: DreamServer is compared with itself"
            return ours
        peers = []
        for server in (each for each in PEERS if each.name in self.choice.servers):
            reason = missing or self.scenario.without.get(server.name) or why_not(server, self.scenario)
            if reason:
                self.left_out[server.name] = reason
            else:
                peers.append(self.make(server.name, server, None))
                twins = self.scenario.twins_of_peers.get(server.name, ())
                peers += [self.make(label, server, None, differences) for label, differences in twins]
        if missing:
            self.left_out[OURS.name] = missing
        return ours + peers

    def make(self, label, server, binary, differences=None):
        scenario = scenarios.changed(self.scenario, differences or {})
        return Contestant(label, server, scenario, self.stage, binary)

    def missing_files(self):
        each = 2 if self.scenario.handler == "proxy" else 1
        needed = self.scenario.connections * each + SPARE_FILES
        if needed <= self.stage.files_open:
            return None
        return f"needs {needed} open files; the limit of this system is {self.stage.files_open}"

    # ---- rounds

    def race(self, contestants):
        try:
            self.each(contestants, Contestant.start)
            self.choose_rate(contestants)
            self.each(contestants, self.warm_up)
            for _ in range(self.choice.rounds * self.scenario.more):
                self.each(contestants, self.add_round)
            self.each(contestants, self.sum_up)
        finally:
            for contestant in contestants:
                contestant.stop()
        self.each(contestants, check_log)

    def warm_up(self, contestant):
        contestant.not_counted.append(self.drive(contestant, WARM_SECONDS))
        if self.scenario.coding:
            coding.settle(contestant)

    def add_round(self, contestant):
        contestant.rounds.append(self.drive(contestant, self.choice.seconds))

    def drive(self, contestant, seconds):
        result = DRIVERS[contestant.scenario.driver](contestant, seconds, self.rate)
        contestant.process.check()
        self.say(f"  {contestant.label:24}{result.per_second:12.0f}/s"
                 f"{result.reading.cpu.total / result.requests * 1e6:12.2f} µs")
        return result

    def sum_up(self, contestant):
        sizes = coding.sizes(contestant) if self.scenario.coding else {}
        self.figures[contestant.label] = of_rounds(contestant.rounds, proc.resident(contestant.process.pid)) | sizes

    def choose_rate(self, contestants):
        """Half of what the slowest of the fast peers can do; of ours, if none of them is here."""
        if not self.scenario.half_rate:
            return
        standing = [each for each in contestants if each.label not in self.failed]
        fast = [each for each in standing if each.server.fast] or standing
        capacities = []
        self.each(fast, lambda one: capacities.append(wrk.drive(one, CALIBRATION_SECONDS).per_second))
        self.rate = round(min(capacities) / 2) if capacities else 0
        self.say(f"  {self.rate} requests a second")

    # ---- memory

    def measure_memory(self, contestants):
        for _ in range(min(IDLE_ROUNDS, self.choice.rounds)):
            self.each(contestants, self.add_memory)
        self.each(contestants, self.sum_up_memory)

    def add_memory(self, contestant):
        """Each time in a new process: memory that is given back inside of it would not be seen."""
        contestant.start()
        try:
            contestant.rounds.append(idle.measure(contestant))
        finally:
            contestant.stop()

    def sum_up_memory(self, contestant):
        sizes = {str(many): median(one[many] for one in contestant.rounds) for many in scenarios.MANY}
        self.figures[contestant.label] = {"idle_bytes": sizes}
        self.say(f"  {contestant.label:24}" + ", ".join(f"{size:.0f} bytes each of {many}" for many, size in sizes.items()))

    # ---- failures

    def each(self, contestants, action):
        """Who fails is out of the scenario, and that is said; the others go on."""
        for contestant in contestants:
            if contestant.label in self.failed:
                continue
            try:
                action(contestant)
            except Failed as failure:
                self.failed[contestant.label] = str(failure)
                self.figures.pop(contestant.label, None)
                self.say(f"  FAILED {contestant.label}: {failure}")


def check_log(contestant):
    """A log that lost lines was not paid for."""
    if not contestant.scenario.log:
        return
    requests = sum(each.requests for each in contestant.not_counted + contestant.rounds)
    if (lines := contestant.log_lines()) < requests:
        raise Failed(f"{contestant.label} answered {requests:.0f} requests and logged {lines}")
