"""The installed commands, end to end on a tiny data set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autoseg.cli import umbrella
from autoseg.images.files import read_image
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration, Plan
from tests.conftest import write_dataset

VERBS = sorted(umbrella.VERBS)


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> tuple[Path, Path]:
    """A data set and its planned workspace."""
    folder = tmp_path_factory.mktemp("cli")
    dataset = write_dataset(folder / "Dataset001_Tiny", num_cases=8)
    code = umbrella.main(
        [
            "plan", str(dataset), "--workspace", str(folder / "ws"), "--folds", "2",
            "--time-budget", "4s", "--device", "cpu", "--workers", "2",
        ]
    )  # fmt: skip
    assert code == 0
    return dataset, folder / "ws"


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example_and_does_not_import_torch(verb):
    code = (
        "import sys\nfrom autoseg.cli import umbrella\n"
        f"try:\n    umbrella.main(['{verb}', '--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "example:\n  autoseg" in found.stdout


def test_the_umbrella_lists_its_verbs(capsys):
    assert umbrella.main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(verb in listed for verb in VERBS)
    assert umbrella.main([]) == 2
    assert umbrella.main(["--version"]) == 0
    assert umbrella.main(["fly"]) == 2
    assert "unknown verb 'fly'. Known: plan, train" in capsys.readouterr().err


def test_the_plan_is_written_with_its_reasons(planned):
    _, workspace = planned
    plan = serialise.load(Plan, workspace / "plan.yaml")
    assert set(plan.configurations) == {"2d", "3d_fullres"}
    text = (workspace / "plan.md").read_text()
    assert "measured on cpu" in text
    assert "organ and vessel are in the same order in 8 of 8 patients" in text
    assert len(json.loads((workspace / "splits_final.json").read_text())) == 2
    # Slices that keep their distance have a folder of their own, with the same files in it.
    stored = list((workspace / "preprocessed").glob("*/*.json"))
    assert len(stored) == 16
    assert len({path.stat().st_ino for path in stored}) == 8


def test_train_validate_predict_and_evaluate(planned, tmp_path, capsys):
    dataset, workspace = planned
    run = workspace / "runs/3d_fullres/fold_0"
    train = ["train", str(workspace), "3d_fullres", "0", "--device", "cpu"]
    assert umbrella.main([*train, "--epochs", "2"]) == 0
    assert umbrella.main([*train, "--epochs", "2"]) == 2
    assert "Use --resume to go on, or --overwrite" in capsys.readouterr().err
    assert umbrella.main([*train, "--resume"]) == 0
    assert umbrella.main([*train, "--overwrite", "--epochs", "1"]) == 0
    assert umbrella.main([*train, "--overwrite", "--time-budget", "5s"]) == 0
    trained = serialise.load(Configuration, run / "configuration.yaml").training
    assert trained.time_budget_s == 5
    assert "measured on cpu" in (run / "training.log").read_text()
    assert umbrella.main(["validate", str(workspace), "3d_fullres", "0"]) == 0
    assert "organ" in capsys.readouterr().out
    assert (run / "validation/overlays.png").is_file()
    summary = json.loads((run / "validation/summary.json").read_text())
    assert len(summary["cases"]) == 4
    out = tmp_path / "out"
    predict = ["predict", str(workspace), "-i", str(dataset / "imagesTr"), "-o", str(out)]
    assert umbrella.main([*predict, "--no-tta", "--step", "1"]) == 0
    assert umbrella.main([*predict]) == 2
    assert umbrella.main([*predict, "--resume"]) == 0
    assert "0 cases are in" in capsys.readouterr().out
    for path in out.iterdir():
        reference = read_image(dataset / "labelsTr" / path.name)[1]
        assert read_image(path)[1] == reference
    evaluate = ["evaluate", str(dataset / "labelsTr"), str(out), "-o", str(tmp_path / "scores")]
    assert umbrella.main(evaluate) == 0
    assert "vessel" in capsys.readouterr().out
    assert (tmp_path / "scores/cases.csv").is_file()


def test_one_failing_case_is_exit_code_1(planned, tmp_path, capsys):
    _, workspace = planned
    assert (
        umbrella.main(["train", str(workspace), "2d", "all", "--epochs", "1", "--device", "cpu"])
        == 0
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.nii.gz").write_bytes(b"x")
    model = str(workspace / "runs/2d/fold_all")
    assert (
        umbrella.main(["predict", model, "-i", str(tmp_path / "in"), "-o", str(tmp_path / "o")])
        == 1
    )
    assert "Case 'a' failed" in capsys.readouterr().err


def test_planning_again_keeps_the_earlier_plan(planned, capsys):
    dataset, workspace = planned
    plan = ["plan", str(dataset), "--workspace", str(workspace), "--planner", "nnunet"]
    assert umbrella.main([*plan, "--no-preprocess", "--configurations", "2d"]) == 0
    assert "the earlier one is kept as plan-1.yaml" in capsys.readouterr().err
    assert set(serialise.load(Plan, workspace / "plan-1.yaml").configurations) == {
        "2d",
        "3d_fullres",
    }
    assert umbrella.main([*plan, "--folds", "3"]) == 2
    assert "--num-folds 3: " in (error := capsys.readouterr().err)
    assert "splits_final.json has 2. Models have learnt from these folds" in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "{ws}", "4d", "0"], 2, "The plan has no configuration '4d'"),
        (["train", "{ws}", "2d", "9"], 2, "There is no fold 9. There are 0 to 1"),
        (
            ["train", "{tmp}/none", "2d", "0"],
            1,
            "none/plan.yaml: no such file. Run autoseg_plan first",
        ),
        (["train", "{ws}", "2d", "0", "--resume", "--overwrite"], 2, "--resume goes on with"),
        (
            ["predict", "{ws}", "-i", "{tmp}", "-o", "{tmp}/o", "--resume", "--overwrite"],
            2,
            "--resume keeps label maps",
        ),
        (["validate", "{ws}", "2d", "1"], 2, "not trained yet"),
        (["predict", "{tmp}/none", "-i", "{tmp}", "-o", "{tmp}/o"], 1, "no such file or folder"),
        (["evaluate", "{tmp}/a", "{tmp}/b"], 1, "a: no such file or folder"),
        (["plan", "{tmp}/none", "--workspace", "{tmp}/w"], 1, "no such folder"),
        (["plan", "{data}", "--workspace", "{data}"], 2, "is the data set"),
        (["plan", "{data}", "--workspace", "{data}/imagesTr"], 2, "is not empty and no workspace"),
        (
            ["plan", "{data}", "--workspace", "{tmp}/w", "--memory", "much"],
            2,
            "no amount of memory",
        ),
        (
            ["plan", "{data}", "--workspace", "{tmp}/w", "--time-budget", "soon"],
            2,
            "is no duration",
        ),
        (
            ["plan", "{data}", "--workspace", "{tmp}/w", "--planner", "mine"],
            1,
            "Unknown planner 'mine'",
        ),
    ],
)
def test_wrong_use_is_one_line_and_an_exit_code(
    planned, tmp_path, capsys, arguments, code, message
):
    dataset, workspace = planned
    filled = [item.format(ws=workspace, data=dataset, tmp=tmp_path) for item in arguments]
    assert umbrella.main(filled) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "w").exists()


def test_run_goes_on_where_it_was(tmp_path, capsys):
    dataset = write_dataset(tmp_path / "Dataset002_Tiny", num_cases=6)
    run = [
        "run", str(dataset), "--workspace", str(tmp_path / "ws"), "--num-folds", "2",
        "--configuration", "3d_fullres", "--epochs", "1", "--time-budget", "3s", "--device", "cpu",
    ]  # fmt: skip
    assert umbrella.main(run) == 0
    out = capsys.readouterr().out
    assert "Validation cases of 3d_fullres, fold 0:" in out
    assert "Predict images" in out
    written = (tmp_path / "ws/runs/3d_fullres/fold_0/checkpoint_final.pt").stat().st_mtime_ns
    assert umbrella.main(run) == 0
    assert "is trained already" in capsys.readouterr().err
    assert (
        tmp_path / "ws/runs/3d_fullres/fold_0/checkpoint_final.pt"
    ).stat().st_mtime_ns == written


def test_the_demo_goes_from_its_own_data_to_scores(tmp_path, capsys):
    from dataset_conversion import synthetic

    synthetic.write_synthetic(tmp_path / "Dataset900_Demo", num_cases=8)
    command = ["demo", "--folder", str(tmp_path), "--time-budget", "5s", "--device", "cpu"]
    assert umbrella.main(command) == 0
    (summary,) = (tmp_path / "workspace/runs").glob("*/fold_0/validation/summary.json")
    assert 0 <= json.loads(summary.read_text())["mean"]["dice"] <= 1
    assert "Scores, pictures" in capsys.readouterr().out


def test_the_demos_data_are_learnt_in_a_fixed_number_of_steps(tmp_path):
    """As many steps as the demo makes on a quiet machine, so that a busy one changes nothing."""
    from autoseg import pipeline
    from dataset_conversion import synthetic

    data, workspace = tmp_path / "Dataset900_Demo", tmp_path / "ws"
    synthetic.write_synthetic(data, num_cases=14)
    options = {"time_budget": "20s", "device": "cpu"}
    plan = pipeline.plan(
        data, workspace, configurations=["3d_fullres"], preprocess=False, **options
    )
    steps = plan.configurations["3d_fullres"].training.steps_per_epoch
    (summary,) = pipeline.run(data, workspace, epochs=-(-400 // steps), **options).values()
    assert summary.mean("dice") > 0.6


def test_the_verbs_are_functions():
    import autoseg

    for name in ("plan", "train", "validate", "predict", "evaluate", "run", "demo"):
        assert callable(getattr(autoseg, name))
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        _ = autoseg.fly
