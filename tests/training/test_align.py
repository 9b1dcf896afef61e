import torch

from tests.training.tiny import CONFIG
from training.align import Seen, learn
from training.batches import Library
from training.captions import PHRASES, WORDS
from training.learner import end_tokens
from training.model import fresh_clip, last_features


def test_end_tokens_come_in_the_order_of_the_captions() -> None:
    text = fresh_clip(CONFIG, seed=0).text
    rows = [[0, 5, 6, 7, 1], [0, 9, 1], [0, 5, 6, 1]]
    found = text.projection(text.final_norm(end_tokens(text, rows, 1)))
    expected = torch.cat([text(torch.tensor([row])) for row in rows])
    torch.testing.assert_close(found, expected)


def test_only_the_last_block_and_the_read_outs_learn() -> None:
    model = fresh_clip(CONFIG, seed=0)
    generator = torch.Generator().manual_seed(0)
    mentioned = torch.rand(12, len(WORDS), generator=generator) < 0.1
    seen = Seen(
        torch.randn(12, 1 + 98, 16, generator=generator),
        Library([], [], torch.arange(12), mentioned),
        torch.randn(12, 16, generator=generator),
        torch.randn(len(WORDS), PHRASES, 16, generator=generator),
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learn(model, seen, steps=3, rate=1e-2)
    moved = {name for name, tensor in model.state_dict().items() if not before[name].equal(tensor)}
    assert all(
        name.startswith(("vision.blocks.1", "vision.final_norm", "vision.projection", "text."))
        for name in moved - {"logit_scale"}
    )
    assert {name for name in moved if name.startswith("text")} <= {
        "text.final_norm.weight",
        "text.final_norm.bias",
        "text.projection.weight",
    }
    assert last_features(model.vision, seen.streams)[1].shape == (12, 8)
