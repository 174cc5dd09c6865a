"""Bounds on guessing the token."""

from gateway.admin.guesses import MAX_WRONG, WINDOW_S, TokenGuesses

NOW_S = 1_800_000_000.0
ADA, BOB = "192.0.2.1", "192.0.2.2"


def _guessed(guesses: TokenGuesses, peer: str, times: int) -> None:
    for _ in range(times):
        assert 0 == guesses.wait_s(peer, NOW_S)
        guesses.note_wrong(peer, NOW_S)


def test_an_address_has_so_many_guesses_a_minute() -> None:
    """Then it has to wait; others have their own."""
    guesses = TokenGuesses()
    _guessed(guesses, ADA, MAX_WRONG)
    assert WINDOW_S == guesses.wait_s(ADA, NOW_S)
    assert 1 == guesses.wait_s(ADA, NOW_S + WINDOW_S - 0.5)
    assert 0 == guesses.wait_s(ADA, NOW_S + WINDOW_S)
    assert 0 == guesses.wait_s(BOB, NOW_S)
    guesses.note_wrong(ADA, NOW_S + WINDOW_S)
    assert 0 == guesses.wait_s(ADA, NOW_S + WINDOW_S)


def test_a_clock_that_is_set_back_locks_nothing_out() -> None:
    """An hour back is no hour to wait."""
    guesses = TokenGuesses()
    _guessed(guesses, ADA, MAX_WRONG)
    assert 0 == guesses.wait_s(ADA, NOW_S - 3600)
    guesses.note_wrong(ADA, NOW_S - 3600)
    assert 0 == guesses.wait_s(ADA, NOW_S - 3600)


def test_an_ipv6_network_counts_as_one_address() -> None:
    """A client has a whole /64; a unix socket is one peer."""
    guesses = TokenGuesses()
    _guessed(guesses, "2001:db8::1", MAX_WRONG)
    assert guesses.wait_s("2001:db8::2", NOW_S)
    assert not guesses.wait_s("2001:db8:0:1::1", NOW_S)
    _guessed(guesses, "::ffff:192.0.2.1", MAX_WRONG)
    assert not guesses.wait_s("::ffff:192.0.2.2", NOW_S)
    _guessed(guesses, "unix:", MAX_WRONG)
    assert guesses.wait_s("unix:", NOW_S)


def test_what_is_kept_is_bounded() -> None:
    """However many addresses guess."""
    guesses = TokenGuesses()
    for number in range(5000):
        guesses.note_wrong(f"10.{number >> 8}.{number & 255}.1", NOW_S)
    assert 4096 == len(guesses)
