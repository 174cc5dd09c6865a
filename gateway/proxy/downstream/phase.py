"""The phases of a client connection."""

from enum import Enum, auto


class Phase(Enum):
    """
    What a connection waits for, and what its deadline is for.

    ========== ============================== ==========
    phase      event                          next
    ========== ============================== ==========
    HEAD       part of a head                 HEAD
    HEAD       rest of a head                 SERVING
    HEAD       malformed head                 SERVING
    HEAD       deadline, head begun           SERVING
    HEAD       deadline, nothing read         CLOSING
    HEAD       drain                          CLOSING
    HEAD       end of input                   CLOSING
    HEAD       connection refused             CLOSING
    IDLE       part of a head                 HEAD
    IDLE       whole head                     SERVING
    IDLE       deadline, nothing read         CLOSING
    IDLE       drain                          CLOSING
    IDLE       end of input                   CLOSING
    SERVING    whole head                     SERVING
    SERVING    end of input                   SERVING
    SERVING    end of input, body incomplete  SERVING
    SERVING    drain                          SERVING
    SERVING    answered                       IDLE
    SERVING    answered, next head begun      HEAD
    SERVING    answered, last                 CLOSING
    SERVING    answered, last, input unread   LINGERING
    SERVING    deadline, input ended          SERVING
    SERVING    answer broken                  CLOSING
    LINGERING  more input                     LINGERING
    LINGERING  drain                          LINGERING
    LINGERING  deadline, client reads         LINGERING
    LINGERING  end of input                   CLOSING
    any        connection lost                CLOSING
    ========== ============================== ==========

    A malformed or slow head is served: its answer, 400 or 408, takes its turn in the queue.
    """

    HEAD = auto()
    """A first request, or the rest of a head that has begun."""
    IDLE = auto()
    """The next request, on a connection that has had one."""
    SERVING = auto()
    """The answers to what is queued; the deadline is for a body, or for a half-closed client."""
    LINGERING = auto()
    """The client's end: the last answer is sent, and input is dropped; see `LingeringClose`."""
    CLOSING = auto()
    """Nothing: the transport closes when all is written, or is closed."""
