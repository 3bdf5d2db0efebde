"""What journals, archives and lawyers read: licences, metadata, the paper, pages for help."""

import json
import re
import tomllib

import pytest
import yaml

from tools.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = yaml.load((ROOT / "CITATION.cff").read_text("utf-8"), yaml.BaseLoader)
CODEMETA = json.loads((ROOT / "codemeta.json").read_text("utf-8"))
PAPER = (ROOT / "paper" / "paper.md").read_text("utf-8")


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


# Licences


def test_the_licences_are_whole():
    code = (ROOT / "LICENSE").read_text("utf-8")
    assert code.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, The mflib authors\n")
    text = (ROOT / "LICENSES" / "CC-BY-4.0.txt").read_text("utf-8")
    assert "Creative Commons Attribution 4.0 International Public License" in text
    assert re.findall(r"^Section (\d) --", text, re.MULTILINE) == list("12345678")


def test_licences_are_said_alike():
    readme = (ROOT / "README.md").read_text("utf-8").partition("## Licences")[2]
    footer = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["html"]["extra_footer"]
    for said in (readme, footer):
        assert "BSD 3-Clause" in said and "CC BY 4.0" in said
    for link in re.findall(r"\]\((\w.*?)\)", readme):
        assert (ROOT / link).is_file()
    assert PROJECT["license"] == CITATION["license"] == "BSD-3-Clause"
    licences = {address.rpartition("/")[2] for address in CODEMETA["license"]}
    assert licences == {"BSD-3-Clause", "CC-BY-4.0"} and "CC-BY-4.0" in CITATION["abstract"]


def test_each_data_set_has_its_terms():
    data = ROOT / "mflib" / "data"
    terms = (data / "LICENSE.txt").read_text("utf-8")
    named = re.findall(r"^(\w+\.csv)  ", terms, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in data.glob("*.csv"))
    assert PROJECT["license-files"] == ["LICENSE", "mflib/data/LICENSE.txt"]


# Metadata

REQUIRED = {"cff-version", "message", "title", "authors"}  # by the Citation File Format 1.2.0
ALLOWED = REQUIRED | {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license",
    "license-url", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "type", "url", "version",
}  # fmt: skip
PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "affiliation", "orcid"}


def test_the_citation_is_one():
    assert REQUIRED <= CITATION.keys() <= ALLOWED
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    for work in (CITATION, *CITATION["references"]):
        assert work["title"] and work["authors"]
        for author in work["authors"]:
            assert author.keys() == {"name"} or author.keys() <= PERSON
    assert all({"type", "title", "authors"} <= work.keys() for work in CITATION["references"])
    assert {i["type"] for i in CITATION["references"][0]["identifiers"]} <= {"doi", "url", "other"}


def test_codemeta_agrees():
    assert CODEMETA["@context"] == "https://doi.org/10.5063/schema/codemeta-2.0"
    assert CODEMETA["@type"] == "SoftwareSourceCode"
    assert CODEMETA["version"] == PROJECT["version"] == CITATION["version"]
    assert CODEMETA["name"] == CITATION["title"]
    assert CODEMETA["description"] == PROJECT["description"]
    assert CODEMETA["keywords"] == PROJECT["keywords"]
    assert set(CITATION["keywords"]) <= set(PROJECT["keywords"])
    assert CODEMETA["codeRepository"] == CITATION["repository-code"]
    authors = [author["name"] for author in CODEMETA["author"]]
    assert authors == [author["name"] for author in PROJECT["authors"]]
    assert authors == [author["name"] for author in CITATION["authors"]]
    assert CODEMETA["programmingLanguage"]["version"] == PROJECT["requires-python"]
    assert CODEMETA["softwareRequirements"] == [name_of(r) for r in PROJECT["dependencies"]]
    extras = PROJECT["optional-dependencies"].values()
    assert CODEMETA["softwareSuggestions"] == sorted(name_of(r) for e in extras for r in e)
    assert CODEMETA["referencePublication"]["@id"] == CITATION["references"][0]["url"]


# The paper


def entries(path):
    text = (ROOT / path).read_text("utf-8")
    return {m[1]: m[0] for m in re.finditer(r"^@\w+\{(.+),\n(?:.*\n)*?\}$", text, re.MULTILINE)}


def test_what_the_paper_cites_exists_and_nothing_else():
    paper, book = entries("paper/paper.bib"), entries("references.bib")
    assert set(re.findall(r"@([a-z]+\d{4}\w*)", PAPER)) == paper.keys()
    assert all(book[key] == entry for key, entry in paper.items())


def test_the_paper_has_the_form_of_the_journal():
    _, head, body = PAPER.split("---\n", 2)
    head = yaml.safe_load(head)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= head.keys()
    assert [author["name"] for author in head["authors"]] == [a["name"] for a in PROJECT["authors"]]
    assert re.findall(r"^# (.*)", body, re.MULTILINE) == [
        "Summary",
        "Statement of need",
        "Learning objectives",
        "Content and instructional design",
        "Comparison with other software",
        "Experience of use",
        "Story of the project",
        "Use of generative AI",
        "Acknowledgements",
        "References",
    ]
    assert 250 < len(body.split()) < 1100  # about a thousand words


# Pages for help


@pytest.mark.parametrize(
    "path", [".github/SUPPORT.md", ".github/CODE_OF_CONDUCT.md", "CONTRIBUTING.md"]
)
def test_links_lead_to_files(path):
    page = ROOT / path
    text = page.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (page.parent / link).is_file(), link


def test_the_checklist_names_files_that_are_there():
    page = (ROOT / "chapters" / "review_checklist.md").read_text("utf-8")
    for path in re.findall(r"`([\w./-]+(?:/[\w.-]+|\.\w+))`", page):
        assert (ROOT / path).exists(), path
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and "| evidence |" not in line
    ]
    states = [row.strip("| ").split("|")[-1].strip() for row in rows]
    assert all(re.match(r"yes$|not yet$|\*owner\*|for reviewers", state) for state in states)


# The release


def test_versions_lie_beside_each_other(tmp_path):
    from tools.versions import publish

    book, site = tmp_path / "book", tmp_path / "site"
    book.mkdir()
    (site / ".git").mkdir(parents=True)

    def release(version, page):
        (book / "index.html").write_text(version)
        (book / page).write_text(version)
        publish(site, book, version)
        (book / page).unlink()

    release("1.0.0", "old.html")
    release("1.10.0", "new.html")
    assert (site / "index.html").read_text() == "1.10.0" and not (site / "old.html").exists()
    assert (site / "v1.0" / "old.html").read_text() == "1.0.0"
    release("1.2.1", "late.html")  # a correction of an older one: the root stays
    assert (site / "index.html").read_text() == "1.10.0" and not (site / "late.html").exists()
    page = (site / "versions.html").read_text("utf-8")
    assert re.findall(r'href="(.*?)/?index.html"', page) == ["", "v1.10", "v1.2", "v1.0"]
    assert (site / ".git").is_dir() and (site / ".nojekyll").exists()


def test_the_release_runs_what_this_repository_has():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["publish"]["needs"] == "build"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", text)) <= targets
    assert set(re.findall(r"-m (tools\.\w+)", text)) == {"tools.versions"}
    actions = re.findall(r"uses: (\S+)@(\S+) #", text)
    pinned = re.findall(
        r"uses: (\S+)@(\S+) #", (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    )
    assert set(actions) <= set(pinned)  # by their commits, as in CI


def test_the_clean_install_runs_an_example_without_torch():
    from tools.clean_install import AFTERWARDS, examples

    first = examples()[0]
    assert "mirror_flow" not in first and "limit = variational.solve(" in first
    compile(first + AFTERWARDS, "<README>", "exec")
