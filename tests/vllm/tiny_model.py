"""Makes a Llama of 150,000 random weights and LoRA adapters: `python tiny_model.py FOLDER ADAPTER ...`.

Runs with the Python of vLLM's environment, so it imports nothing of this project. Nothing is downloaded, and
the same files come out each time: equal servers give equal answers, and adapters give others.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BEGIN, END = "<pad>", "<begin>", "<end>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

# A head of vLLM's CPU attention kernel has a multiple of 32 dimensions.
HEAD_SIZE = 32
HEADS = 4
LAYERS = 2
HIDDEN_SIZE = 64
MAX_TOKENS = 2048

RANK = 8
# Standard deviation of the weights: wide enough for an adapter's answers to differ from the base model's.
SPREAD = 0.5


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is one token, so that a prompt's length in tokens is known."""
    tokens = [PAD, BEGIN, END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $0", special_tokens=[(BEGIN, tokens.index(BEGIN))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=MAX_TOKENS,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The base model."""
    torch.manual_seed(1)
    shape = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 16) * 16,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_SIZE,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,  # no two tokens are nearly as likely, so rounding decides nothing
        dtype="float32",
    )
    return LlamaForCausalLM(shape)


def save_adapter(folder: Path, seed: int) -> None:
    """A LoRA adapter of the attention's queries and values, as PEFT lays it out."""
    folder.mkdir(parents=True)
    random = torch.Generator().manual_seed(seed)
    targets = ("q_proj", "v_proj")
    shapes = {"lora_A": (RANK, HIDDEN_SIZE), "lora_B": (HEADS * HEAD_SIZE, RANK)}
    tensors = {
        f"base_model.model.model.layers.{layer}.self_attn.{target}.{half}.weight": SPREAD
        * torch.randn(shape, generator=random)
        for layer in range(LAYERS)
        for target in targets
        for half, shape in shapes.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": targets,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))


def main(folder: Path, adapters: list[str]) -> None:
    """Writes the model with its tokenizer to `folder`, and each adapter to the folder of its name below."""
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    make_model(tokenizer).save_pretrained(folder)
    for seed, name in enumerate(adapters):
        save_adapter(folder / name, seed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
