"""Every setting of geomfaf once: its default, unit, range, choices and one line of meaning.

Checked with these tables are ``geomfaf.toml``, ``--set`` and the arguments of public functions
(:func:`~geomfaf.settings.check.require_settings`); made from them are the commented
``geomfaf.toml`` of ``geomfaf init``, options of the commands and ``docs/settings.md``.

To add a setting, add a line to its table here, and a keyword of that name and default to the
stage's function (a test compares them); ``python -m geomfaf settings`` writes ``docs/settings.md``
anew. To add a table, add a :class:`Table` and name it in :data:`TABLES`; with ``repeated=True`` it
is written ``[[name]]`` and may stand several times. To take a setting away, move its name to
:data:`GONE` with one line that says why. Nothing heavy is imported here.
"""

from __future__ import annotations

from .setting import ModelNames, Setting, Table

LARGEST_SEED = 2**31 - 1
"""What every library behind takes as a seed."""

PRESETS = ("compact", "mfaf", "paper")
BACKBONES = ("compact", "resnet18", "shufflenet_v2", "googlenet", "mobilenet_v2", "mnasnet")
NETWORK = "MFAF"
"""Name of the network's row in every table."""

ENSEMBLE = "MFAF ensemble"
"""The network joined with the simple models that ``[train] ensemble`` names."""

BASELINES = ModelNames(
    [
        "distance to deposit",
        "best band",
        "weights of evidence",
        "logistic regression",
        "ridge logistic regression",
        "fuzzy overlay",
        "random forest",
        "extra trees",
        "gradient boosting",
    ]
)
"""The simple models by their names; a registered model adds its own, installed packages theirs."""

# A table, to be read as one.
# fmt: off
PROJECT = Table(
    "",
    "what holds for the whole run",
    (
        Setting("out", "text", "out", "folder of the results, beside this file"),
        Setting("preset", "text", "compact", "mfaf: the network alone; paper: hours",
                choices=PRESETS),
        Setting("model", "text", "auto", "whose map is written; auto: the best on unseen ground",
                choices=BASELINES, words=("auto", ENSEMBLE, NETWORK)),
        Setting("seed", "whole number", 0, "the same seed gives the same map", least=0,
                most=LARGEST_SEED),
        Setting("quick", "flag", False, "a look around: one draw, two rivals, no null test; marked"),
        Setting("crs", "text", None, "metres; every layer goes into it", "UTM", "EPSG:32650"),
        Setting("area", "text", None, "name of the area, for titles", "none", "Central Lapland"),
        Setting("author", "text", None, "who answers for the map", "none", "A. Geologist"),
    ),
)

_LAYER = (
    Setting("path", "text", None, "file, or address of a database", "required", "survey.gpkg"),
    Setting("layer", "text", None, "layer of the file", "the only one", "samples"),
    Setting("x", "text", None, "x column of a table", "found by name", "X"),
    Setting("y", "text", None, "y column of a table", "found by name", "Y"),
    Setting("crs", "text", None, "CRS of the file", "the file's own", "EPSG:32650"),
    Setting("xy_unit", "text", None, "unit of x and y", "metres", "km", choices=("m", "km", "deg")),
    Setting("where", "text", None, "keeps the features that meet this", "all", "kind = 'gold'"),
    Setting("swap_xy", "flag", False, "true: x and y stand in each other's place"),
    Setting("query", "text", None, "SQL query of a database", "the layer", "SELECT * FROM samples"),
    Setting("encoding", "text", None, "encoding of the text", "found", "latin-1"),
    Setting("header", "whole number", None, "row of a table's headings, from 1", "found", 3,
            least=1),
    Setting("units_row", "whole number", None, "row of a table's units, from 1", "found", 4,
            least=1),
    Setting("skip", "whole number", None, "rows at the top that are no part of the table", "none",
            2, least=0),
)
_ELEMENTS = Setting("elements", "texts", None, "element columns", "found by name", ["Au_ppb"])
_UNITS = Setting("units", "pairs", None, "units of columns", "from their names", {"Au": "ppb"})
_SEVERAL = Setting("layers", "texts", None, "layers of the file that are joined", "layer",
                   ["soils_2019", "soils_2021"])
_COLUMN = Setting("column", "text", None, "column of the classes", "found by name", "rock")

LAYERS = (
    Table("samples", "stream sediments, soils or rocks", (*_LAYER, _SEVERAL, _ELEMENTS, _UNITS)),
    Table("deposits", "known deposits: what the map learns from and is judged by",
          (*_LAYER, _SEVERAL)),
    Table("geology", "polygons of the geological map", (*_LAYER, _COLUMN)),
    Table("faults", "fault lines", _LAYER),
    Table("study_area", "outside it nothing is computed or counted", _LAYER),
)

CHECK = Table(
    "check",
    "what is done with dirty data",
    (
        Setting("max_censored", "number", 0.5, "an element with more below detection is set aside",
                least=0, most=1),
        Setting("max_missing", "number", 2 / 3, "the same for missing values", least=0, most=1),
        Setting("min_sites", "whole number", 30, "fewer sampled places carry no map", least=1),
        Setting("duplicates", "text", "mean",
                "several rows at one place; median: of the logarithms",
                choices=("mean", "median", "first", "keep")),
        Setting("negatives", "text", "auto", "limits: a negative value is minus its own limit",
                choices=("auto", "limits")),
        Setting("strict", "flag", False, "true: refuse the data instead of fixing them"),
        Setting("replacement", "text", "half", "of values below detection; half: of the limit",
                choices=("half", "sqrt2", "zero", "drop", "ros", "multiplicative")),
        Setting("detection_limits", "path", None, "table of element, limit, unit",
                "from the values", "limits.csv"),
        Setting("decimal", "text", None, "the decimal sign, where 1,234 does not tell",
                "found in each table", ",", choices=(",", ".")),
    ),
)

COMPOSITION = Table(
    "composition",
    "log-ratios in place of elements, for screening and bands",
    (
        Setting("kind", "text", "clr",
                "clr: centred; ilr: isometric, each part against those behind it",
                choices=("clr", "ilr")),
        Setting("parts", "texts", None, "the sub-composition", "all usable elements",
                ["Cu", "Pb", "Zn"]),
    ),
    optional=True,
)

GRID = Table(
    "grid",
    "cells, and how elements become bands",
    (
        Setting("method", "text", "idw",
                "idw: inverse distances; catchment: a stream sediment speaks for the ground"
                " upstream, see [catchments]", choices=("idw", "catchment")),
        Setting("cell", "number", None, "metres along a cell",
                "round, 500 to 1,000 cells along the longer side", 100, least=0.01, most=1e6),
        Setting("power", "number", 2.0, "exponent of the distance; auto: by leave-one-out error",
                least=0, most=20, open=True, words=("auto",)),
        Setting("neighbours", "whole number", 12, "nearest samples; 0 takes all; auto: by error",
                least=0, words=("auto",)),
        Setting("radius", "number", None, "metres; farther samples do not count", "no limit", 2000,
                least=0, open=True),
        Setting("scale", "text", "log", "log: weights log10 of the values; linear: the values",
                choices=("log", "linear")),
        Setting("minimum", "whole number", 1, "fewer samples in reach: no value", least=1),
        Setting("max_distance", "number", None, "metres; farther from every sample: no value",
                "no limit", 5000, least=0, open=True),
        Setting("anisotropy", "numbers", None,
                "[ratio, azimuth]: alike so many times farther along so many degrees from north",
                "none", [3, 45], least=0, length=2),
        Setting("features", "texts", [],
                "further bands of all elements: bandpass:500-4000, singularity:500-4000, pca:3,"
                " ratio:Au_ppb/Cu_ppm", example=["pca:3"]),
        Setting("barriers", "flag", False, "true: a sample behind a fault does not count"),
        Setting("errors", "flag", True, "cross-validate and keep the errors with each band"),
    ),
)

RASTERIZE = Table(
    "rasterize",
    "geology and faults as bands",
    (
        Setting("geology", "text", "largest",
                "largest: class with most of the cell; centre: at its centre",
                choices=("largest", "centre")),
        Setting("faults", "texts", ["distance"], "one band each",
                choices=("distance", "cell_distance", "presence", "density")),
        Setting("installed", "texts", [], "bands of installed packages, by their names",
                example=["town_distance"]),
    ),
)

CATCHMENTS = Table(
    "catchments",
    'with [grid] method = "catchment": the ground upstream of stream sediments',
    (
        Setting("dem", "path", None, "raster of the elevation", "required", "dem.tif"),
        Setting("stream", "number", 0.25, "km2 upstream from which water is a stream", least=0,
                open=True),
        Setting("snap", "number", None, "metres; farther from a stream: not used", "three cells",
                150, least=0, open=True),
        Setting("nested", "text", "smallest", "between two samples of one stream: the lower one's"
                " value, or the rest of its load", choices=("smallest", "mass-balance")),
        Setting("dilution", "flag", False, "true: the excess over the median comes from 1 km2"),
        Setting("background", "text", "none", "lithology: log10 over the rocks of the catchment",
                choices=("none", "lithology")),
        Setting("fallback", "text", "idw", "ground without a sample downstream",
                choices=("idw", "none")),
    ),
    optional=True,
)

RASTERS = Table(
    "rasters",
    "a raster of your own as a band: magnetics, gravity, radiometrics, DEM, satellite",
    (
        Setting("path", "path", None, "GeoTIFF, COG, VRT, ERS, ASCII grid, NetCDF", "required",
                "tmi.tif"),
        Setting("name", "text", None, "of the band", "required", "magnetics"),
        Setting("band", "whole number", 1, "which band of the file", least=1),
        Setting("variable", "text", None, "of a NetCDF file", "the only one", "tmi"),
        Setting("kind", "text", "continuous", "angle: degrees, become sine and cosine",
                choices=("continuous", "class", "angle")),
        Setting("unit", "text", "", "of the values", example="nT"),
        Setting("resampling", "text", None, "how pixels become cells",
                "average or mode on coarser cells, bilinear or nearest on finer ones", "average",
                choices=("average", "mode", "bilinear", "cubic", "nearest", "median")),
        Setting("scale", "text", "linear", "what the band holds",
                choices=("linear", "log", "signed-log")),
        Setting("derive", "texts", [],
                "further bands: slope, aspect_sin, aspect_cos, curvature, ruggedness, gradient,"
                " residual:10, ratio:2, vertical, tilt, analytic_signal, upward:500",
                example=["slope", "ruggedness"]),
        Setting("nodata", "number", None, "code for no value", "the file's own", -9999),
        Setting("crs", "text", None, "CRS of the file", "the file's own", "EPSG:32650"),
    ),
    repeated=True,
)

PROXIMITY = Table(
    "proximity",
    "distance to other features: granites, dykes, alteration, lineaments, occurrences",
    (
        Setting("path", "path", None, "file of points, lines or polygons", "required",
                "dykes.gpkg"),
        Setting("name", "text", None, "of the band", "required", "dykes"),
        Setting("layer", "text", None, "layer of the file", "the only one", "dykes"),
        Setting("where", "text", None, "keeps the features that meet this", "all",
                "rock = 'granite'"),
        Setting("crs", "text", None, "CRS of the file", "the file's own", "EPSG:32650"),
        Setting("kind", "text", "distance",
                "value and strike: a column of points, by inverse distances",
                choices=("distance", "density", "presence", "value", "strike")),
        Setting("max", "number", None, "metres; farther is as far", "no limit", 5000, least=0,
                open=True),
        Setting("radius", "number", None, "metres, of a density", "ten cells", 2000, least=0,
                open=True),
        Setting("column", "text", None, "of value and strike", "none", "grains"),
        Setting("unit", "text", "", "of the column", example="grains"),
    ),
    repeated=True,
)

STRUCTURE = Table(
    "structure",
    "bands of contacts, rock mixture and fault network",
    (
        Setting("bands", "texts", [], "one or more bands each",
                choices=("contact_distance", "contact_density", "class_count", "class_entropy",
                         "class_distance", "fault_density", "crossing_distance",
                         "crossing_density", "fault_end_distance", "strike_distance",
                         "fault_type_distance")),
        Setting("radii", "numbers", None, "metres, of densities and mixtures", "ten cells",
                [1000, 5000], least=0, open=True),
        Setting("max", "number", None, "metres at which distances are cut; the folds' margin is as"
                " wide", "sixteen cells", 1600, least=0, open=True),
        Setting("fault_type", "text", None, "column of the faults, for fault_type_distance",
                "none", "type"),
    ),
)

SCREEN = Table(
    "screen",
    "which elements tell ore from barren ground",
    (
        Setting("method", "text", "rank",
                "rank: AUC of the values; svm: the paper's support vectors",
                choices=("rank", "svm")),
        Setting("radius", "number", None, "metres; samples this near to a deposit are ore",
                "mean sample spacing", 1000, least=0, open=True),
        Setting("critical", "number", 2.58, "ZAUC above which an element is kept"),
    ),
)

WINDOWS = Table(
    "windows",
    "the squares of cells that the models look at",
    (
        Setting("size", "whole number", 16, "cells along a window (paper preset: 128)", least=2,
                most=1024),
        Setting("kind", "text", "centred",
                "on deposits and random barren ground; tiled: the paper's",
                choices=("centred", "tiled")),
        Setting("negatives", "number", 4.0, "barren windows for each deposit", least=0, most=1000,
                open=True),
        Setting("rule", "text", "distance", "how barren ground is drawn",
                choices=("distance", "random", "environment", "unlabelled", "geology")),
        Setting("min_distance", "whole number", None, "cells from barren centres to deposits",
                "a window", 16, least=0),
        Setting("strides", "whole numbers", None,
                "tiled: cells from window to window, one or several", "size", [16], least=1),
    ),
)

FOLDS = Table(
    "folds",
    "ground that is held back in turn",
    (
        Setting("count", "whole number", None, "spatial folds",
                "5, or one a cluster of fewer than 20 deposits", 5, least=2, most=1000),
        Setting("kind", "text", None, "how the ground is cut",
                "blocks, or clusters of few deposits", "blocks",
                choices=("blocks", "clusters", "checkerboard")),
        Setting("block", "whole number", None, "cells along a block, two windows at least",
                "the bands' variogram range", 100, least=1),
        Setting("zones", "path", None, "polygons, one a fold, instead of blocks", "blocks",
                "zones.gpkg"),
        Setting("column", "text", None, "folds of your own, of the zones, else of the deposits",
                "none", "camp"),
    ),
)

TRAIN = Table(
    "train",
    "the network; defaults of the compact preset",
    (
        Setting("ensemble", "texts", ["extra trees", "ridge logistic regression"],
                "simple models joined with the network; [] for none", choices=BASELINES),
        Setting("view", "number", 0.5, "share of the window's side that the network looks at",
                least=0.01, most=1),
        Setting("backbone", "text", "compact", "layers that find patterns (paper preset: resnet18)",
                choices=BACKBONES),
        Setting("network", "text", "mfaf", "plain: the backbone alone", choices=("mfaf", "plain")),
        Setting("epochs", "whole number", 1, "passes over the windows (paper: 220)", least=1),
        Setting("least_steps", "whole number", 40, "so many steps in all at least", least=0),
        Setting("batch", "whole number", 32, "windows a step", least=2, most=65536),
        Setting("optimiser", "text", "adamw", "how weights follow the gradient",
                choices=("adamw", "sgd")),
        Setting("learning_rate", "number", 5e-4, "length of a step", least=0, most=10, open=True),
        Setting("momentum", "number", 0.2, "of sgd; less than 1", least=0, most=0.999999),
        Setting("weight_decay", "number", 0.02, "pull of the weights to zero", least=0, most=10),
        Setting("schedule", "text", "onecycle", "of the learning rate; step: the paper's",
                choices=("onecycle", "step")),
        Setting("balance", "text", "sampler", "sampler: half of each batch is ore",
                choices=("sampler", "smote", "none")),
        Setting("flips", "flag", True, "windows are also shown turned and mirrored"),
        Setting("noise", "number", 0.01, "variance of the noise added to windows", least=0,
                most=10),
        Setting("dilations", "whole numbers", None, "of the branches; [0] for no branches",
                "scaled to the window", [1, 2, 3], least=0, most=1024),
        Setting("channel_attention", "flag", True, "weighs the bands"),
        Setting("spatial_attention", "flag", True, "weighs the cells"),
        Setting("shared", "flag", True, "one backbone for all branches"),
        Setting("beta", "number", 0.4, "share of self-distillation", least=0, most=1),
        Setting("temperature", "number", 3.0, "of the distillation", least=0, most=1000, open=True),
        Setting("patience", "whole number", 0, "epochs without gain before stopping; 0: none",
                least=0),
        Setting("validation", "number", 0.2, "share of the windows held back when patience > 0",
                least=0, most=1, open=True),
        Setting("precision", "text", "auto", "auto: bfloat16 where the device multiplies it",
                choices=("auto", "float32", "bfloat16")),
        Setting("pretrain", "whole number", 0, "steps without labels inside each fold", least=0),
        Setting("weights", "path", "",
                "begin with a pretrained folder, a model or torchvision's .pth", "random weights",
                "pretrained"),
        Setting("device", "text", "auto", "where the network is computed",
                choices=("auto", "cpu", "cuda", "mps")),
    ),
)

PREDICT = Table(
    "predict",
    "the score of every cell",
    (
        Setting("stride", "whole number", None, "cells between window centres", "a quarter window",
                4, least=1),
    ),
)

EVALUATE = Table(
    "evaluate",
    "how good the map is on ground that was never seen",
    (
        Setting("draws", "whole number", 5, "of barren windows, for the simple models", least=1,
                most=1000),
        Setting("network_draws", "whole number", None, "the same for the network",
                "as many as its cost allows", 3, least=1, most=1000),
        Setting("baselines", "texts", None, "simple models to compare with", "all of them",
                ["logistic regression", "extra trees"], choices=BASELINES),
        Setting("optimism", "texts", ["extra trees"], "models also judged by a random split",
                choices=BASELINES, words=(ENSEMBLE, NETWORK)),
        Setting("shifts", "whole number", 199, "of the deposits, for the null test; 0 for none",
                least=0, most=100000),
        Setting("network_shifts", "whole number", 0, "the same by the network: a few, such as 4",
                least=0, most=100000),
        Setting("paper_protocol", "flag", False, "adds the row of the paper's own, leaking split"),
    ),
)

TARGETS = Table(
    "targets",
    "polygons of the best ground, away from known deposits and around them",
    (
        Setting("area_share", "number", 0.05, "share that exploration targets take, best first",
                least=0, most=1, open=True),
        Setting("known_distance", "number", None,
                "metres around a known deposit that are known ground; 0: one list",
                "half a window or the samples' spacing", 500, least=0),
        Setting("max_km2", "number", None, "larger targets are split at saddles",
                "a tenth of what all may take", 2, least=1e-6),
    ),
)

# fmt: on
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        PROJECT,
        *LAYERS,
        CHECK,
        COMPOSITION,
        GRID,
        CATCHMENTS,
        RASTERIZE,
        RASTERS,
        PROXIMITY,
        STRUCTURE,
        SCREEN,
        WINDOWS,
        FOLDS,
        TRAIN,
        PREDICT,
        EVALUATE,
        TARGETS,
    )
}
"""Every table of ``geomfaf.toml``, in the order of the data flow; ``""`` is what stands above."""

GONE: dict[str, str] = {
    "targets.threshold": "a score is no chance of ore; say the share of the area, area_share",
    "targets.by": "how the branches voted stands in layer cells of targets.gpkg, column vote",
    "targets.min_cells": "the smallest target is one sample's share of the ground",
    ".preset = tree-initialised": (
        "the network as a correction to the trees gained less than the mean of log odds, which is"
        ' preset = "compact" (docs/skill.md, choices of the network)'
    ),
    "train.partners": "it is called ensemble",
    "train.joining": (
        "the network as a correction to the trees gained less than the mean of log odds, which is"
        " what is left (docs/skill.md, choices of the network)"
    ),
    "train.dropout": (
        "it gained 0.001 in mean map AUC over six surveys, less than another draw changes"
        " (docs/skill.md, choices of the network)"
    ),
    "train.calibration": (
        "none made the calibration error at even odds smaller on any area (docs/skill.md, tried"
        " and taken out)"
    ),
    "predict.uncertainty": (
        "it went with dropout; the spread is over branches and fold models (docs/skill.md, tried"
        " and taken out)"
    ),
    "predict.passes": (
        "it went with dropout; the spread is over branches and fold models (docs/skill.md, tried"
        " and taken out)"
    ),
}
"""``table.name`` of a setting that is gone, or ``table.name = value`` of one of its values -> one
line that says why.
"""
