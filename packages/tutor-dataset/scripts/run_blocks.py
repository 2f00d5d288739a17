"""Reads [{id, blocks, check}] on stdin. Each block runs alone and must print, line by line, what its
`print(...)  # text` comments say; the check then runs with the names of the last block."""

import contextlib
import io
import json
import re
import signal
import sys

signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("over 5 seconds")))


def run(code, names):
    printed = io.StringIO()
    signal.alarm(5)
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, names)
    finally:
        signal.alarm(0)
    return printed.getvalue().splitlines()


def faults(chat):
    names = {"__name__": "block"}
    for code in chat["blocks"]:
        names = {"__name__": "block"}
        promised = re.findall(r"^ *print\(.*\)  # (.*)$", code, flags=re.M)
        try:
            printed = run(code, names)
        except Exception as error:
            yield f"{error!r}\n{code}"
            continue
        if not promised:
            yield f"prints nothing that it states\n{code}"
        if printed != promised:
            yield f"says {promised}, prints {printed}"
    try:
        run(chat["check"], names)
    except Exception as error:
        yield f"check: {error!r}"


chats = json.load(sys.stdin)
found = [f"{chat['id']}: {fault}" for chat in chats for fault in faults(chat)]
print(
    f"{sum(len(chat['blocks']) for chat in chats)} Python blocks and"
    f" {sum(bool(chat['check']) for chat in chats)} checks ran, {len(found)} faults"
)
sys.exit("\n".join(found) or 0)
