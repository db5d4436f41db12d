"""Loads a model in tflite-micro with arenas of some sizes: `python arena_child.py MODEL` reads a size a line, and
answers each with a line of JSON: the exit code of the trial, negative for a signal, and all that it printed.

A trial has a process of its own, which is forked from this one once everything is imported: an arena that is too small
raises at some sizes and crashes at others, and what the interpreter reports goes to the C library's stderr.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback

REFUSED_EXIT_CODE = 9
"""Of a trial whose model the interpreter refused in so many words."""


def main() -> None:
    """Answer until the input ends."""
    import numpy as np  # noqa: F401  once, for all forks
    from tflite_micro import runtime  # noqa: F401

    for line in sys.stdin:
        with tempfile.TemporaryFile() as printed:
            trial = os.fork()
            if not trial:
                _load_and_run(sys.argv[1], int(line), printed.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(trial, 0)[1])
            printed.seek(0)
            sys.stdout.write(json.dumps([code, printed.read().decode(errors="replace")]) + "\n")
            sys.stdout.flush()


def _load_and_run(model: str, arena_bytes: int, printed: int) -> None:
    """Load the model, run it twice, say what it used, and end this process."""
    import numpy as np
    from tflite_micro import runtime

    os.dup2(printed, 1)
    os.dup2(printed, 2)
    code = 1
    try:
        interpreter = runtime.Interpreter.from_file(model, arena_size=arena_bytes)
        details = interpreter.get_input_details(0)
        interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
        interpreter.invoke()
        interpreter.invoke()
        interpreter.print_allocations()
        code = 0
    except (RuntimeError, ValueError) as error:
        os.write(2, f"{error}\n".encode())
        code = REFUSED_EXIT_CODE
    except BaseException as error:
        os.write(2, "".join(traceback.format_exception_only(error)).encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
