"""What is said about the project in several places is the same in each."""

import re
import tomllib
from itertools import chain

import pytest
import yaml

import mflib
from tools.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]


def entry(path):
    """The fields of the BibTeX entry of the software."""
    (body,) = re.findall(r"@software\{mflib,(.*?)\n\}", (ROOT / path).read_text("utf-8"), re.DOTALL)
    return dict(re.findall(r"(\w+)\s*=\s*\{(.*)\},", body))


def test_one_version():
    assert mflib.__version__ == PROJECT["version"] == CITATION["version"]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## \[(.*?)\]", changes, re.MULTILINE)[0] == PROJECT["version"]


@pytest.mark.parametrize("path", ["README.md", "chapters/index.md"])
def test_how_to_cite(path):
    fields = entry(path)
    assert fields["version"] == PROJECT["version"]
    assert fields["title"] == CITATION["title"]
    assert fields["author"] == "{" + CITATION["authors"][0]["name"] + "}"
    assert fields["url"] == CITATION["repository-code"] == REPOSITORY


def test_no_page_names_another_repository():
    for path in [ROOT / "README.md", *ROOT.glob("chapters/*.md")]:
        text = path.read_text("utf-8")
        assert set(re.findall(r"https://github\.com/[\w.-]+/[\w.-]*\w", text)) <= {REPOSITORY}, path


def test_binder_has_what_the_library_needs():
    binder = yaml.safe_load((ROOT / ".binder/environment.yml").read_text("utf-8"))["dependencies"]
    names = {"matplotlib": "matplotlib-base", "torch": "pytorch-cpu"}
    extras = PROJECT["optional-dependencies"]  # what chapters use
    used = (extras[name] for name in ("train", "sklearn", "certify"))
    for requirement in [*PROJECT["dependencies"], *chain(*used), "csaps>=1.3"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=.*)", requirement).groups()
        assert names.get(name, name) + bound in binder


def test_run_it_names_the_pinned_versions():
    page = (ROOT / "chapters/run_it.md").read_text("utf-8")
    pins = dict(re.findall(r"^(\w+)==(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    for name in ("NumPy", "SciPy", "Torch", "Matplotlib"):
        assert f"{name} {pins[name.lower()]}" in " ".join(page.split())
