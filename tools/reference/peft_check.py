"""Loads adapters that @qlorajs/lora makes with PEFT and compares what the two compute.

    pnpm build
    python -m venv .venv && .venv/bin/pip install torch transformers peft
    .venv/bin/python tools/reference/peft_check.py

For every case a node process creates an adapter on a random Phi, exports it and merges it into the
base's weights; PEFT loads the folder. Exits with 1 when a figure is above its limit.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import peft
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import PhiConfig, PhiForCausalLM

ROOT = Path(__file__).parents[2]
LIMIT = 2e-6

NODE = """
import { readFileSync, writeFileSync } from 'node:fs';
import { createReferenceBackend } from '@qlorajs/compute';
import * as lora from './dist/index.js';
import { bytesSource, openSafetensors, writeSafetensors } from '@qlorajs/safetensors';

const { folder, base, modules, config, embedding } = JSON.parse(readFileSync(0, 'utf8'));
const weights = await openSafetensors(bytesSource(new Uint8Array(readFileSync(base))));
const table = { embed_tokens: 'model.embed_tokens.weight', lm_head: 'lm_head.weight' };
const tables = {};
for (const [module, key] of Object.entries(table))
  tables[module] = await weights.readFloat32(weights.tensors.has(key) ? key : table.embed_tokens);
const width = embedding.hiddenSize;
const backend = createReferenceBackend();
const adapter = lora.createAdapter(backend, lora.defaultLoraConfig(config), modules, {
  seed: 7,
  embedding,
  // Rows that differ from the base's, so that they matter.
  tokenRows: (module, ids) =>
    Float32Array.from(
      ids.flatMap((id) => [...tables[module].subarray(id * width, (id + 1) * width)].reverse()),
    ),
});
for (const [name, content] of Object.entries(await lora.exportPeftAdapter(adapter)))
  writeFileSync(`${folder}/${name}`, content);

const merged = {};
for (const layer of adapter.layers.values()) {
  const key = `${layer.name}.weight`;
  const data = await weights.readFloat32(key);
  const [a, b] = await Promise.all([layer.a, layer.b].map(({ value }) => backend.read(value)));
  lora.mergeLora(data, { a, b, rank: layer.rank, scaling: layer.scaling });
  merged[key] = { dtype: 'F32', shape: weights.tensors.get(key).shape, data };
}
for (const [module, { ids, rows }] of adapter.tokens) {
  const data = tables[module];
  lora.mergeTokenRows(data, ids, await backend.read(rows.value));
  merged[table[module]] = { dtype: 'F32', shape: [data.length / width, width], data };
}
writeFileSync(`${folder}/merged.safetensors`, writeSafetensors(merged, { format: 'pt' }));
"""

TARGETS = ["q_proj", "fc1", "dense"]
IDS = [40, 3, 44]
CASES = {
    "plain": (False, {}),
    "rsLoRA, patterns": (
        False,
        {"useRslora": True, "rankPattern": {"fc1": 3}, "alphaPattern": {"layers.1.*dense": 1}},
    ),
    "all-linear": (False, {"targetModules": "all-linear"}),
    "regular expression": (False, {"targetModules": r".*\.(q|k)_proj"}),
    "layers_to_transform": (False, {"layersToTransform": [1]}),
    "token rows, untied": (False, {"trainableTokenIndices": {"embed_tokens": IDS, "lm_head": IDS}}),
    "token rows, list, untied": (False, {"trainableTokenIndices": IDS}),
    "token rows, tied": (True, {"trainableTokenIndices": {"embed_tokens": IDS, "lm_head": IDS}}),
    "token rows, list, tied": (True, {"trainableTokenIndices": IDS}),
    "token rows, tied but apart": (
        True,
        {"trainableTokenIndices": {"embed_tokens": IDS, "lm_head": [5]}},
    ),
}


def random_phi(tied):
    torch.manual_seed(0)
    config = PhiConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.2,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = PhiForCausalLM(config).eval()
    model.lm_head.bias.data.normal_(0, 0.5)
    return model


def logits(model):
    ids = torch.tensor([[1, 40, 3, 5, 7, 44, 9, 11]])
    with torch.no_grad():
        return model(ids).logits


def largest(a, b):
    return (a - b).abs().max().item()


def create(folder, base, tied, config):
    modules = [
        {"name": name, "inFeatures": module.in_features, "outFeatures": module.out_features}
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    base.save_pretrained(folder / "base")
    task = {
        "folder": str(folder),
        "base": str(folder / "base/model.safetensors"),
        "modules": modules,
        "config": {"r": 4, "loraAlpha": 8, "targetModules": TARGETS, "initLoraWeights": False, **config},
        "embedding": {"vocabSize": 48, "hiddenSize": 32, "tied": tied},
    }
    command = ["node", "--input-type=module", "-e", NODE]
    subprocess.run(command, input=json.dumps(task), text=True, check=True, cwd=ROOT / "packages/lora")


def check(name, tied, config, folder):
    create(folder, random_phi(tied), tied, config)
    base = logits(random_phi(tied))
    with warnings.catch_warnings():
        # PEFT only warns about keys that are missing or left over.
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(random_phi(tied), folder)
    saved = load_file(folder / "adapter_model.safetensors")
    resaved = folder / "resaved"
    model.save_pretrained(resaved)
    same = (resaved / "adapter_model.safetensors").read_bytes() == (
        folder / "adapter_model.safetensors"
    ).read_bytes()

    ours = random_phi(tied)
    if name.endswith("apart"):
        ours.lm_head.weight = torch.nn.Parameter(ours.lm_head.weight.data.clone())
    merged = load_file(folder / "merged.safetensors")
    for key, value in merged.items():
        ours.state_dict()[key].copy_(value)
    unmerged = logits(model)
    # PEFT computes a head with token rows without its bias until it is merged.
    lost_bias = model.base_model.model.lm_head.__class__.__name__ == "TrainableTokensWrapper"
    ours_logits = logits(ours)
    expected = ours_logits - ours.lm_head.bias if lost_bias else ours_logits
    after = model.merge_and_unload()
    figures = {"logits": largest(unmerged, expected)}
    # Rows that are apart on tied weights: PEFT merges both lists into the one shared weight.
    if not name.endswith("apart"):
        state = after.state_dict()
        figures["merged weights"] = max(largest(state[key], value) for key, value in merged.items())
        figures["merged logits"] = largest(logits(after), ours_logits)
    ok = same and all(value < LIMIT for value in figures.values())
    figures |= {
        "effect": largest(base, ours_logits),
        "tensors": len(saved),
        "resaved bytes equal": same,
        "PEFT without head bias": lost_bias,
    }
    print(("ok  " if ok else "BAD ") + name + ": " + ", ".join(f"{k} {v}" for k, v in figures.items()))
    return ok


if __name__ == "__main__":
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    results = []
    for case, (tied, config) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            results.append(check(case, tied, config, Path(folder)))
    sys.exit(0 if all(results) else 1)
