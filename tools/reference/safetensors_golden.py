"""Writes packages/safetensors/fixtures: what the reference implementations make of given input.

    python -m venv venv && venv/bin/pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
    venv/bin/python tools/reference/safetensors_golden.py [--phi-nano FOLDER]

files.json      files made by the Rust writer (the Python package's core)
refusals.json   malformed headers, with the Rust reader's verdict
rounding.json   SHA-256 of conversions made by NumPy and ml_dtypes
phi-nano-cut/   only with --phi-nano: that model with every tensor cut to its first corner
"""

import argparse
import base64
import hashlib
import json
import pathlib

import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/safetensors/fixtures"

# Header name -> name in the Python binding, bytes an element.
# F4 is treated apart (two elements a byte); for F6 the binding has no name.
DTYPES = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E8M0": ("float8_e8m0fnu", 1),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "F32": ("float32", 4),
    "C64": ("complex64", 8),
    "F64": ("float64", 8),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
}


def write(tensors, metadata):
    """tensors: name -> (dtype, shape, bytes)."""
    specs, keep = {}, []
    for name, (dtype, shape, data) in tensors.items():
        buffer = np.frombuffer(data, dtype=np.uint8).copy()
        keep.append(buffer)
        if dtype == "F4":  # the binding takes the storage shape and doubles its last size
            python_name, shape = "float4_e2m1fn_x2", [*shape[:-1], shape[-1] // 2]
        else:
            python_name = DTYPES[dtype][0]
        specs[name] = safetensors.TensorSpec(
            dtype=python_name, shape=shape, data_ptr=buffer.ctypes.data, data_len=len(data)
        )
    return bytes(safetensors.serialize(specs, metadata=metadata))


def files():
    rng = np.random.default_rng(7)

    def tensor(dtype, *shape):
        count = int(np.prod(shape, dtype=np.int64))
        size = count // 2 if dtype == "F4" else count * DTYPES[dtype][1]
        return dtype, list(shape), rng.bytes(size)

    cases = {
        "empty": ({}, None),
        # (No tensors and an empty map make Rust 0.8.0 write `{},"__metadata__":{}}`: its own
        # reader refuses that, so it is no reference.)
        "empty metadata": ({"a": tensor("U8", 1)}, {}),
        "every dtype, narrow first": (
            {f"t.{d}": tensor(d, 2, 2) for d in ["F4", *DTYPES]},
            {"format": "pt"},
        ),
        "one dtype, names out of order": (
            {n: tensor("F32", 1) for n in ["b", "a10", "a9", "B", "a", "", "_", "á", "a.b"]},
            None,
        ),
        "names beyond U+FFFF sort after U+FF01": (
            {n: tensor("U8", 1) for n in ["\U0001f600", "\uff01", "\ue000", "\ud7ff", "z"]},
            None,
        ),
        "names that need escapes": (
            {n: tensor("I8", 1) for n in ['"', "\\", "/", "\n\r\t\b\f", "\x00\x1f\x7f", "\u2028é"]},
            {"key \"\\\n\x01é\U0001f600": "value \"\\\n\x01é\U0001f600"},
        ),
        "__proto__ and friends": (
            {n: tensor("U8", 1) for n in ["__proto__", "constructor", "toString"]},
            {"__proto__": "x"},
        ),
        "scalars and empty tensors": (
            {"s": tensor("F16"), "e": tensor("F16", 0), "e2": tensor("F32", 3, 0, 2), "v": tensor("BF16", 1)},
            {"format": "pt"},
        ),
    }
    for length in range(8):
        cases[f"padding {length}"] = ({"x" * (length + 1): tensor("U8", 3)}, None)
    return [
        {
            "name": name,
            "metadata": metadata,
            "tensors": [
                {"name": n, "dtype": d, "shape": s, "data": base64.b64encode(b).decode()}
                for n, (d, s, b) in tensors.items()
            ],
            "file": base64.b64encode(write(tensors, metadata)).decode(),
        }
        for name, (tensors, metadata) in cases.items()
    ]


def refusals():
    def one(dtype="U8", shape="[1]", offsets="[0,1]", more=""):
        return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{more}}}}}'

    def two(first, second):
        return f'{{"a":{{"dtype":"U8","shape":[{first[1] - first[0]}],"data_offsets":{list(first)}}},"b":{{"dtype":"U8","shape":[{second[1] - second[0]}],"data_offsets":{list(second)}}}}}'

    sound = [  # header, bytes of data
        (one(), 1), ("{}", 0), (two((1, 3), (0, 1)), 3), (two((0, 0), (0, 2)), 2),
        (two((0, 2), (0, 0)), 2),
    ]
    refused = [
        ("", 0), ("[]", 0), ("null", 0), ("{", 0), ("{}x", 0), ("{}\0", 0), ("\ufeff{}", 0),
        ("{'a':1}", 0), ("{,}", 0), (one() + ",", 1), (one()[:-1], 1), (one()[:-1] + ",}", 1),
        (one().replace(":", "", 1), 1),
        (one(), 0), (one(), 2), ("{}", 1),
        (one(dtype="u8"), 1), (one(dtype="F128"), 16),
        (one().replace('"U8"', "7"), 1), (one().replace('"U8"', "null"), 1),
        (one(shape="[-1]"), 1), (one(shape="[1.0]"), 1), (one(shape="[1e0]"), 1),
        (one(shape="[01]"), 1), (one(shape="[-0]", offsets="[0,0]"), 0),
        (one(shape='["1"]'), 1), (one(shape="[true]"), 1), (one(shape="[null]"), 1),
        (one(shape="1"), 1), (one(shape="[[1]]"), 1), (one(shape="[1,]"), 1), (one(shape="[2]"), 1),
        (one(shape="[18446744073709551616]"), 1),
        (one(shape="[4294967296,4294967296]"), 1),
        (one(shape="[4294967296,4294967296,0]", offsets="[0,0]"), 0),
        (one(dtype="F32", shape="[4611686018427387904]", offsets="[0,0]"), 0),
        (one(dtype="F4", shape="[3]"), 1), (one(dtype="F6_E2M3", shape="[3]", offsets="[0,2]"), 2),
        (one(offsets="[0]"), 1), (one(offsets="[0,1,2]"), 1), (one(offsets="[]"), 1),
        (one(offsets="[-1,0]"), 1), (one(offsets="[1,0]"), 1), (one(offsets="[1,2]"), 2),
        (one(offsets="[0,2]"), 2), (one(offsets='{"0":0}'), 1),
        (two((0, 1), (2, 3)), 3), (two((0, 2), (1, 3)), 3), (two((0, 2), (0, 2)), 2),
        (two((1, 2), (2, 3)), 3),
        ('{"a":{"dtype":"U8","shape":[1]}}', 1), ('{"a":{"dtype":"U8","data_offsets":[0,1]}}', 1),
        ('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1),
        ('{"a":{}}', 0), ('{"a":null}', 0), ('{"a":1}', 0),
        (one(more=',"dtype":"U8"'), 1), ('{"__metadata__":{},"__metadata__":{}}', 0),
        ('{"__metadata__":{"a":1}}', 0), ('{"__metadata__":{"a":null}}', 0),
        ('{"__metadata__":[]}', 0), ('{"__metadata__":"x"}', 0), ('{"__metadata__":{"a":{}}}', 0),
        (one().replace('"a"', '"\\ud800"'), 1), (one().replace('"a"', '"\\udc00\\ud800"'), 1),
        (one().replace('"a"', '"\\x41"'), 1), (one().replace('"a"', '"\\u12g4"'), 1),
        (one().replace('"a"', '"\n"'), 1), (one().replace('"a"', '"\t"'), 1),
        (one().replace('"a"', "a"), 1),
    ]
    taken = [  # by the Rust reader, against the format's text or out of leniency
        (" " + one(), 1), (one() + "\n", 1), (one() + "\t", 1), (one(more=',"extra":1'), 1),
        (one()[:-1] + "," + one()[1:], 1), ('{"__metadata__":{"a":"1","a":"2"}}', 0),
        ('{"__metadata__":null}', 0), ('{"a":["U8",[1],[0,1]]}', 1),
        (one(shape="[0,9007199254740993]", offsets="[0,0]"), 0),
    ]
    verdicts = {"sound": [], "refused": [], "taken": []}
    for kind, cases in [("sound", sound), ("refused", refused), ("taken", taken)]:
        for header, size in cases:
            text = header.encode()
            entry = {"header": header, "dataBytes": size}
            try:
                safetensors.deserialize(len(text).to_bytes(8, "little") + text + bytes(size))
                assert kind != "refused", header
            except safetensors.SafetensorError as error:
                assert kind == "refused", header
                entry["rust"] = str(error).removeprefix("Error while deserializing: ")
            verdicts[kind].append(entry)
    return verdicts


def rounding():
    """Inputs by rule, outputs by hash, so that the fixture stays small."""
    def sha(array):
        return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()

    halves = np.arange(65536, dtype=np.uint16)
    # Every upper half of an f32 with the lower halves around the rounding points of both dtypes.
    lower = np.array([0, 1, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=np.uint32)
    singles = ((np.arange(65536, dtype=np.uint32)[:, None] << 16) | lower[None, :]).ravel()
    floats = singles.view(np.float32)
    with np.errstate(all="ignore"):
        bf16 = floats.astype(ml_dtypes.bfloat16).view(np.uint16)
        numbers = ~np.isnan(floats)
        return {
            "numpy": np.__version__,
            "ml_dtypes": ml_dtypes.__version__,
            "lower": lower.tolist(),
            "f16 to f32, all 65536": sha(halves.view(np.float16).astype(np.float32)),
            "bf16 to f32, all 65536 without NaN": sha(
                halves[~np.isnan(halves.view(ml_dtypes.bfloat16))].view(ml_dtypes.bfloat16).astype(np.float32)
            ),
            "f32 to f16, upper x lower": sha(floats.astype(np.float16)),
            "f32 to bf16, upper x lower without NaN": sha(bf16[numbers]),
        }


def phi_nano_cut(source):
    """All names and all three shards of the model, a few kilobytes of data."""
    index = json.loads((source / "model.safetensors.index.json").read_text())
    folder = OUT / "phi-nano-cut"
    folder.mkdir(exist_ok=True)
    expected, total, count = {}, 0, 0
    for shard in sorted(set(index["weight_map"].values())):
        cut = {}
        for name, value in load_file(source / shard).items():
            cut[name] = np.ascontiguousarray(value[tuple(slice(0, 3) for _ in value.shape)])
            expected[name] = [float(x) for x in cut[name].astype(np.float32).ravel()]
            total += cut[name].nbytes
            count += cut[name].size
        save_file(cut, folder / shard, metadata={"format": "pt"})
    index["metadata"] = {"total_parameters": count, "total_size": total}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps(index, indent=2, sort_keys=True) + "\n"
    )
    dump(folder / "expected.json", expected)


def dump(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phi-nano", type=pathlib.Path)
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    dump(OUT / "files.json", {"safetensors": safetensors.__version__, "cases": files()})
    dump(OUT / "refusals.json", {"safetensors": safetensors.__version__, **refusals()})
    dump(OUT / "rounding.json", rounding())
    if arguments.phi_nano:
        phi_nano_cut(arguments.phi_nano)
