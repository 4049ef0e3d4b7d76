"""A published PyTorch checkpoint of tensors -> model.safetensors, which is what models load.

    python -m foundation.domains.geospatial.converting FILE.pt FOLDER [--sha256 DIGEST]

The file is read with torch.load(weights_only=True), which builds tensors and runs no code of the
file. Give the folder as `model.path=FOLDER`.
"""

import argparse
from pathlib import Path
from typing import Any


def convert(file: Path, folder: Path, sha256: str | None = None) -> Path:
    """Write folder/model.safetensors; SourceError for a file that is not what was asked for."""
    import torch
    from safetensors.torch import save_file

    from foundation.durable import sha256 as digest_of
    from foundation.errors import SourceError

    digest = digest_of(file)
    if sha256 is not None and not digest.startswith(sha256.lower()):
        raise SourceError(f"{file} has the sha256 {digest}, not {sha256}")
    found: Any = torch.load(file, map_location="cpu", weights_only=True)
    for inside in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(inside), dict):
            found = found[inside]
    tensors = {k: v.contiguous().clone() for k, v in found.items() if torch.is_tensor(v)}
    if not tensors:
        raise SourceError(f"{file} holds no tensors by name")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(folder / "model.safetensors"), {"sha256_of_source": digest})
    return folder / "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sha256", help="of the file, or how it begins")
    given = parser.parse_args()
    print(convert(given.file, given.folder, given.sha256))


if __name__ == "__main__":
    main()
