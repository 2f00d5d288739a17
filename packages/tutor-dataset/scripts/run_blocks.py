"""Runs Python of the chats, inside the Python that check.mjs brings (Pyodide). Each block runs alone
and must print, line by line, what its `print(...)  # text` comments say; the check then runs with
the names of the last block."""

import contextlib
import io
import json
import re


def run(code, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
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


def faults_of(chats):
    """JSON [{id, blocks, check}] -> JSON [text]: what is wrong, nothing when all is well."""
    chats = json.loads(chats)
    return json.dumps([f"{chat['id']}: {fault}" for chat in chats for fault in faults(chat)])
