"""What the attempts on the sandbox run in, the host that they try to reach, and tiny models.

Each attempt is the body of a function that returns something true when it worked. Beside what it
says of itself, the host is looked at afterwards: a secret file, a listening port, a bystander.
"""

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import foundation
from foundation.adapter import Placement
from foundation.domains.code.adapter import CausalCode
from foundation.domains.code.sandbox import Limits, Verdict, run
from foundation.spec import ModelSpec

OUTLIVER = "outliver"

HARNESS = """
import ctypes, fcntl, glob, mmap, os, resource, select, signal, socket, stat, struct, subprocess
import sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
SECRET, OUT, PROJECT, HOME = {secret!r}, {out!r}, {project!r}, {home!r}
PORT, VICTIM, TOKEN, PREFIX = {port}, {victim}, {token!r}, {prefix!r}
OUTLIVER = {outliver!r}

def name_me():
    libc.prctl(15, OUTLIVER.encode(), 0, 0, 0)

def attempt():
{body}

try:
    worked = attempt()
except (OSError, MemoryError, OverflowError) as error:
    print("refused:", repr(error))
except (RuntimeError, ValueError) as error:  # a thread, a limit
    print("refused:", repr(error))
else:
    print("WORKED" if worked else "nothing came of it")
"""


@dataclass(frozen=True)
class Host:
    """What an attempt could reach if it got out."""

    secret: Path
    server: socket.socket
    local: socket.socket
    bystander: subprocess.Popen[bytes]

    def program(self, body: str) -> str:
        return HARNESS.format(
            body=textwrap.indent(textwrap.dedent(body).strip(), "    "),
            secret=str(self.secret),
            out=str(self.secret.parent),
            project=str(Path(foundation.__file__).parent.parent),
            home=os.path.expanduser("~"),
            port=self.server.getsockname()[1],
            victim=self.bystander.pid,
            token="token-of-the-user",
            prefix=sys.base_prefix,
            outliver=OUTLIVER,
        )

    def unharmed(self) -> None:
        assert self.secret.read_text() == "the secret"
        assert sorted(p.name for p in self.secret.parent.iterdir()) == ["secret", "socket"]
        assert self.bystander.poll() is None
        for listening in (self.server, self.local):
            with pytest.raises(BlockingIOError):
                listening.accept()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    secret = folder / "secret"
    secret.write_text("the secret")
    with contextlib.ExitStack() as closing:
        closing.enter_context(pytest.MonkeyPatch.context()).setenv(
            "FOUNDATION_TOKEN", "token-of-the-user"
        )
        server = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        local = closing.enter_context(socket.socket(socket.AF_UNIX))
        here = os.getcwd()
        os.chdir(folder)  # a socket's path is short
        local.bind("socket")
        os.chdir(here)
        local.listen()
        server.setblocking(False)
        local.setblocking(False)
        bystander = closing.enter_context(
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        )
        closing.callback(bystander.kill)
        yield Host(secret, server, local, bystander)


@pytest.fixture
def attempt(host: Host) -> Callable[..., Verdict]:
    """Run the body of an attempt in the sandbox, then look whether the host is unharmed."""

    def tried(
        body: str, seconds: float = 20, cpu_seconds: int = 5, mode: str = "bubblewrap"
    ) -> Verdict:
        limits = Limits(
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            memory_bytes=256 << 20,
            processes=8,
            file_bytes=4 << 20,
            output_bytes=64 << 10,
        )
        verdict = run(host.program(body), limits=limits, mode=mode)
        host.unharmed()
        assert len(verdict.stdout) <= limits.output_bytes
        return verdict

    return tried


END = "<|endoftext|>"


def byte_tokenizer(special: Sequence[str]) -> PreTrainedTokenizerFast:
    """Bytes, and special tokens of which the first one ends a text."""
    vocabulary = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[0])


@pytest.fixture(scope="session")
def tiny_code(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_code(*special)`: the folder of a tiny Llama over bytes and these special tokens."""

    def make(*special: str) -> Path:
        folder = tmp_path_factory.mktemp("code")
        tokenizer = byte_tokenizer([END, *special])
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            bos_token_id=256, eos_token_id=256, pad_token_id=256,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        with torch.no_grad():  # so that the likeliest token is not always the same one
            for parameter in model.parameters():
                parameter.mul_(3)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def code_model(tiny_code: Callable[..., Path]) -> CausalCode:
    """A model that can infill as Qwen2.5-Coder does."""
    markers = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>")
    return loaded_code(tiny_code(*markers))


@pytest.fixture(scope="session")
def load_code() -> Callable[..., CausalCode]:
    return loaded_code


def loaded_code(folder: Path, **options: Any) -> CausalCode:
    adapter = CausalCode()
    spec = ModelSpec("code/tiny", "code", "", f"path:{folder}", options=options)
    adapter.load(spec, folder, Placement("cpu", "float32"))
    return adapter
