"""Which points are measured, in which order, and what a point's repetitions come to."""

import dataclasses
import statistics

GET_KEY, GET_KEY_WITH_IDS, STATUS = "get_key", "get_key_with_ids", "status"


@dataclasses.dataclass(frozen=True)
class Point:
    keys: int
    connections: int
    operations: tuple
    new_connections: bool = False

    def label(self):
        each = ", a new connection for each request" if self.new_connections else ""
        return f"{self.keys} key{'s' if self.keys > 1 else ''}, {self.connections} connection{'s' if self.connections > 1 else ''}{each}"


def points(quick):
    both = (GET_KEY, GET_KEY_WITH_IDS)
    connections = (1, 64) if quick else (1, 16, 64, 256)
    matrix = [Point(keys, count, both) for keys in (1, 128) for count in connections]
    return [*matrix, Point(1, 64, both, new_connections=True), Point(1, 64, (STATUS,))]


def median_of(runs):
    """The medians of what several runs of the load generator say, and how far apart they were."""

    def middle(pick):
        return statistics.median(map(pick, runs))

    rates = [run["requests_per_second"] for run in runs]
    return {
        "requests_per_second": middle(lambda run: run["requests_per_second"]),
        "latency_us": {name: middle(lambda run, name=name: run["latency_us"][name]) for name in runs[0]["latency_us"]},
        "server_cpu_us_per_request": middle(lambda run: run["server_cpu_us_per_request"]),
        "generator_cpu_us_per_request": middle(lambda run: run["generator_cpu_us_per_request"]),
        "spread": round((max(rates) - min(rates)) / max(statistics.median(rates), 1e-9), 3),
        "not_200": sum(run["requests"] - run["ok"] for run in runs),
        "bytes_per_answer": sum(run["body_bytes"] for run in runs) / max(sum(run["ok"] for run in runs), 1),
    }


def rows_of(measured):
    """measured: {point: {who: [runs]}}, who being nginx or an operation. One row for each operation, next to its nginx."""
    rows = []
    for point, runs in measured.items():
        baseline = median_of(runs["nginx"])
        base_rates = [run["requests_per_second"] for run in runs["nginx"]]
        for operation in point.operations:
            if not runs.get(operation):
                continue
            result = median_of(runs[operation])
            # A ratio for each repetition, since the two sides of one repetition saw the same state of the machine.
            ratios = [run["requests_per_second"] / max(base, 1e-9) for run, base in zip(runs[operation], base_rates)]
            rows.append(
                {
                    "operation": operation,
                    "keys": point.keys,
                    "connections": point.connections,
                    "new_connections": point.new_connections,
                    "qkmsd": result,
                    "nginx": baseline,
                    "ratio": round(statistics.median(ratios), 3),
                    "ratio_min": round(min(ratios), 3),
                    "ratio_max": round(max(ratios), 3),
                }
            )
        if not any(runs.get(operation) for operation in point.operations):
            rows.append(
                {
                    "operation": "static",
                    "keys": point.keys,
                    "connections": point.connections,
                    "new_connections": point.new_connections,
                    "nginx": baseline,
                }
            )
    return rows
