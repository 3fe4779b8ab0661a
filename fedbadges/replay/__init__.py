"""The replay: who would have earned which badge, had the rules existed from the beginning.

``replay`` has the engine decide on every message of the history in the order of time, which
``chronicle`` reads. ``history_as_of`` answers the criteria as of each message: from counts that are
kept as messages go by, the running ones and those that were asked for once, or from the database.
"""

from fedbadges.replay.replay import Replay

__all__ = ["Replay"]
