"""What can be wrong with one cell of a Cluster, and how it is made so.

    with hurt(cluster, 1, "hung"):
        ...                          cell 1 is hung
    ...                              and has just been let go
"""
import contextlib
import time

import impostor

SLOW_S = 0.3
LIES = {"random_bytes": impostor.random_bytes,
        "wrong_seqid": impostor.wrong_seqid,
        "huge_length": impostor.huge_length,
        "half_a_frame": impostor.half_a_frame}
FAULTS = ("hung", "killed", "slow", *LIES)


def set_map(cluster, addresses):
    """The same homes, other addresses."""
    cluster.combctl("map", "set", *(f"{i}={address}" for i, address in
                                    enumerate(addresses)))


@contextlib.contextmanager
def hung(cluster, number):
    """Alive and silent."""
    daemon = cluster.cell_daemons[number]
    daemon.pause()
    try:
        yield
    finally:
        daemon.resume()


@contextlib.contextmanager
def killed(cluster, number):
    """Gone, and started again at the end."""
    daemon = cluster.cell_daemons[number]
    daemon.kill()
    try:
        yield
    finally:
        daemon.start()
        daemon.wait_readyz()


@contextlib.contextmanager
def slow(cluster, number):
    """Answers, and each a while later."""
    addresses = list(cluster.cells)
    with impostor.Relay(addresses[number], SLOW_S) as relay:
        addresses[number] = relay.address
        set_map(cluster, addresses)
        try:
            yield
        finally:
            set_map(cluster, cluster.cells)
            time.sleep(2 * SLOW_S)  # answers that are under way


@contextlib.contextmanager
def lying(cluster, number, lie):
    """Killed, and somebody answers nonsense in its place."""
    port = int(cluster.cells[number].rsplit(":", 1)[1])
    with killed(cluster, number):
        with impostor.Liar(port, lie) as liar:
            yield
            assert liar.connections, "nobody has asked the liar"


def hurt(cluster, number, fault):
    """A context in which the cell has the fault."""
    if fault in LIES:
        return lying(cluster, number, LIES[fault])
    return {"hung": hung, "killed": killed, "slow": slow}[fault](cluster,
                                                                number)
