"""geomfaf is installed step by step; what is not finished is removed. Fakes stand for uv and pip."""

from pathlib import Path

import pytest
from stand_ins import Feedback, fake

from geomfaf_qgis.install import (  # isort: skip
    InstallError,
    Step,
    install,
    install_steps,
    python_of_qgis,
)
from geomfaf_qgis.process import RunError  # isort: skip


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
@pytest.mark.parametrize("uv", [None, "/opt/uv"])
def test_installing_makes_an_environment_and_fills_it(tmp_path, system, uv):
    environment = tmp_path / "my environment"
    steps = install_steps(environment, "geomfaf", uv, system, (3, 12))
    make, fill = steps[0].command, steps[-1].command
    assert make[-1] == str(environment)
    assert fill[-1] == "geomfaf"
    inside = "Scripts" if system == "Windows" else "bin"
    assert any(Path(part).parent == environment / inside for part in fill)
    # PyTorch for the processor: PyPI has it for macOS and Windows, not for Linux.
    cpu = [step for step in steps if "cpu" in " ".join(step.command)]
    assert len(cpu) == (1 if uv or system == "Linux" else 0)


def test_qgis_itself_is_never_taken_for_python(tmp_path):
    assert python_of_qgis(tmp_path, "Windows") == str(tmp_path / "python.exe")
    assert python_of_qgis(tmp_path, "Linux") == "python3"


def test_a_python_that_is_too_old_needs_uv(tmp_path):
    """QGIS 3.22 to 3.36 for Windows bring Python 3.9."""
    with pytest.raises(InstallError, match=r"QGIS brings Python 3\.9 here.*install uv"):
        install_steps(tmp_path / "e", "geomfaf", None, "Windows", (3, 9))
    assert install_steps(tmp_path / "e", "geomfaf", "uv", "Windows", (3, 9))


def steps_of(tmp_path, *bodies, needed=True):
    """Steps that make the environment, then run bodies of Python."""
    environment = tmp_path / "environment"
    make = f"import pathlib; pathlib.Path({str(environment)!r}).mkdir()"
    commands = [fake(tmp_path / f"step{k}", body) for k, body in enumerate([make, *bodies])]
    steps = [Step(f"step {k}", [str(command)], needed) for k, command in enumerate(commands)]
    return steps, environment


def test_what_pip_prints_is_shown_with_the_step(tmp_path):
    steps, environment = steps_of(tmp_path, "print('Collecting torch'); sys.stderr.write('note')")
    feedback = Feedback()
    install(steps, environment, feedback)
    assert {"Collecting torch", "note"} <= set(feedback.lines)
    assert feedback.texts == ["step 0 (1 of 2)", "step 1 (2 of 2)"]
    assert feedback.progress == [0, 50]
    assert environment.is_dir()


def test_a_failure_says_its_last_words_and_leaves_nothing(tmp_path):
    body = "print('ERROR: no matching distribution'); sys.exit(1)"
    steps, environment = steps_of(tmp_path, body)
    with pytest.raises(RunError, match=r"^step 1 failed: ERROR: no matching distribution$"):
        install(steps, environment, Feedback())
    assert not environment.exists()


def test_a_step_that_may_fail_is_said(tmp_path):
    steps, environment = steps_of(tmp_path, "print('no network'); sys.exit(1)", needed=False)
    feedback = Feedback()
    install(steps, environment, feedback)
    assert "warning: step 1 failed: no network; the usual build is taken" in feedback.lines
    assert environment.is_dir()


def test_a_cancelled_installation_leaves_nothing(tmp_path):
    steps, environment = steps_of(tmp_path, "time.sleep(60)")
    with pytest.raises(RunError, match="cancelled: the installation is not finished"):
        install(steps, environment, Feedback(cancel_after=1))
    assert not environment.exists()
