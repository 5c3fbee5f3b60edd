"""An emulator that waits awake: the same answers, and asleep where nothing comes."""

from __future__ import annotations

import asyncio
import socket
import time

import pyvisa

from sim_backend.b1500a import emulate
from sim_backend.b1500a.alert import AlertSelector, event_loop


def test_an_alert_emulator_answers_as_a_sleepy_one_does() -> None:
    manager = pyvisa.ResourceManager("@py")
    answers = []
    for alert in (0.0, 1e-3):
        with emulate(alert=alert) as emulator:
            session = manager.open_resource(
                emulator.resources["SOCKET"], read_termination="\r\n", write_termination="\r\n"
            )
            answers.append([session.query(one) for one in ("*IDN?", "UNT?", "ERRX?", "*OPC?")])
            session.close()
    manager.close()
    assert answers[0] == answers[1]


def test_nothing_to_do_is_waited_for_asleep() -> None:
    """Of 0.2 s without a message, an alert of 1 ms takes a few of the processor's milliseconds."""
    loop = event_loop(1e-3)
    busy = time.thread_time()
    loop.run_until_complete(asyncio.sleep(0.2))
    busy = time.thread_time() - busy
    loop.close()
    assert busy < 0.05


def test_a_wait_shorter_than_the_alert_is_kept() -> None:
    selector = AlertSelector(10.0)
    ours, theirs = socket.socketpair()
    selector.register(ours, 1)
    started = time.monotonic()
    assert selector.select(0.01) == []
    assert 0.01 <= time.monotonic() - started < 5.0
    theirs.send(b"1")
    assert [key.fileobj for key, _ in selector.select(0.01)] == [ours]
    selector.close()
    ours.close()
    theirs.close()
