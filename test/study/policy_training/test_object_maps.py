"""Teaching vision what lies where."""

from __future__ import annotations

import torch

from vla_sae_ros.study.policy_training.object_maps import ObjectMapHead, found_share, map_loss

NAN = float("nan")


def marks(*places: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(places)[None, None]  # one picture, one camera


def test_a_head_learns_to_find_what_the_patches_say() -> None:
    torch.manual_seed(0)
    patches = torch.eye(16)[None, None]  # 4 x 4 patches that know their number
    head = ObjectMapHead(16, kinds=3)
    wanted = marks((0.30, 0.80), (0.99, 0.01), (-1.0, -1.0))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        map_loss(head, patches, wanted).backward()
        optimizer.step()
    logits, offsets = head(patches)
    assert logits[0, 0].argmax(-1).tolist() == [13, 3, 16]
    torch.testing.assert_close(offsets[0, 0, 13, 0], torch.tensor([-0.3, -0.3]), atol=0.02, rtol=0)
    assert found_share(head, patches, wanted) == 1.0


def test_what_nobody_knows_does_not_count() -> None:
    head, patches = ObjectMapHead(16, kinds=2), torch.randn(1, 1, 16, 16)
    assert map_loss(head, patches, marks((NAN, NAN), (NAN, NAN))) == 0
    both = map_loss(head, patches, marks((0.1, 0.1), (NAN, NAN)))
    assert torch.isfinite(both) and both > 0
