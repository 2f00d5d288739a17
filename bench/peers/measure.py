import sys
import time

import psutil


def timed(work):
    """Wall time and time of the CPU (all threads) of one piece of work, in milliseconds."""
    used, start = time.process_time(), time.perf_counter()
    value = work()
    ms = 1000 * (time.perf_counter() - start)
    return {"ms": ms, "cpuMs": 1000 * (time.process_time() - used)}, value


def fastest(call, seconds):
    """The fastest of the calls that fit into `seconds`, at least three; cpuMs is of all of them."""
    best, calls = float("inf"), 0

    def many():
        nonlocal best, calls
        until = time.perf_counter() + seconds
        while calls < 3 or time.perf_counter() < until:
            start = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - start)
            calls += 1

    timing, _ = timed(many)
    return {"ms": 1000 * best, "cpuMs": timing["cpuMs"], "calls": calls}


def peak_bytes():
    """The largest resident size of this process so far."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
