"""Keep out of the programming interface what Python adds by itself and no reader needs.

Classes that only the library makes show no arguments: enumerations, and those with private ones.
An enumeration shows what each of its members means and, if it is bad news, the cure: its value.
Fields of named tuples are described under Attributes, not once more as "Alias for field number 0".
What scikit-learn adds to each estimator refers to its own pages, which are not here.
"""

import re
from enum import Enum
from typing import Any

from sphinx.application import Sphinx


def hide_arguments(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, arguments: str | None, result: Any
) -> tuple[str, None] | None:
    private = re.search(r"[(,] ?_\w", arguments or "")
    hidden = what == "class" and (private or issubclass(thing, Enum))
    return ("", None) if hidden else None


def skip_fields(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    routed = name.startswith("set_") and name.endswith("_request")  # scikit-learn's own
    return True if routed or type(thing).__name__ == "_tuplegetter" else None


def explain_members(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    if what == "class" and issubclass(thing, Enum):
        entries = [[f"``{member.name}``", f"    {member.value}.", ""] for member in thing]
        at = lines.index("References")
        lines[at:at] = [line for entry in entries for line in entry]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-signature", hide_arguments)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", explain_members, priority=400)  # before numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
