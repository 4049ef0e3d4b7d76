"""What optimum-benchmark measures of the language default's weights in plain transformers.

    PYTHON benchmarks/language_optimum.py --prompts FILE

PYTHON is an environment with optimum-benchmark; nothing of the toolkit is imported. The last line
of standard output is a JSON object: seconds of a generation, the mean that its report gives.
"""

import argparse
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--long", type=int, default=128, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=16, help="new tokens, neither more nor fewer")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()

    from optimum_benchmark import (
        Benchmark,
        BenchmarkConfig,
        InferenceConfig,
        InlineConfig,
        PyTorchConfig,
    )

    model = json.loads(given.prompts.read_text(encoding="utf-8"))["model"]
    scenario = InferenceConfig(
        input_shapes={"batch_size": 1, "sequence_length": given.long},
        generate_kwargs={"max_new_tokens": given.new, "min_new_tokens": given.new},
        iterations=given.times, duration=0, warmup_runs=1,
    )  # fmt: skip
    backend = PyTorchConfig(
        model=model, device="cpu", torch_dtype=given.dtype, task="text-generation"
    )
    config = BenchmarkConfig("check", backend, scenario, InlineConfig())
    found = Benchmark.launch(config)
    prefill, decode = found.prefill.latency.mean, found.decode.latency.mean
    print(json.dumps({"generation": prefill + decode, "prefill": prefill}))


if __name__ == "__main__":
    main()
