"""The base in NF4 with double quantization, and the adapter on it."""

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.integrations.neftune import activate_neftune


def load_model(options, base, adapter, device, dtype):
    """The base of a run with the adapter of a folder; the adapter's values are float32 and trained."""
    config = AutoConfig.from_pretrained(base)
    how = {"dtype": dtype}
    if options["load_in_4bit"] and getattr(config, "quantization_config", None) is None:
        how["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=options["bnb_4bit_use_double_quant"])
    if device.type == "cuda":
        how["device_map"] = {"": device}
    model = AutoModelForCausalLM.from_pretrained(base, **how)
    if options["load_in_4bit"] and device.type == "cpu":
        # bitsandbytes' product on a CPU rounds to bfloat16: the NF4 values are held in full instead.
        model = model.dequantize(dtype=dtype)
    if options["gradient_checkpointing"]:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
    if options["neftune_noise_alpha"]:
        activate_neftune(model, options["neftune_noise_alpha"])
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model.train()


def saved_name(name):
    """A parameter's name in adapter_model.safetensors."""
    return name.replace(".default", "").replace(".modules_to_save", "").replace("magnitude_vector.weight", "magnitude_vector")


def trained_parameters(model, job):
    """What is trained, by the names and in the order of job.json."""
    found = {saved_name(name): each for name, each in model.named_parameters() if each.requires_grad}
    shapes = {each["name"]: tuple(each["shape"]) for each in job["parameters"]}
    if {name: tuple(each.shape) for name, each in found.items()} != shapes:
        raise SystemExit("PEFT trains other parameters of this base than job.json lists; give the base that was exported")
    return {name: found[name] for name in shapes}
