"""What is made of a stack's masks, and when it is made again."""

from __future__ import annotations

import torch

from vla_sae_ros.policy.families.adapter import TokenMasks, full_mask, spans_mask
from vla_sae_ros.policy.taps.tokens import TokenMemory, Tokens

CPU = torch.device("cpu")
ACTION = ("action",)


def action(stop: int) -> TokenMasks:
    return {"action": full_mask(1, 5, 0, stop, CPU)}


def test_a_mask_is_true_in_its_spans_and_the_same_tensor_for_the_same_arguments() -> None:
    mask = spans_mask(2, 6, ((0, 2), (5, 6)), CPU)
    assert mask.tolist() == [[True, True, False, False, False, True]] * 2
    assert spans_mask(2, 6, ((0, 2), (5, 6)), CPU) is mask


def test_what_is_made_of_masks_that_stay_is_made_once() -> None:
    memory = TokenMemory()
    first, second = (Tokens(lambda: action(3), memory) for _ in range(2))
    assert first.mean_weights(ACTION) is second.mean_weights(ACTION)
    assert first.scopes((ACTION,)) is second.scopes((ACTION,))


def test_other_masks_get_their_own_and_an_earlier_inference_keeps_its_own() -> None:
    memory = TokenMemory()
    first, second = Tokens(lambda: action(2), memory), Tokens(lambda: action(4), memory)
    kept = first.mean_weights(ACTION)
    assert second.mean_weights(ACTION).tolist() == [[[0.25, 0.25, 0.25, 0.25, 0.0]]]
    assert first.mean_weights(ACTION) is kept
    assert first.scopes((ACTION,))[0, :, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert second.scopes((ACTION,))[0, :, 0].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_masks_are_asked_for_when_somebody_needs_them() -> None:
    asked: list[int] = []

    def masks() -> TokenMasks:
        asked.append(1)
        return action(3)

    tokens = Tokens(masks)
    assert asked == []
    tokens.mask(ACTION)
    tokens.mean_weights(ACTION)
    assert asked == [1]
