"""Programming languages by the suffix of their files, and how each writes a comment."""

from pathlib import PurePath

LANGUAGES = {
    ".bash": "bash",
    ".c": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cs": "csharp",
    ".css": "css",
    ".go": "go",
    ".h": "c",
    ".hpp": "cpp",
    ".html": "html",
    ".java": "java",
    ".jl": "julia",
    ".js": "javascript",
    ".jsx": "javascript",
    ".kt": "kotlin",
    ".lua": "lua",
    ".php": "php",
    ".pl": "perl",
    ".py": "python",
    ".pyi": "python",
    ".r": "r",
    ".rb": "ruby",
    ".rs": "rust",
    ".scala": "scala",
    ".sh": "bash",
    ".sql": "sql",
    ".swift": "swift",
    ".toml": "toml",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".yaml": "yaml",
    ".yml": "yaml",
}
_HASH = frozenset({"bash", "julia", "perl", "python", "r", "ruby", "toml", "yaml"})
_DASHES = frozenset({"lua", "sql"})


def language_of(path: str | None, given: str | None = None) -> str:
    """The language as it was given, else by the path's suffix, else Python."""
    if given is not None:
        return given.casefold()
    return LANGUAGES.get(PurePath(path or "").suffix.casefold(), "python")


def comment(language: str, text: str) -> str:
    """One line of comment."""
    if language in _HASH:
        return f"# {text}\n"
    return f"-- {text}\n" if language in _DASHES else f"// {text}\n"
