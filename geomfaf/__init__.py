"""geomfaf: from stream sediments, geology, faults and known deposits to an honest target map.

Everything below is the public interface, in the order of the data flow. Names are loaded when they
are first used, so that ``import geomfaf`` costs nothing and torch is imported only by what trains
or predicts.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Must stand before torch is loaded. By default its threads spin while they wait for each other:
# beside any other busy process a training step then takes five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOME = {
    "Grid": "rasters.grid",
    "Band": "rasters.bands",
    "Survey": "survey.survey",
    "Source": "survey.survey",
    "read_layer": "survey.read",
    "read_survey": "survey.read",
    "list_layers": "survey.recognise",
    "recognise_layers": "survey.recognise",
    "parse_column": "survey.cleaning.parse_numbers",
    "convert": "survey.units",
    "censoring_flags": "survey.cleaning.element_columns",
    "detection_limits": "survey.cleaning.element_columns",
    "check_survey": "survey.cleaning.check",
    "require_accepted": "survey.cleaning.findings",
    "Finding": "survey.cleaning.findings",
    "clr": "survey.cleaning.log_ratios",
    "ilr": "survey.cleaning.log_ratios",
    "use_log_ratios": "survey.cleaning.log_ratios",
    "screen_elements": "windows.screen",
    "zauc": "windows.screen",
    "idw": "evidence.inverse_distance",
    "idw_grid": "evidence.inverse_distance",
    "idw_points": "evidence.inverse_distance",
    "idw_to_file": "evidence.inverse_distance",
    "IdwOptions": "evidence.inverse_distance",
    "cross_validate_idw": "evidence.inverse_distance",
    "rasterize_geology": "evidence.geology",
    "fault_bands": "evidence.faults",
    "fault_distance": "evidence.faults",
    "fault_presence": "evidence.faults",
    "fault_density": "evidence.faults",
    "survey_grid": "evidence.stack",
    "build_stack": "evidence.stack",
    "stack_to_file": "evidence.stack",
    "write_raster": "rasters.geotiff",
    "read_raster": "rasters.geotiff",
    "write_layers": "deliver.layers",
    "tiled_windows": "windows.windows",
    "centred_windows": "windows.windows",
    "autocorrelation_range": "windows.variogram",
    "spatial_folds": "windows.folds",
    "prove_leak_free": "windows.folds",
    "draw_windows": "windows.negatives",
    "training_options": "models.network.options",
    "MFAFClassifier": "models.network.classifier",
    "MFAF": "models.network.mfaf",
    "pretrain_network": "models.network.pretrain",
    "save_pretrained": "models.network.pretrain",
    "place_deposits": "evaluation.metrics",
    "rate_curve": "evaluation.metrics",
    "prediction_area": "evaluation.metrics",
    "boyce_index": "evaluation.metrics",
    "map_metrics": "evaluation.metrics",
    "window_metrics": "evaluation.metrics",
    "reliability_table": "evaluation.metrics",
    "window_features": "windows.features",
    "weigh_evidence": "models.weights_of_evidence",
    "weights_table": "models.weights_of_evidence",
    "register_baseline": "models.baselines",
    "make_baseline": "models.baselines",
    "fit_applicability": "evaluation.applicability",
    "area_of_applicability": "evaluation.applicability",
    "train_model": "models.fold_models",
    "save_model": "models.model_files",
    "load_model": "models.model_files",
    "predict_scores": "models.predict",
    "factor_attention": "models.attention",
    "null_test": "evaluation.null_tests",
    "measure_optimism": "evaluation.optimism",
    "evaluate_model": "evaluation.evaluate",
    "run_experiment": "evaluation.paper_tables",
    "assess_map": "evaluation.run_evaluation",
    "evaluate_paper_protocol": "evaluation.evaluate",
    "make_targets": "deliver.targets",
    "make_cells": "deliver.targets",
    "init_project": "run.template",
    "load_project": "run.settings",
    "run_project": "run.run",
    "make_survey": "synthetic",
    "write_survey": "synthetic",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geomfaf' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
