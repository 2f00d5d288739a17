import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def open_phi(folder, weights, dtype):
    """`weights`: nf4 (bitsandbytes, double quantization) or dense."""
    options = {"dtype": DTYPES[dtype], "device_map": {"": "cpu"}}
    if weights == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=DTYPES[dtype],
        )
    return AutoModelForCausalLM.from_pretrained(folder, **options)


def token_ids(count, vocab_size):
    """The ids of `phi.ts`."""
    ids = [(i * 7919 + (i % 13) * 104729) % vocab_size for i in range(count)]
    return torch.tensor(ids)
