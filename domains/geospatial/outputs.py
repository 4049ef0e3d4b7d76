"""The run folder's own files: vectors on the ground, a table of windows, a map a scene."""

from pathlib import Path

import pyarrow.parquet as pq

from foundation.durable import replacing

FILES = ("embedding.tif", "map.png")


def named(file: str, number: int) -> str:
    """The name of a scene's file: that of scene 0 has no number."""
    stem, _, suffix = file.partition(".")
    return file if number == 0 else f"{stem}-{number:06d}.{suffix}"


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Bring the scenes' files out of the parts, and their windows into embedding.parquet."""
    written = []
    for scene in sorted((folder / "parts").glob("[0-9]*/windows.parquet")):
        for file in FILES:
            target = folder / named(file, int(scene.parent.name))
            if (scene.parent / file).exists():
                (scene.parent / file).replace(target)
            if target.exists():
                written.append(target)
    tables = sorted((folder / "parts").glob("[0-9]*/windows.parquet"))
    if tables:
        written.append(_joined(tables, folder / "embedding.parquet"))
    return written


def _joined(tables: list[Path], path: Path) -> Path:
    with (
        replacing(path) as part,
        pq.ParquetWriter(part, pq.read_schema(tables[0]), compression="zstd") as writer,
    ):
        for table in tables:
            with pq.ParquetFile(table) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    return path
