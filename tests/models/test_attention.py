"""Channel attention read back by factor, against the network taken apart by hand."""

import numpy as np
import pytest
import torch
from builders import QUICK, small_case, small_model

from geomfaf.models.attention import factor_attention
from geomfaf.models.fold_models import encode_windows
from geomfaf.models.network.options import training_options


def by_hand(member, windows, number):
    """Channel -> attention weights of one branch over some windows, the MLP written out."""
    names = list(dict.fromkeys(channel.band for channel in member.encoder.channels))
    x = encode_windows(small_case().stack, windows, names, member.encoder)
    branch = member.classifier.net_.branches[number]
    features = branch.conv(torch.from_numpy(x)).detach().numpy()
    first, _, second = branch.attention.mlp
    w1, b1, w2, b2 = (
        p.detach().numpy() for p in (first.weight, first.bias, second.weight, second.bias)
    )
    pooled = (features.mean(axis=(2, 3)), features.max(axis=(2, 3)))
    total = sum(np.maximum(v @ w1.T + b1, 0) @ w2.T + b2 for v in pooled)
    return x, 1 / (1 + np.exp(-total))


def test_every_factor_has_a_weight_in_every_branch_of_every_fold():
    case, model = small_case(), small_model()
    table = factor_attention(model, case.stack, case.windows)
    bands = [str(name) for name in case.stack["band"].values]
    assert len(table) == len(model.fold_models) * len(QUICK.dilations) * len(bands)
    assert sorted(set(table["factor"])) == sorted(bands)
    assert sorted(set(table["dilation"])) == [1, 2]
    assert table["weight"].between(0, 1).all()
    own = np.bincount(case.folds.of_windows(case.windows))
    assert table.groupby("fold")["windows"].first().tolist() == own.tolist()


@pytest.mark.parametrize("number", [0, 1])
def test_weights_are_those_of_equation_7_on_held_out_windows(number):
    case, model = small_case(), small_model()
    member = model.fold_models[1]
    windows = case.windows[case.folds.of_windows(case.windows) == 1]
    x, weights = by_hand(member, windows, number)
    table = factor_attention(model, case.stack, case.windows).query(
        "fold == 2 and branch == @number + 1"
    )
    found = table.set_index("factor")["weight"]
    for at, channel in enumerate(member.encoder.channels):
        if channel.kind != "class":
            assert found[channel.band] == pytest.approx(weights[:, at].mean(), abs=1e-5)
    classes = [
        at for at, channel in enumerate(member.encoder.channels) if channel.band == "geology"
    ]
    cover = x.mean(axis=(0, 2, 3))[classes]
    expected = (weights[:, classes].mean(axis=0) * cover).sum() / cover.sum()
    assert len(classes) == 2
    assert found["geology"] == pytest.approx(expected, abs=1e-5)


def test_without_attention_there_is_nothing_to_read():
    case = small_case()
    model = case.train(options=training_options(network="plain", epochs=1, least_steps=1))
    assert factor_attention(model, case.stack, case.windows).empty
