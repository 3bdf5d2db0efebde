"""Install a wheel into an environment that has nothing else, without Torch, and use it there.

python -m tools.clean_install dist/mflib-1.0.0-py3-none-any.whl

What runs is the first example of README.md, which needs the library and nothing more. Then the
extra `certify` is added, and the limit that the example computed is enclosed.
"""

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AFTERWARDS = """
import importlib.util, mflib
assert importlib.util.find_spec("torch") is None, "Torch came along"
assert limit.status.name == "CONVERGED", limit
print(f"mflib {mflib.__version__} from {mflib.__file__}\\n{limit}")
"""
ENCLOSED = """
enclosure = limit.certify()
assert 0 < enclosure.bound < 1e-9, enclosure
print(enclosure)
"""


def examples() -> list[str]:
    """Return the Python of README.md, block by block."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


def try_wheel(wheel: Path, folder: Path) -> str:
    """Return what the example prints in a new environment, in a folder without our sources."""
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"

    def install(package: str) -> None:
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, package], check=True)

    def run(script: str) -> str:
        command = [str(python), "-I", "-W", "error", "-c", script]
        return subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    install(str(wheel.resolve()))
    printed = run(examples()[0] + AFTERWARDS)
    install(f"mflib[certify] @ {wheel.resolve().as_uri()}")
    return printed + run(examples()[0] + ENCLOSED)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(try_wheel(Path(sys.argv[1]), Path(folder)), end="")
