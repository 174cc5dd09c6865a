"""
Fetch the latest magic-sdk from npm into the package, and record which one it is.

    python3 tools/fetch_sdk.py
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "gateway/pages/static/vendor"
BUNDLE = "package/dist/magic.js"


def main() -> None:
    """Write the bundle, its licence and the record of both."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "magic-sdk"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            bundle, licence, about = (
                _read(packed, name) for name in (BUNDLE, "package/LICENSE", "package/package.json")
            )
    package = json.loads(about)
    record = {
        "package": package["name"],
        "version": package["version"],
        "file": BUNDLE.removeprefix("package/"),
        "license": f"{package['license']}, says its package.json; the text beside it came along",
        "sha256": hashlib.sha256(bundle).hexdigest(),
    }
    (VENDOR / "magic-sdk.js").write_bytes(bundle)
    (VENDOR / "magic-sdk.LICENSE").write_bytes(licence)
    (VENDOR / "magic-sdk.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"magic-sdk {package['version']}: now run `make test browser`")


def _read(packed: tarfile.TarFile, name: str) -> bytes:
    file = packed.extractfile(name)
    if file is None:
        raise SystemExit(f"the package contains no {name}")
    return file.read()


if __name__ == "__main__":
    main()
