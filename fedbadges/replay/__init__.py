"""The replay: who would have earned which badge, had the rules existed from the beginning.

``replay`` has the engine decide on every message of the history, which ``history_stream`` reads in
the order of time. ``history_as_of`` answers the criteria as of each message: from running counts,
which are updated as messages go by, or from the database. ``backfill`` awards what a replay finds.
"""
