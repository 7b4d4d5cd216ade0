"""A consumer of the gateway's event stream; nothing but Python's own library.

    python3 stream.py http://127.0.0.1:9111 events.db [post,follow]

Every event ends up in the table `events` of an SQLite file exactly once,
whatever happens in between: the stream is cut, the gateway dies or comes back,
this program is killed. How:

- The place is kept with the effect. An event's row and the position of its
  line are written in one transaction, so that what is read again after a kill
  is what was not written.
- The event's id is the row's key. The log has an event twice where a producer
  was not sure and sent it again; the second changes nothing.
- The stream is asked for as server-sent events: these have a sign of life
  every 15 seconds, so silence for longer means that the peer is gone.
- What fails is tried again, soon and then less and less often. A refusal (a
  wrong parameter, a place that has expired) would be the same again: it ends
  the program, and somebody has to say what to do.
"""
import http.client
import json
import random
import sqlite3
import sys
import time
import urllib.parse

SILENCE_S = 45
PAUSE_FIRST_S, PAUSE_MOST_S = 0.1, 10
LINE_BYTES_MAX = 1 << 20


class Refused(Exception):
    """The same call would be refused again."""


class Effects:
    """What this program is for: here, a table of events."""

    def __init__(self, path):
        self.file = sqlite3.connect(path, isolation_level=None)
        self.file.executescript("""
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS events(
                id INTEGER PRIMARY KEY, kind TEXT, user INTEGER, line TEXT);
            CREATE TABLE IF NOT EXISTS place(
                one INTEGER PRIMARY KEY CHECK (one = 1), position TEXT,
                undecodable INTEGER);
            INSERT OR IGNORE INTO place VALUES (1, NULL, 0);""")

    def position(self):
        """What to go on behind; None at the first start."""
        return self.file.execute("SELECT position FROM place").fetchone()[0]

    def apply(self, position, event):
        """One event and its position, or neither."""
        self.file.execute("BEGIN IMMEDIATE")
        if event["kind"] == "undecodable":
            # All readers pass over the same records; count them.
            self.file.execute(
                "UPDATE place SET undecodable = undecodable + 1")
        else:
            self.file.execute("INSERT OR IGNORE INTO events VALUES (?,?,?,?)",
                              (event["id"], event["kind"], event["user"],
                               json.dumps(event)))
        self.file.execute("UPDATE place SET position = ?", (position,))
        self.file.execute("COMMIT")

    def move(self, position):
        """Nothing came, but the place has moved on over what is filtered."""
        self.file.execute("UPDATE place SET position = ?", (position,))


def open_stream(url, position, kinds):
    """The response of GET /v1/stream from a place on."""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port or 80,
                                            timeout=SILENCE_S)
    query = {"since": "earliest", "format": "sse"}
    if kinds:
        query["kinds"] = kinds
    headers = {}
    if position:
        del query["since"]
        headers["Last-Event-ID"] = position
    connection.request("GET", "/v1/stream?" + urllib.parse.urlencode(query),
                       headers=headers)
    response = connection.getresponse()
    if response.status == 200:
        return connection, response
    reason = response.read(4096).decode(errors="replace").strip()
    connection.close()
    if 400 <= response.status < 500:
        raise Refused(f"{response.status} {reason}")
    raise OSError(f"{response.status} {reason}")


def read_stream(response):
    """(position, event) of each; event is None for a sign of life.

    Ends with an OSError: a stream that is over is a stream that was cut.
    """
    position = event = None
    while True:
        line = response.readline(LINE_BYTES_MAX)
        if not line.endswith(b"\n"):
            raise OSError("the stream was cut")
        text = line.decode().rstrip("\r\n")
        if text.startswith("id:"):
            position = text[3:].strip()
        elif text.startswith("data:"):
            event = json.loads(text[5:])
        elif not text and position:
            # An empty line ends an event: half of one is never used.
            if event and event["kind"] == "stopped":
                raise OSError("the gateway says: " + event["reason"])
            yield position, event
            event = None


def consume(url, effects, kinds):
    """For ever, or until something is refused."""
    pause_s = PAUSE_FIRST_S
    while True:
        connection = None
        try:
            connection, response = open_stream(url, effects.position(), kinds)
            for position, event in read_stream(response):
                if event:
                    effects.apply(position, event)
                else:
                    effects.move(position)
                pause_s = PAUSE_FIRST_S
        except (OSError, http.client.HTTPException) as error:
            # Not all at the same moment where many were cut off at once.
            wait_s = pause_s * random.uniform(0.5, 1)
            print(f"{error or type(error).__name__}; again in {wait_s:.2f} s",
                  file=sys.stderr, flush=True)
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, PAUSE_MOST_S)
        finally:
            if connection:
                connection.close()


def main():
    """Read the command line and go."""
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: stream.py URL DATABASE [KIND,...]")
    try:
        consume(sys.argv[1], Effects(sys.argv[2]),
                sys.argv[3] if len(sys.argv) > 3 else None)
    except Refused as error:
        sys.exit(f"refused: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
