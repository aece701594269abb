"""The numpy that conda's solver would take for packages built for numpy 1. Pure.

Goes in: where each requirement is written, and its text. pip takes the newest numpy that the
metadata of a package allows; that of most releases of 2023 and before allows any, and their
compiled code fails with numpy 2 when it is imported: `numpy.dtype size changed`. conda's packages
say for which numpy they were built.
"""

from collections.abc import Iterable

from inference_provider.errors import Fault
from inference_provider.spec.pins import lies_before, lies_from, name_of

NUMPY_1 = "numpy<2"
_FIRST_TO_FIT = {
    "h5py": "3.11", "matplotlib": "3.7.3", "onnxruntime": "1.18.1", "pandas": "2.1.2",
    "pyarrow": "15.0", "scikit-image": "0.23.1", "scikit-learn": "1.3.1", "statsmodels": "0.14.1",
    "torch": "2.3",
}  # fmt: skip
"""First release that runs with numpy 2, or whose metadata keeps it away.

Source: https://github.com/numpy/numpy/issues/26191, and what uv resolved each with `numpy>=2` to.
"""


def numpy_beside(written: Iterable[tuple[str, str]]) -> tuple[str | None, Fault | None]:
    """Return what to require of numpy beside requirements, or the fault that it cannot be.

    Args:
        written: Path and text of each.
    """
    written = tuple(written)
    old = next(((path, one) for path, one in written if _is_old(one)), None)
    pins = [one for _, one in written if name_of(one) == "numpy"]
    if old is None or any(lies_before(one, "2") for one in pins):
        return None, None
    newer = next((one for one in pins if lies_from(one, "2")), None)
    if newer is None:
        return NUMPY_1, None
    path, text = old
    reason = f"'{text}' was built for numpy 1, and '{newer}' asks for numpy 2"
    remedy = f"take a newer {name_of(text)}, or leave out the pin of numpy"
    return None, Fault(path, reason, remedy)


def _is_old(requirement: str) -> bool:
    first = _FIRST_TO_FIT.get(name_of(requirement))
    return first is not None and lies_before(requirement, first)
