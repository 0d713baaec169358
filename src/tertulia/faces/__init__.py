"""The doors: each speaks one dialect, decodes what is asked and encodes what happens. Strangers to each other."""
