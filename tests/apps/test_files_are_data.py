"""No file runs code: whatever a file names, no program is started and no module is imported (SECURITY.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.watched import PAYLOAD, PROOF, run_watched

pytestmark = pytest.mark.slow

START = f"{{class_path: subprocess.Popen, init_args: {{args: touch {PROOF}, shell: true}}}}"
IMPORT = f"{{class_path: {PAYLOAD}.Payload}}"
NAME = f"{PAYLOAD}.Payload"
RECIPES = [
    f"network: {{options: {{a: {START}}}}}",  # case 01
    f"network: {{options: {{a: [[{IMPORT}]], stride: {IMPORT}}}}}",
    f"network: {{options: {{a: {{b: {{class_path: {NAME}, init_args: {{c: {START}}}}}}}}}}}",
    f"network: {{options: {{a: '{IMPORT}'}}}}",  # a text that is read as YAML once more
    f"network: {{options: {{a: {NAME}, stride: {NAME}.run}}}}",
    f"network: {IMPORT}",
    f"network: {NAME}",
    f"network: {{backbone: {IMPORT}}}",
    f"data: {{sources: [{IMPORT}]}}",
    f"data: {{sources: '[{IMPORT}]'}}",
    f"data: {{sources: [{NAME}]}}",
    f"data: {{sources: {NAME}}}",
    f"data: {{sources: [{{images: x, rename: {START}}}]}}",
    f"data: {{augment: {IMPORT}}}",
    f"data: {{augment: {NAME}}}",
    f"train: {{class_path: {NAME}, init_args: {{}}}}",
    f"train: {{lr_factors: {START}}}",
    f"train: {{lr: {NAME}}}",
    f"class_path: {NAME}",
    f"train: !!python/object/apply:os.system ['touch {PROOF}']",
    f"output: !!python/name:{NAME} ''",
    f"output: !!python/module:{PAYLOAD} ''",
    "output: '${oc.env:HOME}'\nnetwork: {options: {a: '${eval:1}'}}",
    '{"network": {"options": {"a": {"class_path": "' + NAME + '"}}}}',
    f"[network.options.a]\nclass_path = '{NAME}'",
]
SETTINGS = [
    f"--network.options.a={START}",
    f"--network.options={{a: {IMPORT}}}",
    f"--network.options.a.class_path={NAME}",
    f"--network={IMPORT}",
    f"--network={NAME}",
    f"--data.sources=[{IMPORT}]",
    f"--data.sources+={NAME}",
    f"--data.augment={NAME}",
    f"--train={IMPORT}",
    f"--train.lr={NAME}",
    f"--config={{network: {{options: {{a: {IMPORT}}}}}}}",
    "--config=second.yaml",
    f"--network.help={NAME}",
    f"--config.help={NAME}",
]


def test_no_recipe_runs_code(tmp_path: Path) -> None:
    commands = []
    for number, text in enumerate(RECIPES):
        (tmp_path / f"{number}.yaml").write_text(text)
        commands.append(["train", f"{number}.yaml"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(RECIPES[0])  # as in the folder of a run
    commands += [["train", "run/recipe.yaml"], ["train", "0.yaml", "--print_config"]]
    watched = run_watched(tmp_path, *commands)
    assert watched.started == []
    assert 0 not in watched.statuses[:-1]
    assert len(watched.lines) == len(commands) - 1  # one for each but the printed recipe


def test_no_setting_on_the_command_line_or_in_the_environment_runs_code(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("output: run")
    (tmp_path / "second.yaml").write_text(RECIPES[0])
    commands = [["train", "good.yaml", setting] for setting in SETTINGS]
    for words in (["predict", "x.png"], ["evaluate", "--annotations", "x.json"], ["serve"]):
        commands += [
            [*words, "--decode", START],
            [*words, f"--decode={{threshold: {IMPORT}}}"],
            [*words, "--model", NAME],
        ]
    commands += [["predict", "x.png", "--link", IMPORT], ["data", "convert", NAME, "--from", "coco", "--output", "x"]]
    given = {"AE_TRAIN__NETWORK__OPTIONS": f"{{a: {START}}}", "AE_TRAIN__TRAIN": IMPORT, "AE_CONFIG": "second.yaml"}
    watched = run_watched(tmp_path, *commands, JSONARGPARSE_DEFAULT_ENV="true", **given)
    assert watched.started == []
    assert 0 not in watched.statuses
