"""Finding and opening backends by name; they are entry points of the group `rmhil.backends`."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rmhil.errors import UnknownNameError

if TYPE_CHECKING:
    from rmhil.backend import Backend

GROUP = "rmhil.backends"

_ELSEWHERE = (
    "`bench`, `sim` and `twin` come with the distribution (pip install rmhil); a backend of another package appears "
    f"here once that package is installed and declares an entry point in the group {GROUP!r}"
)


def backend_names() -> list[str]:
    """Names of the installed backends, in alphabetical order."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def open_backend(name: str, config: str | Path | None = None, **options: Any) -> Backend:  # noqa: ANN401
    """Open a backend; use it as a context manager, so that every exit leaves the outputs safe.

    Args:
        name: `sim`, `twin`, `bench`, or another installed backend.
        config: path of its TOML configuration; None takes the defaults.
        **options: settings of that backend, over those of the file.

    Raises:
        UnknownNameError: no such backend; the message lists what is installed.
        ConfigError: a setting is unknown or out of its range.
        BackendUnavailableError: the hardware does not answer.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UnknownNameError("backend", name, list(found), _ELSEWHERE)
    return cast("Backend", found[name].load()(config=config, **options))
