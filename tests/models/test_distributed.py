"""Training in two processes ends with what one process finds."""

import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from builders import small_case
from click.testing import CliRunner

from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.models.model_files import load_model
from geomfaf.models.network.distributed import gather, own_folds
from geomfaf.models.predict import predict_scores
from geomfaf.rasters.geotiff import write_raster

pytestmark = pytest.mark.slow


def test_two_processes_train_the_model_of_one(tmp_path, monkeypatch):
    case = small_case()
    write_raster(case.stack, tmp_path / "stack.tif")
    write_layers({"windows": case.windows, "folds": case.folds.blocks()}, tmp_path / "windows.gpkg")

    def arguments(out):
        return [
            "train",
            str(tmp_path / "stack.tif"),
            str(tmp_path / "windows.gpkg"),
            str(out),
            "--epochs",
            "1",
        ]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    started = []
    for rank in ("0", "1"):
        for name, value in {**group, "RANK": rank}.items():
            monkeypatch.setenv(name, value)
        code = "from geomfaf.cli.main import main; main()"
        command = [
            sys.executable,
            "-c",
            code,
            "--progress",
            "plain",
            *arguments(tmp_path / "two"),
            "--device",
            "cpu",
        ]
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    said = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert [out.strip() for out, _ in said] == [str(tmp_path / "two"), ""]  # one writes
    monkeypatch.delenv("WORLD_SIZE")
    torch.set_num_threads(1)
    result = CliRunner().invoke(main, [*arguments(tmp_path / "one"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    one, two = (load_model(tmp_path / name, device="cpu") for name in ("one", "two"))
    assert [member.fold for member in two.fold_models] == [0, 1, 2]
    expected, found = (predict_scores(model, case.stack).values for model in (one, two))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_process_alone_trains_every_fold():
    assert list(own_folds(3)) == [0, 1, 2]
    assert gather([1, 2]) == [1, 2]
