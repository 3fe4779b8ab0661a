"""The dialect of fedbadges 2.x, read into the same triggers, criteria and recipients."""
