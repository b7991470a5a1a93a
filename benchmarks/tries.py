"""Measure ideas that are not in the package: what the network would gain if it had them.

    python benchmarks/tries.py [--areas ../shared/areas] [--folder skill/tries] [--draws 2]

The six surveys, folds, windows and places of choices.py. Every idea changes one thing of the same
short training (the compact MFAF network, middle of the window, forty steps); the first row is that
training as it is. A figure is the held-out map AUC minus that of the first row, of the network
alone and of the network joined with extra trees and fuzzy overlay. Every finished figure is one
line of tries.jsonl: the measurement goes on where it stopped. The table goes to docs/benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
from idw import write
from surveys import (
    GROUND,
    SURVEYS,
    Case,
    Kept,
    case_of,
    figures,
    in_folds,
    parser,
    simple_scores,
    surveys_there,
)
from torch.nn import functional

from geomfaf.models.baselines import make_baseline
from geomfaf.models.ensemble import join, log_odds
from geomfaf.models.fold_models import encode_windows, training_data, window_rows
from geomfaf.models.network.augment import add_noise, turn_and_flip
from geomfaf.models.network.classifier import learning_rate, make_network
from geomfaf.models.network.encode import Encoder
from geomfaf.models.network.mfaf import MFAF, branch_probabilities, distillation_loss
from geomfaf.models.network.options import training_options
from geomfaf.progress import say, track
from geomfaf.rasters.bands import bands_of, grid_of
from geomfaf.windows.features import Features, window_features
from geomfaf.windows.negatives import draw_seed
from geomfaf.windows.windows import read_windows

OPTIONS = training_options("mfaf", view=0.5)
STEPS = OPTIONS.least_steps
HALF = OPTIONS.batch // 2
FAR = 4
"""The coarse window has cells as many times larger, and covers as many times the ground along a
side.
"""
SCALES = (8, 32, 64)
"""Cells along the windows whose statistics the trees get besides those of the window itself."""


@dataclass
class Ground:
    """Places of one fold as every idea may want them, all (places, ...)."""

    near: torch.Tensor  # encoded windows, whole
    far: (
        torch.Tensor
    )  # the coarse window around the same centre, as many cells as the network looks at
    rows: torch.Tensor  # standardised features of the window


class AsItIs:
    """The training of the package: half of a batch is ore, turned and flipped, with noise; one
    cycle of the rate.
    """

    name = "as it is"
    seeds = 1

    def network(self, ground: Ground, seed: int) -> MFAF:
        """Return a new network."""
        return make_network(
            OPTIONS,
            ground.near.shape[1],
            self.seen(ground.near),
            seed=seed,
            device=torch.device("cpu"),
        )

    def seen(self, near: torch.Tensor) -> int:
        """Return the cells along the middle of the window."""
        return near.shape[-1] // 2

    def draw(self, ground: Ground, index: torch.Tensor, generator: torch.Generator) -> Ground:
        """Return the windows of a batch, cut and augmented."""
        near = add_noise(turn_and_flip(middle(ground.near[index]), generator), generator)
        return Ground(near, ground.far[index], ground.rows[index])

    def logits(self, net: MFAF, ground: Ground) -> torch.Tensor:
        """Return (branches, places, 2)."""
        return net(ground.near.contiguous(memory_format=torch.channels_last))

    def loss(
        self, net: MFAF, batch: Ground, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return what a step makes smaller."""
        return distillation_loss(self.logits(net, batch), labels, beta=OPTIONS.beta)

    def keep(self, net: MFAF, step: int) -> None:
        """Look at the network after a step."""

    def final(self, net: MFAF, ground: Ground) -> MFAF:
        """Return the network that judges."""
        return net


class Jitter(AsItIs):
    """The middle is cut up to two cells beside the centre: the deposit may lie anywhere near it."""

    name = "jitter of 2 cells"

    def draw(self, ground: Ground, index: torch.Tensor, generator: torch.Generator) -> Ground:
        """Return windows cut beside their centres."""
        shifts = torch.randint(-2, 3, (len(index), 2), generator=generator).tolist()
        cut = torch.cat(
            [
                middle(ground.near[i : i + 1], *s)
                for i, s in zip(index.tolist(), shifts, strict=True)
            ]
        )
        return Ground(
            add_noise(turn_and_flip(cut, generator), generator),
            ground.far[index],
            ground.rows[index],
        )


class Smoothed(AsItIs):
    """Every label is one tenth uncertain."""

    name = "label smoothing 0.1"

    def loss(
        self, net: MFAF, batch: Ground, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the loss with smoothed labels."""
        return soft_loss(self.logits(net, batch), functional.one_hot(labels, 2) * 0.9 + 0.05)


class Mixup(AsItIs):
    """Windows and labels of two places are mixed, with a share of Beta(0.2, 0.2)."""

    name = "mixup"

    def loss(
        self, net: MFAF, batch: Ground, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the loss of the mixed windows."""
        share = float(
            np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator))).beta(
                0.2, 0.2
            )
        )
        other = torch.randperm(len(labels), generator=generator)
        mixed = replace(batch, near=share * batch.near + (1 - share) * batch.near[other])
        sure = functional.one_hot(labels, 2).float()
        return soft_loss(self.logits(net, mixed), share * sure + (1 - share) * sure[other])


class Averaged(AsItIs):
    """The weights are the mean of those of the last twenty steps; the batch statistics are taken
    anew.
    """

    name = "weight averaging"

    def network(self, ground: Ground, seed: int) -> MFAF:
        """Return a new network and forget the averages of the one before."""
        self.mean: torch.optim.swa_utils.AveragedModel | None = None
        return super().network(ground, seed)

    def keep(self, net: MFAF, step: int) -> None:
        """Add the weights to the mean."""
        if step == STEPS // 2:
            self.mean = torch.optim.swa_utils.AveragedModel(net)
        elif self.mean is not None:
            self.mean.update_parameters(net)

    def final(self, net: MFAF, ground: Ground) -> MFAF:
        """Return the averaged network."""
        assert self.mean is not None
        torch.optim.swa_utils.update_bn([middle(ground.near)], self.mean)
        return self.mean.module.eval()


class Unlabelled(AsItIs):
    """Barren ground is unlabelled: non-negative risk (Kiryo et al. 2017) with one in twenty of it
    ore.
    """

    name = "positive-unlabelled loss"

    def loss(
        self, net: MFAF, batch: Ground, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the non-negative risk, scaled so that both kinds weigh alike as in the batches."""
        logits = self.logits(net, batch)
        prior = 0.05
        ore = logits[:, labels == 1].flatten(0, 1)
        other = logits[:, labels == 0].flatten(0, 1)

        def as_barren(part):
            return functional.cross_entropy(part, torch.zeros(len(part), dtype=torch.long))

        missed = functional.cross_entropy(ore, torch.ones(len(ore), dtype=torch.long))
        false = torch.clamp(as_barren(other) - prior * as_barren(ore), min=0.0) / (1 - prior)
        return (missed + false) / 2


class Subspaces(AsItIs):
    """Every branch sees a random two thirds of the channels."""

    name = "random-subspace branches"

    def network(self, ground: Ground, seed: int) -> MFAF:
        """Return a network and draw what its branches see."""
        net = super().network(ground, seed)
        count = ground.near.shape[1]
        rng = np.random.default_rng(seed)
        self.masks = [torch.zeros(1, count, 1, 1) for _ in net.branches]
        for mask in self.masks:
            mask[:, rng.choice(count, max(1, round(count * 2 / 3)), replace=False)] = 1
        return net

    def logits(self, net: MFAF, ground: Ground) -> torch.Tensor:
        """Return the logits of branches that see a part of the channels each."""
        x = ground.near.contiguous(memory_format=torch.channels_last)
        seen = [branch(x * mask) for branch, mask in zip(net.branches, self.masks, strict=True)]
        return net.classifier(net.maps(seen).mean(dim=(2, 3))).view(len(seen), len(x), 2)


class Coarse(AsItIs):
    """Every branch also sees the ground around at coarser cells: twice as many branches, with the
    same weights.
    """

    name = "coarser cells as extra branches"

    def logits(self, net: MFAF, ground: Ground) -> torch.Tensor:
        """Return the logits of the branches at both scales."""
        both = [
            part.contiguous(memory_format=torch.channels_last) for part in (ground.near, ground.far)
        ]
        return torch.cat([net(part) for part in both])


class WithRows(AsItIs):
    """The classifier also reads what the trees read: pixel and window statistics, beside the pooled
    features.
    """

    name = "window statistics in the head"

    def network(self, ground: Ground, seed: int) -> MFAF:
        """Return a network with a wider classifier."""
        net = super().network(ground, seed)
        net.classifier = torch.nn.Linear(net.classifier.in_features + ground.rows.shape[1], 2)
        return net

    def logits(self, net: MFAF, ground: Ground) -> torch.Tensor:
        """Return the logits of pooled features and statistics together."""
        pooled = net.pooled(ground.near.contiguous(memory_format=torch.channels_last))
        rows = ground.rows.repeat(len(net.branches), 1)
        return net.classifier(torch.cat([pooled, rows], dim=1)).view(
            len(net.branches), len(ground.near), 2
        )


class Ensemble(AsItIs):
    """Four networks with other seeds judge together."""

    name = "four seeds"
    seeds = 4


class Ranked(AsItIs):
    """Channels go through the normal scores of their ranks in the training windows, in place of
    median and IQR.
    """

    name = "quantile scaling"


class Saturated(AsItIs):
    """Distances go through d / (d + median) in place of the logarithm."""

    name = "saturating distances"


class Pooled(AsItIs):
    """Half of every batch comes from the other surveys of its kind, channels matched by name."""

    name = "pooled with other surveys"


IDEAS = [
    AsItIs,
    Jitter,
    Smoothed,
    Mixup,
    Averaged,
    Unlabelled,
    Subspaces,
    Coarse,
    WithRows,
    Ensemble,
    Ranked,
]
IDEAS += [Saturated, Pooled]
TREES = "multi-scale statistics in the trees"


def middle(x: torch.Tensor, down: int = 0, right: int = 0) -> torch.Tensor:
    """Return the middle half of windows, moved by some cells."""
    half = x.shape[-1] // 2
    quarter = x.shape[-1] // 4
    first = half - quarter
    return x[..., first + down : first + down + half, first + right : first + right + half]


def soft_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the distillation loss with labels that are probabilities."""
    count = len(logits)
    ce = functional.cross_entropy(logits.flatten(0, 1), targets.float().repeat(count, 1))
    hard = torch.zeros(logits.shape[1], dtype=torch.long)
    # Of the package's loss, the part that does not look at the labels.
    distilled = distillation_loss(logits, hard, beta=OPTIONS.beta) - (
        1 - OPTIONS.beta
    ) * functional.cross_entropy(logits.flatten(0, 1), hard.repeat(count))
    return (1 - OPTIONS.beta) * ce + distilled


def fit(
    idea: AsItIs,
    ground: Ground,
    labels: np.ndarray,
    seed: int,
    extra: tuple[Ground, np.ndarray] | None,
) -> MFAF:
    """Train one network on a fold's ground, and on that of other surveys where there is any."""
    net = idea.network(ground, seed).train()
    optimiser = torch.optim.AdamW(
        net.parameters(), OPTIONS.learning_rate, weight_decay=OPTIONS.weight_decay
    )
    generator = torch.Generator().manual_seed(seed)
    sources = [(ground, labels)] if extra is None else [(ground, labels), extra]
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, STEPS, 0, OPTIONS)
        batches = []
        answers = []
        for part, own in sources:
            index = torch.cat(
                [
                    some(np.flatnonzero(own == kind), HALF // len(sources), generator)
                    for kind in (0, 1)
                ]
            )
            batches.append(idea.draw(part, index, generator))
            answers.append(torch.from_numpy(own[index.numpy()]).long())
        batch = Ground(
            *[torch.cat([getattr(b, n) for b in batches]) for n in ("near", "far", "rows")]
        )
        loss = idea.loss(net, batch, torch.cat(answers), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        idea.keep(net, step)
    return idea.final(net, ground).eval()


def some(members: np.ndarray, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return so many members, none twice before all were taken."""
    rounds = -(-count // len(members))
    order = torch.cat([torch.randperm(len(members), generator=generator) for _ in range(rounds)])[
        :count
    ]
    return torch.from_numpy(members)[order]


def network_scores(case: Case, draw: int, idea: AsItIs, others: list[Case]) -> np.ndarray:
    """Return the held-out score of every place by the network alone."""

    def judge(fold: int, places: gpd.GeoDataFrame) -> np.ndarray:
        table = case.tables[draw]
        own = table[case.folds.training(table, fold)]
        names = case.bands[fold]
        encoder = training_data(case.stack, own, names)[2]
        learned = learn_rows(window_rows(case.stack, own, names))
        grounds = [
            ground_of(case, part, names, encoder, learned, idea, own) for part in (own, places)
        ]
        extra = (
            pooled_ground(others, draw, encoder, grounds[0]) if isinstance(idea, Pooled) else None
        )
        said = []
        for number in range(idea.seeds):
            net = fit(
                idea,
                grounds[0],
                own["label"].to_numpy(),
                draw_seed(0, draw) + fold + 7 * number,
                extra,
            )
            cut = replace(grounds[1], near=middle(grounds[1].near))
            with torch.inference_mode():
                said.append(branch_probabilities(idea.logits(net, cut)).mean(dim=0).numpy())
        return np.mean(said, axis=0)

    return in_folds(case, judge)[0]


def ground_of(
    case: Case,
    windows: gpd.GeoDataFrame,
    names: list[str],
    encoder: Encoder,
    learned: tuple,
    idea: AsItIs,
    own: object,
) -> Ground:
    """Return windows as every idea may want them; what is learned was learned from the training
    windows.
    """
    near = encode_windows(case.stack, windows, names, encoder)
    if isinstance(idea, (Ranked, Saturated)):
        near = rescaled(case, windows, names, encoder, near, idea, own)
    size = near.shape[-1]
    far = np.zeros((len(near), near.shape[1], size // 2, size // 2), np.float32)
    if isinstance(idea, Coarse):
        wide = windows.assign(size=FAR * size // 2)
        wide[["row", "col"]] = windows[["row", "col"]].to_numpy() + size // 2 - FAR * size // 4
        for start in range(0, len(wide), 256):
            part = encode_windows(case.stack, wide.iloc[start : start + 256], names, encoder)
            far[start : start + 256] = part.reshape(
                *part.shape[:2], size // 2, FAR, size // 2, FAR
            ).mean(axis=(3, 5))
    centre, spread = learned
    rows = np.nan_to_num(
        np.clip((window_rows(case.stack, windows, names).values - centre) / spread, -5, 5)
    )
    return Ground(
        torch.from_numpy(near), torch.from_numpy(far), torch.from_numpy(rows.astype(np.float32))
    )


def learn_rows(rows: Features) -> tuple[np.ndarray, np.ndarray]:
    """Return median and standard deviation of the training rows' columns."""
    spread = np.nanstd(rows.values, axis=0)
    return np.nan_to_num(np.nanmedian(rows.values, axis=0)), np.where(spread > 1e-6, spread, 1)


def rescaled(
    case: Case,
    windows: gpd.GeoDataFrame,
    names: list[str],
    encoder: Encoder,
    near: np.ndarray,
    idea: object,
    own: object,
) -> np.ndarray:
    """Return encoded windows with the channels of one kind scaled in another way."""
    from sklearn.preprocessing import QuantileTransformer

    raw = read_windows(
        case.stack.sel(band=names).values, windows["row"], windows["col"], near.shape[-1]
    )
    learned = read_windows(
        case.stack.sel(band=names).values, own["row"], own["col"], near.shape[-1]
    )
    for at, channel in enumerate(encoder.channels):
        values = raw[:, names.index(channel.band)]
        from_ = learned[:, names.index(channel.band)]
        if isinstance(idea, Ranked) and channel.kind != "class":
            known = from_[np.isfinite(from_)][:, None]
            scaler = QuantileTransformer(
                n_quantiles=500, output_distribution="normal", random_state=0
            ).fit(known)
            flat = np.where(np.isfinite(values), values, np.median(known)).reshape(-1, 1)
            near[:, at] = np.clip(scaler.transform(flat), -3, 3).reshape(values.shape)
        elif isinstance(idea, Saturated) and channel.kind == "distance":
            near[:, at] = np.nan_to_num(2 * values / (values + np.nanmedian(from_) + 1e-9) - 1)
    return near


def pooled_ground(
    others: list[Case], draw: int, encoder: Encoder, like: Ground
) -> tuple[Ground, np.ndarray]:
    """Return all windows of other surveys, each scaled by its own figures; channels that one lacks
    are 0.
    """
    parts = []
    labels = []
    for other in others:
        table = other.tables[draw]
        x, y, own = training_data(other.stack, table, [band.name for band in bands_of(other.stack)])
        matched = np.zeros((len(x), len(encoder.channels), *x.shape[2:]), np.float32)
        for at, name in enumerate(encoder.names):
            if name in own.names:
                matched[:, at] = x[:, own.names.index(name)]
        parts.append(torch.from_numpy(matched))
        labels.append(y)
    near = torch.cat(parts)
    far, rows = (torch.zeros(len(near), *part.shape[1:]) for part in (like.far, like.rows))
    return Ground(near, far, rows), np.concatenate(labels)


def tree_scores(case: Case, draw: int) -> np.ndarray:
    """Return the held-out scores of extra trees that read windows of several sizes."""

    def rows_of(windows: gpd.GeoDataFrame, names: list[str]) -> Features:
        base = window_rows(case.stack, windows, names)
        grid = grid_of(case.stack)
        values = [base.values]
        columns = list(base.columns)
        rows, cols = grid.rowcol(base.x, base.y)
        for size in SCALES:
            more = window_features(case.stack.sel(band=names), rows, cols, size)
            kept = [at for at, column in enumerate(more.columns) if column.statistic != "centre"]
            values.append(more.values[:, kept])
            columns += [
                replace(more.columns[at], statistic=f"{more.columns[at].statistic} {size}")
                for at in kept
            ]
        return Features(np.concatenate(values, axis=1), tuple(columns), base.x, base.y)

    def judge(fold: int, places: gpd.GeoDataFrame) -> np.ndarray:
        table = case.tables[draw]
        own = table[case.folds.training(table, fold)]
        names = case.bands[fold]
        fitted = make_baseline("extra trees", seed=draw_seed(0, draw)).fit(
            rows_of(own, names), own["label"].to_numpy()
        )
        return fitted.predict_proba(rows_of(places, names))[:, 1]

    return in_folds(case, judge)[0]


def measure(
    case: Case, draw: int, done: set[str], others: list[Case]
) -> dict[str, dict[str, float]]:
    """Return the figures of every idea that is not done, alone and joined."""
    simple = {name: simple_scores(case, draw, name) for name in ("extra trees", "fuzzy overlay")}
    odds = np.stack([log_odds(scores) for scores in simple.values()])
    found: dict[str, dict[str, float]] = {}

    def note(name: str, alone: np.ndarray, joined: np.ndarray) -> None:
        figure = {"alone": figures(case, alone), "joined": figures(case, joined)}
        found[name] = {
            f"{of}_{k}": v for of, own in figure.items() for k, v in own.items() if k != "capture_5"
        }

    plain: np.ndarray | None = None
    for kind in track(
        [kind for kind in IDEAS if kind.name not in done or kind is AsItIs], "ideas", unit="ideas"
    ):
        scores = network_scores(case, draw, kind(), others)
        plain = scores if plain is None else plain
        note(kind.name, scores, join(scores, odds))
    if TREES not in done and plain is not None:
        trees = tree_scores(case, draw)
        note(TREES, trees, join(plain, np.stack([log_odds(trees), odds[1]])))
        note("extra trees", simple["extra trees"], join(plain, odds))
    return {name: row for name, row in found.items() if name not in done}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row an idea: what it adds to the map AUC, joined on each survey, and in the mean
    alone and joined.
    """
    order = [survey for survey in SURVEYS if survey in set(rows["survey"])]
    names = [*[kind.name for kind in IDEAS], TREES]
    lines = []
    for name in names:
        before = "extra trees" if name == TREES else AsItIs.name
        line: dict[str, str] = {"idea": name}
        gains = {}
        for figure in ("joined_auc", "alone_auc", "joined_capture_10"):
            means = rows.pivot_table(index="idea", columns=["survey", "draw"], values=figure)
            gains[figure] = means.loc[name] - means.loc[before]
        for survey in order:
            line[survey] = f"{gains['joined_auc'][survey].mean():+.3f}"
        by_survey = gains["joined_auc"].groupby("survey").mean()
        line["mean, joined"] = (
            f"{by_survey.mean():+.4f} ± {by_survey.std(ddof=1) / len(by_survey) ** 0.5:.4f}"
        )
        line["mean, alone"] = f"{gains['alone_auc'].groupby('survey').mean().mean():+.4f}"
        line["joined, in best 10 %"] = (
            f"{gains['joined_capture_10'].groupby('survey').mean().mean():+.3f}"
        )
        lines.append(line)
    return pd.DataFrame(lines)


def beyond(result: pd.DataFrame) -> str:
    """Return one sentence on the ideas whose mean gain is more than twice its standard error."""
    found = []
    for idea, text in zip(result["idea"], result["mean, joined"], strict=True):
        gain, error = (float(part) for part in text.split(" ± "))
        if abs(gain) > 2 * error:
            found.append(f"{idea} ({gain:+.4f})")
    return f"Beyond twice its standard error: {'; '.join(found) or 'none'}."


def main() -> None:
    """Measure what is not there yet and write the table."""
    chosen = parser(__doc__, "skill/tries", 2).parse_args()
    kept = Kept(chosen.folder / "tries.jsonl")
    there = surveys_there(chosen.areas)
    cases = {survey: case_of(survey, chosen.areas, chosen.folder, chosen.draws) for survey in there}
    for draw in range(chosen.draws):
        for survey in there:
            at = {"survey": survey, "draw": draw}
            done = kept.done("idea", **at)
            if done >= {TREES, *[kind.name for kind in IDEAS]}:
                continue
            say(f"== {survey}, draw {draw + 1} of {chosen.draws}")
            made = survey.startswith("synthetic")
            others = [
                cases[other]
                for other in there
                if other != survey and other.startswith("synthetic") == made
            ]
            for name, found in measure(cases[survey], draw, done, others).items():
                kept.add(**at, idea=name, **found)
    note = (
        "Map AUC minus that of the row *as it is* (for the trees: with and without the wider"
        f" statistics), mean of {chosen.draws} draws of barren windows and seeds, judged at the"
        f" deposits and {GROUND:,} other cells; ± is the standard error over the surveys. `alone`:"
        " the network without the simple models (for the trees: the trees)."
    )
    result = table(pd.DataFrame(kept.rows))
    write(result, "tries", f"{note} {beyond(result)}")


if __name__ == "__main__":
    main()
