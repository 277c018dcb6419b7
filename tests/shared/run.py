"""Run a file of tests on whatever runtime this is; one line for each test. usage: run.py FILE...

Exit 1 if one failed or a file has none.
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType


def load(path: str) -> "dict[str, object]":
    """What the file defines."""
    names: dict[str, object] = {"__name__": "shared_test", "__file__": path}
    code = compiled(path)
    gc.collect()
    exec(code, names)
    return names


def compiled(path: str) -> "CodeType":
    """The file's code; its text is not kept, for the heap is small."""
    with open(path) as source:  # noqa: PTH123 (MicroPython has no pathlib)
        return compile(source.read(), path, "exec")


def run(path: str) -> bool:
    """Its tests in the order of their names."""
    names = load(path)
    tests = sorted([name for name in names if name.startswith("test_")])
    passed = bool(tests)
    for name in tests:
        gc.collect()
        try:
            names[name]()  # type: ignore[operator]
        except Exception as problem:
            passed = False
            print("FAILED", name)
            if hasattr(sys, "print_exception"):
                sys.print_exception(problem)
            else:
                import traceback

                traceback.print_exception(problem)
        else:
            print("passed", name)
    return passed


def main() -> None:
    """Of the command line."""
    good = True
    for path in sys.argv[1:]:
        good = run(path) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
