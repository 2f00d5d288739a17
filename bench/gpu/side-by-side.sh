#!/usr/bin/env bash
# Ours and transformers + peft + bitsandbytes on one NVIDIA GPU, one process after the other:
#   bench/gpu/side-by-side.sh DIR [DIST]      DIR: room for 12 GB; DIST: the bundles (default bench/gpu/dist)
# Makes random weights of Phi-2's shape in DIR/base unless they are there, measures both, prints one table
# and leaves every figure in DIR. NODE and PYTHON name the programs, QLORA_DAWN Dawn's binding.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
dist=${2:-$here/dist}
configs=${CONFIGS:-1x512,1x2048,4x512,8x512}
node=${NODE:-node}
python=${PYTHON:-python3}
mkdir -p "$dir"
say() { echo "$SECONDS s  $*"; }
[ -e "$dir/base/config.json" ] || "$python" "$here/../../tools/full-size/make_phi2.py" "$dir" >"$dir/make.log" 2>&1
say weights made
"$python" "$here/peer.py" "$dir" "$configs" >"$dir/peer.log" 2>&1 || tail -5 "$dir/peer.log"
say Python measured
"$node" "$dist/model.js" "$dir" "$configs" ${PROFILE:+profile} >"$dir/ours.log" 2>&1 || tail -5 "$dir/ours.log"
say ours measured
TIERS=matrix TIMES_ONLY=1 "$node" "$dist/kernels.js" "$dir/kernels.json" >"$dir/kernels.log" 2>&1 || tail -5 "$dir/kernels.log"
"$python" "$here/cublas.py" "$dir/cublas.json"
say kernels measured
"$python" "$here/table.py" "$dir" "$dir/side-by-side.json"
