"""What outlives the process: a file of counts and folds, and what is read and written of it."""
