"""The firehose's figures: one HTTP client that reads a local log as fast as
it can."""
import json
import subprocess

TARGETS = ("comb-bench-firehose",)
AIM = 200_000  # events a second
LEAST = 2_000_000


def measure(program, report, directory, runs):
    """Runs over one log, which the first of them fills."""
    found = [json.loads(subprocess.run(
        [program, directory / "log", str(LEAST)], check=True, text=True,
        stdout=subprocess.PIPE).stdout) for _ in range(runs)]
    report.begin("stream", 0, events=LEAST)
    report.add("stream_events_per_s", [one["events_per_s"] for one in found],
               "1/s", aim=AIM)
    report.add("stream_bytes_per_event",
               [one["bytes_per_event"] for one in found], "B", less=True)
