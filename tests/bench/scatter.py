"""The page as a join: PostgreSQL asks each author followed, at reading time."""
import re
import subprocess

import peers

# Ids of each author by index alone, then the bodies of the newest.
PAGE_SQL = r"""\set r random(1, :readers)
SELECT p.id, p.author, p.body FROM (
  SELECT t.id FROM follows f CROSS JOIN LATERAL (
    SELECT id FROM posts WHERE author = f.author ORDER BY id DESC LIMIT {page}
  ) t WHERE f.user_id = (SELECT user_id FROM readers WHERE n = :r)
  ORDER BY t.id DESC LIMIT {page}
) newest JOIN posts p USING (id) ORDER BY p.id DESC;
"""

TABLES = (
    ("follows", "user_id bigint, author bigint", "copy-follows",
     "ALTER TABLE follows ADD PRIMARY KEY (user_id, author)"),
    ("posts", "id bigint PRIMARY KEY, author bigint, body text", "copy-posts",
     "CREATE INDEX ON posts (author, id)"),
)


class Scatter:
    """A database with a page world in it, for some runs of pgbench."""

    def __init__(self, world, page, base, scratch):
        self.world = world
        self.page = page
        self.base = base
        self.script = scratch / "page.sql"
        self.readers = len(world.readers.read_text().split())

    def fill(self):
        """Tables, rows, indexes."""
        for table, columns, command, index in TABLES:
            self.base.psql(f"CREATE TABLE {table} ({columns})")
            with self.world.pipe(command) as rows:
                self.base.psql(f"COPY {table} FROM STDIN", stdin=rows.stdout)
            self.base.psql(index)
        self.base.psql("CREATE TABLE readers (n serial PRIMARY KEY, "
                       "user_id bigint)")
        with open(self.world.readers, "rb") as rows:
            self.base.psql("COPY readers (user_id) FROM STDIN", stdin=rows)
        for table in ("follows", "posts", "readers"):
            self.base.psql(f"VACUUM ANALYZE {table}")
        self.script.write_text(PAGE_SQL.format(page=self.page))

    def run(self, connections, seconds, pin):
        """Pages a second, readers all alike."""
        done = subprocess.run(
            [self.base.program("pgbench"), "-h", self.base.socket.name, "-U",
             "postgres", "-n", "-M", "prepared", "-c", str(connections), "-j",
             "1", "-T", str(seconds), "-D", f"readers={self.readers}", "-f",
             self.script, "postgres"], text=True, capture_output=True,
            check=True, preexec_fn=pin)
        return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def measure(world, page, shape, times, pin):
    """Some runs over a fresh cluster; pages a second of each."""
    connections, _ = shape
    runs, seconds = times
    with peers.Scratch(world) as scratch, peers.Postgres(scratch) as base:
        scatter = Scatter(world, page, base, scratch)
        scatter.fill()
        scatter.run(connections, seconds, pin)
        return [scatter.run(connections, seconds, pin) for _ in range(runs)]
