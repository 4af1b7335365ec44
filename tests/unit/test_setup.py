"""tools/setup on machines that lack something, played by stand-ins for apt, dpkg, python, pip and npm."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PYTHON = """#!/bin/sh
# A Python of version $version; `-m venv` makes a .venv that holds the same.
case "$*" in
  *version_info*) [ "$(cat "$MACHINE/version")" != 3.9 ];;
  "--version") echo "Python $(cat "$MACHINE/version")";;
  "-m venv --clear .venv")
    echo venv >>"$MACHINE/done"
    rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; touch .venv/bin/pip .venv/bin/bridgepoint
    chmod +x .venv/bin/bridgepoint;;
  "-m pip --version") [ -e .venv/bin/pip ];;
  "-m pip install"*)
    [ ! -e "$MACHINE/no-pypi" ] || { echo "ERROR: no route to host" >&2; exit 1; }
    echo "  Building wheel for pyalsaaudio (pyproject.toml): started"; echo "Requirement already satisfied: av"
    echo pip >>"$MACHINE/done";;
esac
"""
STAND_INS = {
    "apt-get": """#!/bin/sh
case "$1" in
  update)
    [ -e "$MACHINE/offline" ] || exit 0
    echo "E: could not resolve" >&2
    case "$*" in *Error-Mode=any*) exit 100;; esac;;
  install) [ ! -e "$MACHINE/offline" ] || { echo "E: unable to locate package" >&2; exit 100; };;
esac
""",
    "apt-cache": """#!/bin/sh
[ ! -e "$MACHINE/offline" ] || exit 0
if grep -q "^$2$" "$MACHINE/absent"; then echo "  Candidate: (none)"; else echo "  Candidate: 1.0"; fi
""",
    "dpkg-query": '#!/bin/sh\nfor p; do :; done\ngrep -q "^$p$" "$MACHINE/missing" || printf installed\n',
    "id": "#!/bin/sh\necho 0\n",
    "npm": '#!/bin/sh\n[ ! -e "$MACHINE/no-npm-registry" ] || { echo "npm error network" >&2; exit 1; }\n',
    "node": "#!/bin/sh\n",
    "systemctl": "#!/bin/sh\nexit 1\n",
}


class Machine:
    """A clone of the repository on a machine that has what its files say."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.state, self.bin = folder / "clone", folder / "machine", folder / "bin"
        for name in ("tools/setup", "requirements.lock", "pyproject.toml", "tests/peers/package-lock.json"):
            self.clone.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.clone / name)
        self.state.mkdir()
        self.bin.mkdir()
        for name in ("absent", "missing", "done"):
            self.state.joinpath(name).touch()
        self.state.joinpath("version").write_text("3.11.2")
        for name, text in {
            **STAND_INS,
            **dict.fromkeys(("python3.13", "python3.12", "python3.11", "python3"), PYTHON),
        }.items():
            self.bin.joinpath(name).write_text(text)
            self.bin.joinpath(name).chmod(0o755)

    def is_(self, *names: str) -> None:
        for name in names:
            self.state.joinpath(name).touch()

    def lacks(self, *packages: str, also_the_distribution: bool = False) -> None:
        for name in ("missing", "absent") if also_the_distribution else ("missing",):
            self.state.joinpath(name).write_text("".join(f"{package}\n" for package in packages))

    def set_up(self, profile: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"PATH": f"{self.bin}:/usr/bin:/bin", "MACHINE": str(self.state)}
        return subprocess.run(
            [str(self.clone / "tools/setup"), profile], env=environment, capture_output=True, text=True, check=False
        )

    @property
    def stamps(self) -> set[str]:
        return {path.name.split("-")[1] for path in self.clone.glob(".venv/.setup-*")}

    @property
    def done(self) -> list[str]:
        return self.state.joinpath("done").read_text().split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_second_run_has_nothing_to_do(machine: Machine) -> None:
    assert machine.set_up("test").returncode == 0
    assert machine.stamps == {"test", "demo"}
    before = machine.done
    again = machine.set_up("test")
    assert (again.returncode, again.stdout, machine.done) == (0, "", before)


def test_what_pip_builds_is_told_and_what_was_there_is_not(machine: Machine) -> None:
    said = machine.set_up("demo").stdout
    assert "Building wheel for pyalsaaudio" in said
    assert "already satisfied" not in said


def test_without_a_network_set_up_names_the_network(machine: Machine) -> None:
    machine.is_("offline")
    machine.lacks("libopus0")
    failed = machine.set_up("demo")
    assert failed.returncode == 1
    assert "check the network" in failed.stderr
    assert "could not resolve" in failed.stderr


def test_peers_left_out_for_want_of_a_network_are_looked_for_again(machine: Machine) -> None:
    machine.is_("offline")
    machine.lacks("janus")
    offline = machine.set_up("test")
    assert offline.returncode == 0
    assert "ready, without janus" in offline.stdout
    assert machine.stamps == set()
    machine.state.joinpath("offline").unlink()
    assert "installing janus" in machine.set_up("test").stdout
    assert machine.stamps == {"test", "demo"}


def test_peers_that_the_distribution_lacks_are_told_once(machine: Machine) -> None:
    machine.lacks("janus", also_the_distribution=True)
    assert "janus is not in this distribution" in machine.set_up("test").stdout
    assert machine.stamps == {"test", "demo"}


def test_a_venv_whose_making_was_interrupted_is_made_again(machine: Machine) -> None:
    assert machine.set_up("demo").returncode == 0
    for left in (*machine.clone.glob(".venv/.setup-*"), machine.clone / ".venv/bin/pip"):
        left.unlink()
    assert machine.set_up("demo").returncode == 0
    assert machine.done.count("venv") == 2


def test_a_python_that_is_too_old_is_named(machine: Machine) -> None:
    machine.state.joinpath("version").write_text("3.9")
    failed = machine.set_up("demo")
    assert failed.returncode == 1
    assert "Python 3.11 or newer is needed, and this distribution has Python 3.9" in failed.stderr


@pytest.mark.parametrize(("broken", "named"), [("no-pypi", "no route to host"), ("no-npm-registry", "npm error")])
def test_a_registry_that_cannot_be_reached_is_told_with_its_reason(machine: Machine, broken: str, named: str) -> None:
    machine.is_(broken)
    failed = machine.set_up("test")
    assert failed.returncode == 1
    assert named in failed.stderr
    assert "no network?" in failed.stderr
    assert machine.stamps == set()
