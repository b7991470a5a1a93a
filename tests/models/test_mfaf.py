"""MFAF and its backbones: each formula against plain NumPy, parameter counts, shapes."""

import numpy as np
import pytest
import torch
from torchvision import models

from geomfaf.errors import UsageError
from geomfaf.models.network.backbones import BACKBONES, SMALL_WINDOW, make_backbone, own_name
from geomfaf.models.network.classifier import MFAFClassifier
from geomfaf.models.network.mfaf import (
    MFAF,
    PAPER_DILATIONS,
    Branch,
    ChannelAttention,
    SpatialAttention,
    branch_probabilities,
    distillation_loss,
    scaled_dilations,
)
from geomfaf.models.network.options import training_options


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def convolve(x: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
    """Zero-padded sum of shifted copies: what a (dilated) convolution of one plane is."""
    reach = dilation * (kernel.shape[0] // 2)
    padded = np.pad(x, reach)
    total = np.zeros(x.shape)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            down, across = i * dilation, j * dilation
            total += kernel[i, j] * padded[down : down + x.shape[0], across : across + x.shape[1]]
    return total


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("dilation", [1, 2, 6])
def test_a_branch_is_a_dilated_convolution_of_each_band_alone(dilation):
    torch.manual_seed(1)
    branch = Branch(3, dilation, attention=False)
    torch.nn.init.normal_(branch.conv.bias)
    x = random(2, 3, 13, 11)
    weight, bias = branch.conv.weight.detach().numpy(), branch.conv.bias.detach().numpy()
    expected = [
        [convolve(plane, weight[c, 0], dilation) + bias[c] for c, plane in enumerate(w)]
        for w in x.numpy()
    ]
    np.testing.assert_allclose(branch(x).detach().numpy(), expected, atol=1e-5)


def test_a_band_never_enters_another_bands_features():
    branch = Branch(3, 2, attention=False)
    x, changed = random(1, 3, 9, 9), random(1, 3, 9, 9)
    changed[:, 1] += 5
    difference = (branch(x) - branch(changed)).abs().amax(dim=(0, 2, 3))
    assert difference[[0, 2]].max() == 0
    assert difference[1] > 0


def test_channel_attention_is_equation_7():
    torch.manual_seed(2)
    attention, x = ChannelAttention(8), random(4, 8, 6, 5)
    first, _, second = attention.mlp
    w1, b1, w2, b2 = (
        p.detach().numpy() for p in (first.weight, first.bias, second.weight, second.bias)
    )

    def mlp(v: np.ndarray) -> np.ndarray:
        return np.maximum(v @ w1.T + b1, 0) @ w2.T + b2

    values = x.numpy()
    expected = sigmoid(mlp(values.mean(axis=(2, 3))) + mlp(values.max(axis=(2, 3))))
    np.testing.assert_allclose(attention(x).detach().numpy(), expected, atol=1e-6)
    assert w1.shape == (2, 8)  # the bottleneck


def test_a_branch_is_reweighted_by_its_channel_attention():
    branch, x = Branch(4, 2, attention=True), random(3, 4, 8, 8)
    features = branch.conv(x)
    expected = features * branch.attention(features)[:, :, None, None]
    assert torch.equal(branch(x), expected)


def test_spatial_attention_is_equation_8():
    torch.manual_seed(3)
    attention, x = SpatialAttention(), random(2, 5, 9, 8)
    kernel, bias = attention.conv.weight.detach().numpy()[0], attention.conv.bias.detach().numpy()
    values = x.numpy()
    planes = np.stack([values.mean(axis=1), values.max(axis=1)], axis=1)
    expected = [
        [sigmoid(sum(convolve(p, k, 1) for p, k in zip(w, kernel, strict=True)) + bias)]
        for w in planes
    ]
    np.testing.assert_allclose(
        attention(x).detach().numpy(), np.reshape(expected, (2, 1, 9, 8)), atol=1e-5
    )
    assert kernel.shape == (2, 7, 7)


def test_probabilities_are_the_softmax_of_class_1():
    logits = random(5, 7, 2) * 4
    probabilities = branch_probabilities(logits).numpy()
    np.testing.assert_allclose(probabilities, softmax(logits.numpy(), 2)[:, :, 1], atol=1e-6)
    assert ((probabilities > 0.5) == (logits.numpy().argmax(axis=2) == 1)).all()


def loss_by_hand(logits: np.ndarray, labels: np.ndarray, beta: float, temperature: float) -> float:
    branches, batch, _ = logits.shape
    p = softmax(logits, 2)
    entropy = np.mean([-np.log(p[k, i, labels[i]]) for k in range(branches) for i in range(batch)])
    teacher = softmax(logits.mean(axis=0) / temperature, 1)
    students = softmax(logits / temperature, 2)
    divergence = np.mean(
        [(teacher * np.log(teacher / students[k])).sum(axis=1) for k in range(branches)]
    )
    return (1 - beta) * entropy + beta * temperature**2 * divergence


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_loss_is_cross_entropy_and_self_distillation(beta, temperature):
    logits, labels = random(5, 6, 2, seed=4).double() * 3, torch.tensor([0, 1, 1, 0, 1, 0])
    expected = loss_by_hand(logits.numpy(), labels.numpy(), beta, temperature)
    assert float(
        distillation_loss(logits, labels, beta=beta, temperature=temperature)
    ) == pytest.approx(expected)


def test_without_distillation_the_loss_is_the_sum_of_equation_9_over_the_branches():
    logits, labels = random(5, 6, 2, seed=4).double() * 3, torch.tensor([0, 1, 1, 0, 1, 0])
    p = softmax(logits.numpy(), 2)
    sums = -sum(np.log(p[k, i, int(labels[i])]) for k in range(5) for i in range(6)) / 6
    assert 5 * float(distillation_loss(logits, labels, beta=0)) == pytest.approx(sums)


def test_a_single_branch_has_no_teacher_but_itself():
    logits, labels = random(1, 6, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    expected = distillation_loss(logits, labels, beta=0)
    assert torch.equal(distillation_loss(logits, labels, beta=0.4), expected)


def test_the_class_is_the_vote_of_the_branches():
    """Equations 10 and 11: argmax in each branch, then the most frequent class."""
    logits = random(5, 200, 2, seed=9) * 2
    classes = logits.numpy().argmax(axis=2)
    expected = np.array([np.bincount(column, minlength=2).argmax() for column in classes.T])
    share = (branch_probabilities(logits).numpy() > 0.5).mean(
        axis=0
    )  # what predict writes as vote_share
    np.testing.assert_array_equal(share > 0.5, expected == 1)
    assert 0 < expected.mean() < 1


def test_branches_that_agree_have_nothing_to_distil():
    logits, labels = random(1, 6, 2).repeat(5, 1, 1), torch.tensor([0, 1, 1, 0, 1, 0])
    assert float(distillation_loss(logits, labels, beta=1.0)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(random(5, 6, 2), labels, beta=1.0)) > 0.01


def test_the_teacher_is_detached():
    """A gradient through the teacher would let it follow its pupils: compare with a constant
    teacher.
    """
    logits, labels = random(3, 4, 2, seed=5).double().requires_grad_(), torch.tensor([0, 1, 1, 0])
    distillation_loss(logits, labels, beta=1.0, temperature=2.0).backward()
    values = logits.detach().numpy()
    teacher = softmax(values.mean(axis=0) / 2, 1)
    # d/dz of T^2 * mean KL(teacher || softmax(z / T)) = T * (softmax(z / T) - teacher) / (branches
    # * batch)
    expected = 2 * (softmax(values / 2, 2) - teacher) / 12
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-9)


def test_logits_are_attended_maps_pooled_and_classified():
    torch.manual_seed(6)
    model, x = MFAF(4, 16).eval(), random(3, 4, 16, 16)
    for number, branch in enumerate(model.branches):
        maps = model.backbones[0](branch(x))
        maps = maps * model.spatial(maps)
        expected = model.classifier(maps.mean(dim=(2, 3)))
        torch.testing.assert_close(model(x)[number], expected, atol=1e-5, rtol=1e-5)


def test_separate_backbones_give_each_branch_its_own():
    model = MFAF(3, 16, shared=False).eval()
    x = random(2, 3, 16, 16)
    assert len(model.backbones) == 5
    assert model(x).shape == (5, 2, 2)
    before = model(x)
    with torch.no_grad():
        for p in model.backbones[2].parameters():
            p.add_(0.1)
    changed = (model(x) != before).flatten(1).any(dim=1)
    assert changed.tolist() == [False, False, True, False, False]


def test_factor_weights_are_the_mean_attention_of_each_band():
    model, x = MFAF(4, 16), random(6, 4, 16, 16)
    weights = model.factor_weights(x)
    assert weights.shape == (5, 4)
    branch = model.branches[3]
    torch.testing.assert_close(weights[3], branch.attention(branch.conv(x)).mean(dim=0))
    assert MFAF(4, 16, channel_attention=False).factor_weights(x).shape == (0, 4)


def test_dilations_scale_with_the_window():
    assert scaled_dilations(128) == PAPER_DILATIONS == (1, 6, 12, 18, 24)
    assert scaled_dilations(16) == (1, 1, 2, 2, 3)
    for size in (4, 8, 16, 32, 64, 100, 128, 256):
        rates = scaled_dilations(size)
        assert 1 <= min(rates) <= max(rates) <= max(1, size / 5)
        assert list(rates) == sorted(rates)


def test_the_compact_network_has_about_forty_thousand_weights():
    model = MFAF(10, 16)
    assert 34_000 <= parameters(model) <= 40_000
    stem_and_convolutions = 9 * (10 * 24 + 24 * 48 + 48 * 48) + 2 * (24 + 48 + 48)
    attention = 10 * 2 + 2 + 2 * 10 + 10
    branches = 5 * (10 * 9 + 10 + attention)
    assert parameters(model) == stem_and_convolutions + branches + (2 * 49 + 1) + (48 * 2 + 2)


PUBLISHED = {  # torchvision's builder, its parameters, and those with ten bands and two classes
    "resnet18": (models.resnet18, {}, 11_689_512, 11_199_490),
    "shufflenet_v2": (models.shufflenet_v2_x1_0, {}, 2_278_604, 1_257_166),
    "googlenet": (
        models.googlenet,
        {"aux_logits": False, "init_weights": False},
        6_624_904,
        5_623_906,
    ),
    "mobilenet_v2": (models.mobilenet_v2, {}, 3_504_872, 2_228_450),
    "mnasnet": (models.mnasnet1_0, {}, 4_383_312, 3_106_890),
}


def plain_network(name: str, channels: int, size: int) -> MFAF:
    return MFAF(channels, size, backbone=name, dilations=(0,), spatial_attention=False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_the_published_number_of_parameters(name):
    build, arguments, published, adapted = PUBLISHED[name]
    assert parameters(build(weights=None, **arguments)) == published
    for size in (16, 64):
        assert parameters(plain_network(name, 10, size)) == adapted


@pytest.mark.parametrize("name", PUBLISHED)
def test_at_full_size_they_compute_what_torchvision_computes(name):
    torch.manual_seed(7)
    build, arguments, *_ = PUBLISHED[name]
    plain = plain_network(name, 3, 64).eval()
    theirs = build(weights=None, num_classes=2, **arguments).eval()
    for place, value in zip(theirs.state_dict().values(), plain.state_dict().values(), strict=True):
        place.copy_(value)
    x = random(2, 3, 64, 64)
    torch.testing.assert_close(plain(x)[0], theirs(x), atol=1e-4, rtol=1e-4)


def test_resnet18_learns_as_torchvisions_does():
    # Pooled before ReLU and with products for its last maps, it is the same function with the same
    # gradient.
    torch.manual_seed(3)
    ours = make_backbone("resnet18", 3, 64).double().train()
    theirs = models.resnet18(weights=None).double().train()
    theirs.load_state_dict({**theirs.state_dict(), **by_torchvisions_names(ours)}, strict=True)
    theirs.avgpool, theirs.fc = torch.nn.Identity(), torch.nn.Identity()
    x = random(4, 3, 64, 64).double()
    towards = torch.randn(4, 512, 2, 2, dtype=torch.float64)
    (ours(x) * towards).sum().backward()
    (theirs(x).view(4, 512, 2, 2) * towards).sum().backward()
    gradients = {name: weight.grad for name, weight in theirs.named_parameters()}
    for name, weight in by_torchvisions_names(ours, gradients=True).items():
        torch.testing.assert_close(weight, gradients[name])


def by_torchvisions_names(net, *, gradients=False):
    own = {own_name("resnet18", name): name for name in models.resnet18(weights=None).state_dict()}
    if gradients:
        return {own[name]: weight.grad for name, weight in net.named_parameters()}
    return {own[name]: value for name, value in net.state_dict().items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_dropout_stands_before_the_classifier(name):
    build, arguments, *_ = PUBLISHED[name]
    theirs = [
        m.p for m in build(weights=None, **arguments).modules() if isinstance(m, torch.nn.Dropout)
    ]
    ours = [m.p for m in plain_network(name, 3, 16).modules() if isinstance(m, torch.nn.Dropout)]
    assert ours == theirs


@pytest.mark.parametrize("name", PUBLISHED)
def test_strides_follow_the_window(name):
    """Five halvings from 64 cells, the first two left out below (where a size is odd, some round
    up).
    """
    for size in (16, 32, 63, 64, 128, 256):
        net = make_backbone(name, 3, size).eval()
        with torch.inference_mode():
            side = net(random(1, 3, size, size)).shape[-1]
        assert abs(side - size / (8 if size < SMALL_WINDOW else 32)) < 1


def test_mnasnet_normalises_by_what_it_has_seen_lately():
    """With the published momentum its running averages are still noise after a hundred steps, and
    so are scores.
    """
    norms = [
        m for m in make_backbone("mnasnet", 3, 16).modules() if isinstance(m, torch.nn.BatchNorm2d)
    ]
    assert {m.momentum for m in norms} == {0.1}


@pytest.mark.parametrize("name", ["compact", "resnet18"])
def test_one_branch_of_rate_1_without_attention_is_the_plain_backbone_to_the_bit(name):
    x, x_new = random(24, 3, 16, 16).numpy(), random(9, 3, 16, 16, seed=1).numpy()
    labels = np.arange(24) % 3 == 0
    few = {
        "epochs": 1,
        "least_steps": 2,
        "batch": 8,
        "precision": "float32",
    }  # as the plain forward pass below
    plain = training_options("mfaf", network="plain", backbone=name, **few)
    off = {"dilations": (1,), "channel_attention": False, "spatial_attention": False, "beta": 0.0}
    single = training_options("mfaf", backbone=name, **few, **off)
    first, second = (
        MFAFClassifier(o, seed=3, device="cpu").fit(x, labels) for o in (plain, single)
    )
    assert first.net_.state_dict().keys() == second.net_.state_dict().keys()
    np.testing.assert_array_equal(first.predict_proba(x_new), second.predict_proba(x_new))
    with torch.inference_mode():
        maps = first.net_.backbones[0](torch.from_numpy(x_new))
        logits = first.net_.classifier(maps.mean(dim=(2, 3)))
    np.testing.assert_allclose(
        first.predict_proba(x_new)[:, 1], softmax(logits.numpy(), 1)[:, 1], atol=1e-6
    )


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_learns_at_every_size(name, size):
    torch.manual_seed(8)
    model = MFAF(3, size, backbone=name, dilations=(1, 2))
    maps = model.backbones[0](random(2, 3, size, size))
    assert maps.shape[:2] == (2, model.backbones[0].features)
    assert maps.shape[2] == maps.shape[3] >= 2
    logits = model(random(2, 3, size, size))
    assert logits.shape == (2, 2, 2)
    distillation_loss(logits, torch.tensor([0, 1])).backward()
    without = [
        n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()
    ]
    assert without == []


def test_an_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match='Did you mean "resnet18"'):
        make_backbone("resnet81", 3, 16)


@pytest.mark.parametrize(("size", "end"), [(16, 2), (17, 3), (64, 2), (65, 3)])
def test_windows_of_16_and_64_cells_end_in_maps_of_2_x_2_cells(size, end):
    assert make_backbone("resnet18", 3, size).eval()(torch.zeros(1, 3, size, size)).shape == (
        1,
        512,
        end,
        end,
    )
