#!/bin/sh
# Makes bench/peers/.venv with what the CPU engine is measured against. PYTHON chooses the interpreter (3.10 or later).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv "$here/.venv"
"$here/.venv/bin/pip" install --requirement "$here/requirements.txt"
"$here/.venv/bin/python" -c 'import torch; print(torch.__config__.show())'
