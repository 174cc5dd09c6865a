"""Imports of the Ethereum libraries."""

import subprocess
import sys
import warnings

import pytest

from gateway.util.eth_imports import _Unused, eth_imports


def test_the_recursion_limit_is_restored_after_a_failure() -> None:
    """The interpreter is left as it was, even if the import fails."""
    before = sys.getrecursionlimit()

    def fail() -> None:
        with eth_imports():
            sys.setrecursionlimit(before + 1)
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert before == sys.getrecursionlimit()


def test_deprecation_warnings_are_ignored() -> None:
    """Those of the libraries are; other warnings stay."""
    with eth_imports():
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        with pytest.raises(RuntimeWarning):
            warnings.warn("odd", RuntimeWarning, stacklevel=1)


@pytest.mark.parametrize("module", ["users.magic_api", "authn.did_token.mint", "users.development"])
def test_import_leaves_the_interpreter_alone(module: str) -> None:
    """
    After the gateway's modules are imported, deep JSON is an error and not a crash.

    Runs in a process of its own, with warnings as errors: the import happens only once.
    """
    program = f"""
import json, sys
before = sys.getrecursionlimit()
import gateway.{module}
assert before == sys.getrecursionlimit()
try:
    json.loads("[" * 100_000)
except (RecursionError, ValueError):
    print("alive")
"""
    ended = subprocess.run(  # noqa: PLW1510 - the assertion shows what went wrong
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=25
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "alive\n", "")


def test_keystores_are_left_out() -> None:
    """
    Keystore modules are not imported, but later imports get the real ones.

    Runs in a process of its own, as the import happens only once.
    """
    program = """
import sys
import gateway.users.magic_api, gateway.authn.did_token.mint
assert not [name for name in sys.modules if name.startswith(("eth_keyfile", "py_ecc"))]
try:
    gateway.authn.did_token.mint.Account.encrypt(bytes(32), "password")
except NotImplementedError:
    import eth_keyfile
    print(eth_keyfile.create_keyfile_json.__name__)
"""
    ended = subprocess.run(  # noqa: PLW1510 - the assertion shows what went wrong
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=25
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "create_keyfile_json\n", "")


def test_placeholders_cannot_be_instantiated() -> None:
    """Use of an unused module fails at once."""
    with pytest.raises(NotImplementedError):
        _Unused("keyfile")
