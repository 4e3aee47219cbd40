"""Words that a shell completes with Tab."""

import os
import shutil
import subprocess
import sys

import pytest

from mslstm_keras.cli.completion import complete
from mslstm_keras.data.catalogue import list_data
from mslstm_keras.models.names import MODELS
from mslstm_keras.training.recipes import RECIPES
from mslstm_keras.zoo.index import list_pretrained
from tests.test_architecture import ROOT

pytest.importorskip("argcomplete")
bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")

# What bash does at Tab: it finds the function that is registered for the command, and calls it.
TAB = """
eval "$(mslstm completion bash)"
function=$(complete -p mslstm | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
while IFS= read -r COMP_LINE; do
    read -ra COMP_WORDS <<<"$COMP_LINE"
    [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
    COMP_POINT=${#COMP_LINE} COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMPREPLY=()
    "$function" mslstm "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture
def offered(tmp_path):
    """Returns what bash offers behind each of several lines, in a folder of `clip.npy`, `my_cells.py` and `runs/`."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "mslstm"
    # Where Keras cannot be imported: a Tab must not wait for it.
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "sys.modules.update(dict.fromkeys(['keras', 'tensorflow', 'tensorflow_datasets', 'jax', 'torch']))\n"
        "from mslstm_keras.cli import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    here = tmp_path / "here"
    (here / "runs").mkdir(parents=True)
    (here / "clip.npy").touch()
    (here / "my_cells.py").touch()

    def offer(*lines):
        done = subprocess.run(
            ["bash", "--norc", "-c", TAB],
            cwd=here,
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [set(line.split()) for line in done.stdout.splitlines()]

    return offer


@bash
def test_bash_completes_commands_options_names_and_files(offered):
    commands, options, recipes, models, zoo, data, kinds, file, imported = offered(
        "mslstm stu",
        "mslstm zoo list --j",
        "mslstm train optd",
        "mslstm convert a.pth a.keras --model ms_",
        "mslstm zoo show ms_lstm_",
        "mslstm data info kth_clips/",
        "mslstm export ms_lstm --format o",
        "mslstm study layers clip",
        "mslstm cost --import my",
    )
    assert commands == {"study"}
    assert options == {"--json"}
    assert recipes == {name for name in RECIPES if name.startswith("optd")} != set()
    assert models == {name for name in MODELS if name.startswith("ms_")}
    assert zoo == {name for name in list_pretrained() if name.startswith("ms_lstm_")} != set()
    assert data == {name for name in list_data() if name.startswith("kth_clips/")}
    assert kinds == {"onnx", "openvino"}
    assert file == {"clip.npy"}
    assert imported == {"my_cells.py"}


@bash
def test_a_zoo_that_is_not_there_has_no_names(offered):
    names, folders = offered("mslstm zoo show --zoo missing ms_", "mslstm forecast --zoo missing --model r")
    assert names == set()
    assert folders == {"runs/"}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_printed_for_each_shell(succeed, shell):
    script = succeed("completion", shell)
    assert {"bash": "complete -o", "zsh": "compdef _python_argcomplete"}[shell] in script


def test_without_argcomplete_the_extra_is_named(fail, monkeypatch):
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    said = "needs pip install 'mslstm_keras[completion]' (argcomplete.shell_integration is not there)"
    assert said in fail("completion", "bash")


def test_nothing_is_completed_where_no_shell_asks(monkeypatch):
    monkeypatch.delenv("_ARGCOMPLETE", raising=False)
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    complete(None)
