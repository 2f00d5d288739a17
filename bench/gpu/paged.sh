# Budgets of 6, 4, 3 and 2 GiB on Phi-2's shape, and bitsandbytes' paged_adamw_8bit where it is installed
# and DIR/base is there (tools/full-size/make_phi2.py): bash bench/gpu/paged.sh paged.js peer.py DIR
# Writes JSON lines to stdout and to $OUT.
bundle=$1 peer=$2 dir=$3
timeout 170 "${QLORA_NODE:-node}" "$bundle" 6,4,3,2 | tee "${OUT:-.}/paged.jsonl"
if [ -e "$dir/base/config.json" ] && python3 -c 'import bitsandbytes' 2>/dev/null; then
  timeout 110 python3 "$peer" "$dir" 1x2048 > "${OUT:-.}/paged-peer.log" 2>&1
  grep '^1x2048' "${OUT:-.}/paged-peer.log" | sed 's/^1x2048 //' | tee -a "${OUT:-.}/paged.jsonl"
else
  echo '{"peer": "absent: no bitsandbytes here, or no weights in '"$dir"'"}' | tee -a "${OUT:-.}/paged.jsonl"
fi
