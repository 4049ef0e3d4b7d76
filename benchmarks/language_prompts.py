"""The prompts that every side of the language benchmarks goes on with.

python -m benchmarks.language_prompts --out FILE
"""

import argparse
import json
from pathlib import Path
from typing import Any

TEXT = Path(__file__).parents[1] / "LICENSE"
SHORTEST, LONGEST = 20, 400
STRIDE = 137


def prompts(tokenizer: Any, count: int) -> list[str]:
    """`count` texts of SHORTEST to LONGEST tokens, evenly spread: pieces of this toolkit's licence.

    Lengths are the tokenizer's; where a piece is cut inside a word it may be a token off.
    """
    text = TEXT.read_text(encoding="utf-8")
    found = []
    for number in range(count):
        length = SHORTEST + round((LONGEST - SHORTEST) * number / max(1, count - 1))
        piece = text[(number * STRIDE) % (len(text) // 2) :]
        ends = tokenizer(piece, return_offsets_mapping=True, verbose=False).offset_mapping
        found.append(piece[: ends[length - 1][1]])
    # Not by length: no side shall have them sorted.
    return [found[place] for place in sorted(range(count), key=lambda n: (n * 29 % 64, n))]


def model_folder() -> Path:
    """The dequantised weights of the language default, made where they are not there."""
    from foundation.hub.gguf import dequantised

    return dequantised(gguf_file())


def gguf_file() -> Path:
    """The language default's GGUF file."""
    from foundation import registry
    from foundation.hub import resolve

    spec = registry.spec("language/smollm2-135m")
    return resolve(spec.source, revision=spec.revision, sha256=spec.sha256).path


def write(path: Path, count: int) -> dict[str, Any]:
    """Write the prompts, as texts and tokens, and the model's places; return what it says."""
    from foundation.pretrained import read_tokenizer

    folder = model_folder()
    tokenizer = read_tokenizer(folder)
    texts = prompts(tokenizer, count)
    tokens = tokenizer(texts, verbose=False).input_ids
    lengths = sorted(map(len, tokens))
    path.write_text(
        json.dumps(
            {"texts": texts, "tokens": tokens, "model": str(folder), "gguf": str(gguf_file())}
        ),
        encoding="utf-8",
    )
    return {"count": count, "shortest": lengths[0], "longest": lengths[-1], "sum": sum(lengths)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(json.dumps(write(given.out, given.count)))


if __name__ == "__main__":
    main()
