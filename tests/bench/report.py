"""Figures beside their peers and limits: a table, or JSON, a line a figure."""
import json
import statistics
import sys

COLUMNS = (("figure", 34), ("value", 11), ("min", 11), ("max", 11),
           ("unit", 6), ("peer", 18), ("peer's", 11), ("ratio", 8),
           ("limit", 11), ("us/op", 8), ("RSS MB", 8))
LEFT = ("figure", "unit", "peer")


def number(value):
    """As people read it: three digits that count."""
    if value is None:
        return ""
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:,.{digits}f}"


class Report:
    """Prints what it is given; begin() says whose figures follow."""

    def __init__(self, as_json, commit):
        self.as_json = as_json
        self.commit = commit
        self.common = {}

    def begin(self, name, seed, **common):
        """A benchmark's figures come next."""
        self.common = {"id": name, "seed": seed, "commit": self.commit,
                       **common}
        if not self.as_json:
            facts = ", ".join(f"{k} {v}" for k, v in self.common.items()
                              if k != "id")
            print(f"\n{name}  {facts}")
            self._row({name: name for name, _ in COLUMNS})

    def note(self, text):
        """A sentence under the table; JSON has none."""
        if not self.as_json:
            print(f"  {text}")
            sys.stdout.flush()

    def _row(self, cells):
        print(" ".join(f"{cells.get(name, ''):<{width}}" if name in LEFT
                       else f"{cells.get(name, ''):>{width}}"
                       for name, width in COLUMNS).rstrip())
        sys.stdout.flush()

    def add(self, figure, values, unit, aim=None, **more):
        """One figure of one or more runs.

        aim, or limit in more: what the machine allows or the project wants.
        peer, peer_values: whose figure of the same runs stands beside it.
        less: TRUE where less is better; the ratio is then turned round.
        cpu_us, rss: server time an operation, bytes of memory.
        """
        value = statistics.median(values)
        peer_values = more.pop("peer_values", None)
        peer_value = statistics.median(peer_values) if peer_values else None
        less = more.pop("less", False)
        ratio = None
        if peer_value and value:
            ratio = peer_value / value if less else value / peer_value
        limit = more.pop("limit", aim)
        line = {**self.common, "figure": figure, "value": value, "unit": unit,
                "peer": more.pop("peer", None), "peer_value": peer_value,
                "ratio": ratio, "limit": limit, "min": min(values),
                "max": max(values), "runs": len(values), **more}
        if self.as_json:
            print(json.dumps(line))
            sys.stdout.flush()
            return
        self._row({"figure": figure, "value": number(value),
                   "min": number(line["min"]), "max": number(line["max"]),
                   "unit": unit,
                   "peer": " ".join(filter(None, (
                       line["peer"], line.get("peer_level")))),
                   "peer's": number(peer_value), "ratio": number(ratio),
                   "limit": number(limit), "us/op": number(more.get("cpu_us")),
                   "RSS MB": number(more["rss"] / 1e6 if "rss" in more
                                    else None)})
