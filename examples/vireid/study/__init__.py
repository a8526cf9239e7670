"""Every claim of the source as a change to one setting of CAL, trained over several seeds and compared."""
