"""A small byte-level tokenizer, trained in code, for policies that are built without a download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

ROLES_WITH_ARGUMENTS = ("pad_token", "bos_token", "eos_token", "unk_token")


def train_tokenizer(
    sentences: Iterable[str], vocabulary: int, special: Mapping[str, str]
) -> PreTrainedTokenizerFast:
    """Return a BPE tokenizer; every byte is in it, so that any instruction can be encoded.

    Args:
        special: role, e.g. "pad_token" -> token; ids count from 0 in this order.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(dict.fromkeys(special.values())),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    known = {role: token for role, token in special.items() if role in ROLES_WITH_ARGUMENTS}
    others = {role: token for role, token in special.items() if role not in known}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **known, extra_special_tokens=others)
