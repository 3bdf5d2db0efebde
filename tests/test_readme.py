import re

import numpy as np

from tools.readme_figure import ROOT, first_figure

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)


def test_the_first_example_solves():
    names = {}
    exec(EXAMPLES[0], names)
    assert names["limit"].status.name == "CONVERGED" and "torch" not in EXAMPLES[0]


def test_the_second_example_runs_and_says_what_it_prints():
    example, names = EXAMPLES[1], {}
    exec(example, names)
    assert names["run"].status.name == names["limit"].status.name == "CONVERGED"
    (said,) = re.findall(r"# about ([0-9.]+)", example)
    assert np.isclose(names["error"], float(said), rtol=0.2)


def test_the_third_example_smooths():
    example, names = EXAMPLES[2], {}
    exec(example, names)
    assert len(EXAMPLES) == 3
    assert np.isfinite(names["curve"]).all() and (names["standard_error"] > 0).all()
    assert 15 < names["model"].noise_ < 30  # in g


def test_the_picture_is_the_figure_of_the_first_page():
    picture = (ROOT / "docs" / "figure.svg").read_text("utf-8")
    assert picture == first_figure(ROOT / "chapters" / "index.ipynb")
    assert len(picture) < 150_000
