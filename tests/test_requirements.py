"""What is installed is what was meant: pins, hashes, oldest versions, and what CI may do."""

import re
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.notebooks import ROOT

SYSTEMS = {
    system: {"platform_system": system, "sys_platform": platform, "os_name": name, "extra": ""}
    for system, platform, name in (
        ("Linux", "linux", "posix"),
        ("Darwin", "darwin", "posix"),
        ("Windows", "win32", "nt"),
    )
}


def requirements(path: str) -> dict[str, Requirement]:
    """The pinned requirements of a file, which may have hashes."""
    text = (ROOT / path).read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^[^#\s-][^#\n]*", text, re.MULTILINE)
    found = [Requirement(line.partition(" --hash")[0]) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


PINS, LOCK = requirements("requirements.txt"), requirements("requirements.lock")
OLDEST = requirements("tests/oldest.txt")


def version(pin: Requirement) -> str:
    (exact,) = pin.specifier
    assert exact.operator == "==" and "*" not in exact.version, pin
    return exact.version


def applies(requirement: Requirement, environment: dict[str, str] | None = None) -> bool:
    """Whether it is needed in an environment, or in this one."""
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_all_that_is_needed_is_pinned(system, python):
    """By us, or exactly by the package that needs it, as Torch does with its own libraries."""
    versions = {"python_version": python, "python_full_version": python + ".9"}
    environment = SYSTEMS[system] | versions
    for name, pin in PINS.items():
        if not applies(pin):  # not installed here, so what it needs is not known
            continue
        for needed in map(Requirement, metadata.requires(name) or ()):
            if applies(needed, environment) and not str(needed.specifier).startswith("=="):
                found = PINS.get(canonicalize_name(needed.name))
                assert found is not None, f"{name} needs {needed}: pin it"
                assert applies(found, environment), f"{name} needs {needed}, also on {system}"
                assert needed.specifier.contains(version(found)), f"{name} needs {needed}"


def test_the_pinned_versions_are_installed():
    installed = {
        name: metadata.version(name).partition("+")[0]  # Torch adds for which processor
        for name, pin in PINS.items()
        if applies(pin)
    }
    assert installed == {name: version(PINS[name]) for name in installed}


def test_the_lock_file_has_every_pin_with_hashes():
    torch = {"torch"}  # which has other files for each kind of processor, not all from one place
    assert {name: version(pin) for name, pin in LOCK.items()} == {
        name: version(PINS[name]) for name in PINS.keys() - torch
    }
    for system in SYSTEMS.values():
        wanted = {name for name, pin in PINS.items() if applies(pin, system)} - torch
        assert {name for name, pin in LOCK.items() if applies(pin, system)} == wanted
    text = (ROOT / "requirements.lock").read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(LOCK)
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", entry) for entry in entries)
    assert "://" not in text


def test_the_oldest_versions_are_the_lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    bounds = [*project["dependencies"], *(bound for extra in extras.values() for bound in extra)]
    lowest = {r.name: r.specifier for r in map(Requirement, bounds) if r.name != "torch"}
    assert lowest.keys() <= OLDEST.keys()
    for name, bound in lowest.items():
        (least,) = bound
        assert least.operator == ">=", name
        assert Version(least.version) == Version(version(OLDEST[name])), name


def test_torch_is_an_extra_that_the_book_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (bound,) = map(Requirement, project["optional-dependencies"]["train"])
    assert bound.name == "torch" and bound.specifier.contains(version(PINS["torch"]))
    assert not any(Requirement(needed).name == "torch" for needed in project["dependencies"])
    for page in ("README.md", "chapters/run_it.md"):
        assert "mflib[train]" in (ROOT / page).read_text("utf-8")


def test_all_extras_are_tried_with_the_oldest_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = ",".join(sorted(project["optional-dependencies"]))
    assert f"-e .[{extras}] torch==" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_actions_are_pinned_and_may_only_read():
    """But for one job of a release, which publishes what another job tested and built."""
    writes = []
    for path in (ROOT / ".github/workflows").iterdir():
        text = path.read_text("utf-8")
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            writes += [(path.name, name, job["permissions"])] if "permissions" in job else []
            for step in job["steps"]:
                assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step.get("uses", "a@" + "0" * 40))
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
                assert "${{" not in step.get("run", "")
        assert "pull_request_target" not in text
        assert set(re.findall(r"\$\{\{(.*?)\}\}", text)) <= {" github.token "}
    assert writes == [("release.yml", "publish", {"actions": "read", "contents": "write"})]
