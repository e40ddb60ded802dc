"""Runs the cases of a file and prints the results. Several run at a time, because most of them wait for a deadline."""

import concurrent.futures
import pathlib
import sys
import tempfile
import threading
import time
import traceback

from program import Scene, away_from_midnight

_printing = threading.Lock()
_cases = []


def case(function):
    """Marks a function as a case. Its name is a sentence that must be true."""
    _cases.append(function)
    return function


def _attempt(function, binary):
    """The failure, or None."""
    started = time.monotonic()
    name = function.__name__
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        scene = Scene(binary, pathlib.Path(folder))
        try:
            function(scene)
            failure = None
        except Exception:
            failure = f"{traceback.format_exc()}{scene.last_words()}"
        finally:
            scene.close()
    with _printing:
        print(
            f"{'ok' if failure is None else 'FAILED':6} {name.replace('_', ' ')}, {time.monotonic() - started:.1f} s", flush=True
        )
        if failure:
            print(failure, flush=True)
    return failure


def run(at_once=6):
    """FILE BINARY [PART OF A NAME]. The exit status is 1 if a case failed."""
    away_from_midnight()
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    chosen = [function for function in _cases if wanted in function.__name__]
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        failures = [failure for failure in pool.map(lambda function: _attempt(function, binary), chosen) if failure]
    print(f"{len(chosen) - len(failures)} of {len(chosen)} cases passed")
    sys.exit(bool(failures))
