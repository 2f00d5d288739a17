"""Golden answers of transformers' `generate` on the tiny Phi of hf_phi_golden.py (f32, CPU, eager).

    python tools/reference/generate_golden.py packages/phi2-model/fixtures

Reads hf-phi/dev-a/base; writes generate.json and generate.safetensors: greedy outputs with a repetition
penalty (on the prompt too, and on the answer alone) and a stop token, alone and in a left-padded batch, and
for every way of sampling the raw logits and the processed scores of each step.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import PhiForCausalLM, RepetitionPenaltyLogitsProcessor

GREEDY = [dict(), dict(repetition_penalty=1.2), dict(repetition_penalty=1.35)]
SAMPLING = [
    dict(temperature=0.7),
    dict(top_k=5),
    dict(top_k=50, temperature=1.3),
    dict(top_p=0.9),
    dict(top_p=0.35, temperature=0.5),
    dict(min_p=0.1),
    dict(min_p=0.5, temperature=0.4),
    dict(repetition_penalty=1.5, temperature=0.8, top_k=20, top_p=0.8, min_p=0.05),
]
PROMPTS = [[5, 17, 42, 99], [200, 3, 3, 150, 7, 61, 12], [88]]
NEW_TOKENS = 16


def main(fixtures):
    torch.manual_seed(3)
    model = PhiForCausalLM.from_pretrained(
        fixtures / "hf-phi/dev-a/base", dtype=torch.float32, attn_implementation="eager").eval()
    # The weights are random: a plain config, so that nothing of theirs stops or filters by itself.
    plain = dict(do_sample=False, eos_token_id=None, pad_token_id=0, max_new_tokens=NEW_TOKENS)
    facts = dict(transformers=transformers.__version__, torch=torch.__version__, greedy=[], answer_penalty=[], sampling=[], batch=[])
    tensors = {}

    def generate(ids, mask=None, **options):
        ids = torch.tensor(ids)
        mask = torch.ones_like(ids) if mask is None else torch.tensor(mask)
        with torch.no_grad():
            return model.generate(ids, attention_mask=mask, **{**plain, **options})

    for prompt in PROMPTS:
        for options in GREEDY:
            output = generate([prompt], **options)[0].tolist()
            facts["greedy"].append(dict(prompt=prompt, options=options, output=output, stop=None))
            stop = output[len(prompt) + 6]
            cut = generate([prompt], eos_token_id=stop, **options)[0].tolist()
            facts["greedy"].append(dict(prompt=prompt, options=options, output=cut, stop=stop))
        for penalty in (1.2, 1.35):
            processor = RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=len(prompt))
            output = generate([prompt], logits_processor=[processor])[0].tolist()
            options = dict(repetition_penalty=penalty)
            facts["answer_penalty"].append(dict(prompt=prompt, options=options, output=output, stop=None))
    width = max(map(len, PROMPTS))
    padded = [[0] * (width - len(p)) + p for p in PROMPTS]
    mask = [[0] * (width - len(p)) + [1] * len(p) for p in PROMPTS]
    for prompt, row in zip(PROMPTS, generate(padded, mask, top_k=None)):
        facts["batch"].append(dict(prompt=prompt, output=row[width - len(prompt):].tolist()))
    for i, options in enumerate(SAMPLING):
        out = generate([PROMPTS[i % 2]], do_sample=True, max_new_tokens=6, return_dict_in_generate=True,
                       output_scores=True, output_logits=True, **{**dict(top_k=0), **options})
        facts["sampling"].append(dict(prompt=PROMPTS[i % 2], options=options, output=out.sequences[0].tolist()))
        tensors[f"{i}.logits"] = torch.cat(out.logits).contiguous()
        tensors[f"{i}.scores"] = torch.cat(out.scores).contiguous()
    (fixtures / "generate.json").write_text(json.dumps(facts) + "\n")
    save_file(tensors, fixtures / "generate.safetensors", metadata={"format": "pt"})
    print(len(facts["greedy"]), "greedy,", len(facts["sampling"]), "sampling cases")


main(pathlib.Path(sys.argv[1]))
