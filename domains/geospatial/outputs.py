"""The run folder's own files: rasters on the ground, tables, maps and heads, a scene each."""

from pathlib import Path

import pyarrow.parquet as pq

from foundation.durable import replacing
from foundation.trust import provenance
from foundation.trust.seal import seal

KINDS = (".tif", ".png", ".safetensors")
TABLES = {
    "windows.parquet": "embedding.parquet",
    "points.parquet": "points.parquet",
    "matches.parquet": "matches.parquet",
}
"""The tables of scenes, and what they become together."""


def named(file: str, number: int) -> str:
    """The name of a scene's file: that of scene 0 has no number."""
    stem, _, suffix = file.partition(".")
    return file if number == 0 else f"{stem}-{number:06d}.{suffix}"


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Bring the scenes' files out of the parts, and their tables together."""
    for scene in sorted((folder / "parts").glob("[0-9]*/")):
        for file in sorted(scene.iterdir()):
            if file.suffix in KINDS and not file.name.startswith("."):
                file.replace(folder / named(file.name, int(scene.name)))
    written = [file for file in sorted(folder.iterdir()) if file.suffix in KINDS]
    for name, whole in TABLES.items():
        tables = sorted((folder / "parts").glob(f"[0-9]*/{name}"))
        if tables:
            written.append(_joined(tables, folder / whole))
    return written


def _joined(tables: list[Path], path: Path) -> Path:
    with replacing(path) as part:
        with pq.ParquetWriter(part, pq.read_schema(tables[0]), compression="zstd") as writer:
            for table in tables:
                with pq.ParquetFile(table) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
            provenance.add_to_table(writer, provenance.of_run(path.parent))
        seal(part)
    return path
