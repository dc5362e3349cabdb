"""What wakes a loop that waits for several things at once."""

import os
import threading
from multiprocessing.connection import wait

from pipetask.executors.wakeup import Wakeup


def is_readable(wakeup: Wakeup, seconds: float = 0) -> bool:
    return bool(wait([wakeup.fileno()], seconds))


def test_it_is_readable_from_a_call_of_any_thread_until_it_is_acknowledged() -> None:
    wakeup = Wakeup()
    assert not is_readable(wakeup)
    thread = threading.Thread(target=wakeup.wake)
    thread.start()
    assert is_readable(wakeup, 60)
    thread.join()
    wakeup.acknowledge()
    assert not is_readable(wakeup)
    wakeup.close()


def test_any_number_of_calls_is_one() -> None:
    wakeup = Wakeup()
    for _ in range(100_000):  # more than a pipe takes
        wakeup.wake()
    wakeup.acknowledge()
    assert not is_readable(wakeup)
    wakeup.close()


def test_a_late_call_does_not_write_to_what_was_opened_since() -> None:
    wakeup = Wakeup()
    wakeup.close()
    read_end, write_end = os.pipe()  # which get the numbers of those that were closed
    wakeup.wake()
    assert not wait([read_end], 0)
    os.close(read_end)
    os.close(write_end)
